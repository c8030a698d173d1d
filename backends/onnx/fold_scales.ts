/**
 * Takes multiplications by a number into the matrix products beside them, which have a factor of their
 * own: a pass over a tensor less for each.
 *
 * @module
 */

import { type GraphEmitter, MICROSOFT } from "./graph_emitter.ts";
import { ElementType, type NodeProto } from "./proto.ts";

/** alpha of a matrix product; undefined for another node. */
function alphaOf({ opType, domain, attributes }: NodeProto): number | undefined {
  if (opType === "MatMul" && domain === "") return 1;
  if (opType !== "FusedMatMul") return undefined;
  return (attributes.alpha as { readonly float: number }).float;
}

function scaled(node: NodeProto, factor: number): NodeProto {
  const alpha = { float: alphaOf(node)! * factor };
  return node.opType === "MatMul"
    ? {
      ...node,
      opType: "FusedMatMul",
      domain: MICROSOFT,
      attributes: { transA: 0, transB: 0, alpha },
    }
    : { ...node, attributes: { ...node.attributes, alpha } };
}

/** float32 scalars by name, also those behind an Identity. */
function scalars({ nodes, initializers }: GraphEmitter): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const { name, dims, dataType, rawData } of initializers) {
    if (dims.length > 0 || dataType !== ElementType.float || !rawData) continue;
    values.set(name, new Float32Array(rawData.buffer, rawData.byteOffset, 1)[0]!);
  }
  for (const { opType, inputs, outputs } of nodes) {
    const value = opType === "Identity" ? values.get(inputs[0]!) : undefined;
    if (value !== undefined) values.set(outputs[0]!, value);
  }
  return values;
}

/**
 * Nodes that compute the same. x · c goes into the product that makes x, where nothing else reads x, or
 * into the products that read x · c, where nothing else does.
 *
 * @param results Names of graph outputs, which stay.
 */
export function foldScales(graph: GraphEmitter, results: ReadonlySet<string>): NodeProto[] {
  const values = scalars(graph);
  const producer = new Map<string, NodeProto>();
  const readers = new Map<string, Set<NodeProto>>();
  for (const node of graph.nodes) {
    for (const output of node.outputs) producer.set(output, node);
    for (const input of node.inputs) {
      const known = readers.get(input);
      if (known) known.add(node);
      else readers.set(input, new Set([node]));
    }
  }
  /** What stands for a node of the graph. */
  const current = new Map<NodeProto, NodeProto>();
  const now = (node: NodeProto) => current.get(node) ?? node;
  const dropped = new Set<NodeProto>();
  for (const node of graph.nodes) {
    if (node.opType !== "Mul") continue;
    const at = node.inputs.findIndex((input) => values.has(input));
    if (at < 0) continue;
    const factor = values.get(node.inputs[at]!)!;
    const x = now(node).inputs[1 - at]!;
    const result = node.outputs[0]!;
    const maker = producer.get(x);
    if (
      maker && alphaOf(now(maker)) !== undefined && readers.get(x)!.size === 1 && !results.has(x)
    ) {
      current.set(maker, { ...scaled(now(maker), factor), outputs: [result] });
      producer.set(result, maker);
      dropped.add(node);
      continue;
    }
    const products = [...readers.get(result) ?? []];
    const all = products.length > 0 && !results.has(result) &&
      products.every((one) => alphaOf(now(one)) !== undefined);
    if (!all) continue;
    for (const one of products) {
      const { inputs } = now(one);
      const times = inputs.filter((input) => input === result).length;
      current.set(one, {
        ...scaled(now(one), factor ** times),
        inputs: inputs.map((input) => input === result ? x : input),
      });
      readers.get(x)!.add(one);
    }
    dropped.add(node);
  }
  return graph.nodes.filter((node) => !dropped.has(node)).map(now);
}
