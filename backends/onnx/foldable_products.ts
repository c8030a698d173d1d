/**
 * Products of constants, in operators that onnxruntime computes while it optimises a graph. Of those of
 * its own domain it does so for few, and FusedMatMul is none of them.
 *
 * @module
 */

import type { GraphEmitter } from "./graph_emitter.ts";
import type { NodeProto } from "./proto.ts";

/** Whether a node reads constants alone; then its outputs are added to them. */
export function isFolded({ inputs, outputs }: NodeProto, constants: Set<string>): boolean {
  const folded = inputs.every((input) => input === "" || constants.has(input));
  if (folded) { for (const output of outputs) constants.add(output); }
  return folded;
}

/**
 * Nodes that compute the same: alpha · A Bᵀ, of a constant A and a stored matrix B, is Transpose, MatMul
 * and Mul, none of which is left in a session.
 *
 * @param stored Constants with their shapes.
 */
export function foldableProducts(
  graph: GraphEmitter,
  stored: readonly { readonly port: string; readonly shape: { readonly length: number } }[],
): NodeProto[] {
  const constants = new Set(graph.initializers.map(({ name }) => name));
  for (const { port } of stored) constants.add(port);
  const matrices = new Set(
    stored.filter(({ shape }) => shape.length === 2).map(({ port }) => port),
  );
  const before = graph.nodes;
  graph.nodes = [];
  for (const node of before) {
    const { opType, inputs: [a, b], outputs, attributes } = node;
    const folds = isFolded(node, constants) && opType === "FusedMatMul" &&
      attributes.transA === 0 && attributes.transB === 1 && matrices.has(b!);
    if (!folds) {
      graph.nodes.push(node);
      continue;
    }
    const turned = graph.once(
      `turned ${b}`,
      () => graph.node("Transpose", [b!], { attributes: { perm: [1, 0] } }),
    );
    const { float: alpha } = attributes.alpha as { readonly float: number };
    const product = graph.node("MatMul", [a!, turned]);
    graph.node("Mul", [product, graph.literal("float32", [], [alpha])], { results: outputs });
  }
  return graph.nodes;
}
