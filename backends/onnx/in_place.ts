/**
 * Which updates may be written over the old value. onnxruntime does not know that an input and an
 * output share memory and orders nodes as it likes, so this is allowed only where the order does not
 * matter: every reader of the old value comes before the node that writes the new one, or is that
 * node and reads each element before it writes it.
 *
 * @module
 */

import type { GraphEmitter } from "./graph_emitter.ts";
import type { NodeProto } from "./proto.ts";

/** A graph input and the graph output that replaces it. */
export interface Replacement {
  readonly old: string;
  readonly next: string;
}

/** Operators that read an element only to write the same one. */
const elementwise = new Set([
  ..."Abs Add Div Exp Log Max Min Mul Neg Sigmoid Sqrt Sub Tanh Where".split(" "),
]);

/**
 * Operators whose result onnxruntime may let share memory with their operand, or that it may drop or
 * move: readers of the result count as readers of the operand. Arithmetic with a constant is here
 * since + 0 and · 1 are dropped.
 */
const views = new Set([
  ..."Cast Concat Expand Flatten Identity Pad Reshape Slice Split Squeeze Transpose Unsqueeze"
    .split(" "),
]);
const arithmetic = new Set(["Add", "Div", "Mul", "Sub"]);

/** For each replacement, whether it may happen in place. */
export function updatesInPlace(
  { nodes, initializers }: GraphEmitter,
  replacements: readonly Replacement[],
): boolean[] {
  const constants = new Set(initializers.map(({ name }) => name));
  const producers = new Map<string, NodeProto>();
  const readers = new Map<string, NodeProto[]>();
  for (const node of nodes) {
    for (const output of node.outputs) producers.set(output, node);
    for (const input of new Set(node.inputs)) {
      const list = readers.get(input);
      if (list) list.push(node);
      else readers.set(input, [node]);
    }
  }
  const isView = (node: NodeProto) =>
    views.has(node.opType) ||
    (arithmetic.has(node.opType) && node.inputs.some((input) => constants.has(input)));

  const allReaders = (name: string, seen: Set<NodeProto>) => {
    for (const reader of readers.get(name) ?? []) {
      if (seen.has(reader)) continue;
      seen.add(reader);
      if (isView(reader)) { for (const output of reader.outputs) allReaders(output, seen); }
    }
    return seen;
  };
  const ancestors = (node: NodeProto) => {
    const seen = new Set<NodeProto>([node]);
    const stack = [node];
    for (let next = stack.pop(); next; next = stack.pop()) {
      for (const input of next.inputs) {
        const producer = producers.get(input);
        if (producer && !seen.has(producer)) {
          seen.add(producer);
          stack.push(producer);
        }
      }
    }
    return seen;
  };

  return replacements.map(({ old, next }) => {
    const writer = producers.get(next)!;
    const all = allReaders(old, new Set());
    const before = ancestors(writer);
    for (const reader of all) if (!before.has(reader)) return false;
    if (!all.has(writer) || elementwise.has(writer.opType)) return true;
    // GroupQueryAttention documents that past and present may share a buffer.
    return writer.opType === "GroupQueryAttention" &&
      writer.inputs.indexOf(old) === writer.outputs.indexOf(next) + 2;
  });
}
