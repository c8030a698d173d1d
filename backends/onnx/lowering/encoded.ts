/** Constants that stayed encoded: products with them, their rows, and their values. */

import type { EquationOf, Value } from "../../../graph/program.ts";
import { BLOCK } from "../block_formats.ts";
import {
  type Adapter,
  type EncodedMatrix,
  type GraphEmitter,
  type MergedProduct,
  MICROSOFT,
  OWN,
} from "../graph_emitter.ts";

/** Accuracy levels of `MatMulNBits`: float32 throughout, or activations of 8 bits. */
const ACCURACY = { float32: 1, int8: 4 } as const;

function named(results: readonly string[] | undefined): { readonly results?: readonly string[] } {
  return results ? { results } : {};
}

/** Products of 8-bit activations by the operator of `native/kernels/block_product.c`. */
function ownProducts(
  graph: GraphEmitter,
  x: string,
  { bits, rows, columns, quants, scales, offsets }: EncodedMatrix,
  parts: readonly number[],
  adapters: readonly (Adapter | undefined)[],
  results: readonly string[],
): void {
  const factors = adapters.flatMap((adapter) => adapter ? [adapter.a, adapter.b] : []);
  graph.node("BlockProduct", [x, quants, scales, offsets ?? scales, ...factors], {
    domain: OWN,
    results,
    attributes: {
      K: columns,
      N: rows,
      bits,
      offsets: offsets ? 1 : 0,
      rows: parts,
      ranks: parts.map((_, index) => adapters[index]?.rank ?? 0),
      scale: { float: adapters.find((adapter) => adapter)?.scale ?? 1 },
    },
  });
}

/** Whether a product is ours to compute. */
function isOwn({ ownKernels, activations }: GraphEmitter): boolean {
  return ownKernels && activations === "int8";
}

/** The adapter of a linear layer, where products of ours take one along. */
export function ownAdapter(
  graph: GraphEmitter,
  { attributes: { bias, lora }, operands }: EquationOf<"linear">,
  nameOf: (value: Value) => string | undefined,
): Adapter | undefined {
  if (!lora || !isOwn(graph)) return undefined;
  const [a, b] = operands.slice(bias ? 3 : 2) as [Value, Value];
  const [nameA, nameB] = [nameOf(a), nameOf(b)];
  const rank = a.shape[0];
  if (nameA === undefined || nameB === undefined || typeof rank !== "number") return undefined;
  if (graph.encoded.has(nameA) || graph.encoded.has(nameB)) return undefined;
  return { a: nameA, b: nameB, rank, scale: lora.scale };
}

/**
 * x [..., columns] times the transpose of a matrix.
 *
 * @param rank Of x.
 * @param adapter Of {@linkcode ownAdapter}.
 */
export function encodedProduct(
  graph: GraphEmitter,
  x: string,
  rank: number,
  matrix: EncodedMatrix,
  results?: readonly string[],
  adapter?: Adapter,
): string {
  const { bits, rows, columns, quants, scales, offsets } = matrix;
  if (isOwn(graph)) {
    const [result] = results ?? [graph.name("product")];
    ownProducts(graph, x, matrix, [rows], [adapter], [result!]);
    return result!;
  }
  const product = graph.node("MatMulNBits", [x, quants, scales], {
    domain: MICROSOFT,
    attributes: {
      K: columns,
      N: rows,
      bits,
      block_size: BLOCK,
      accuracy_level: ACCURACY[graph.activations],
    },
    ...(offsets ? {} : named(results)),
  });
  if (!offsets) return product;
  const sums = graph.once(`block sums ${x}`, () => {
    const leading = Array<number>(rank - 1).fill(0); // 0 keeps a size
    const blocks = graph.node("Reshape", [
      x,
      graph.int64([...leading, columns / BLOCK, BLOCK]),
    ]);
    return graph.node("ReduceSum", [blocks, graph.int64([rank])], { attributes: { keepdims: 0 } });
  });
  const correction = graph.node("FusedMatMul", [sums, offsets], {
    domain: MICROSOFT,
    attributes: { transA: 0, transB: 1, alpha: { float: 1 } },
  });
  return graph.node("Add", [product, correction], named(results));
}

/** One of several products that are computed as one. */
export function mergedProduct(
  graph: GraphEmitter,
  x: string,
  rank: number,
  { product, index }: { readonly product: MergedProduct; readonly index: number },
  results?: readonly string[],
): string {
  product.parts ??= (() => {
    const matrix = graph.encoded.get(product.matrix)!;
    const parts = product.rows.map(() => graph.name("part"));
    if (isOwn(graph)) {
      ownProducts(graph, x, matrix, product.rows, product.adapters ?? [], parts);
      return parts;
    }
    const whole = encodedProduct(graph, x, rank, matrix);
    graph.node("Split", [whole, graph.int64(product.rows)], {
      results: parts,
      attributes: { axis: -1 },
    });
    return parts;
  })();
  const part = product.parts[index]!;
  return results ? graph.node("Identity", [part], { results }) : part;
}

/** Rows of a matrix. @param rank Of the indices. */
export function encodedRows(
  graph: GraphEmitter,
  { bits, columns, bytes, scales, offsets }: EncodedMatrix,
  indices: string,
  rank: number,
  results: readonly string[],
): void {
  const rows = graph.node("GatherBlockQuantized", [bytes, indices, scales], {
    domain: MICROSOFT,
    attributes: { bits, block_size: BLOCK, gather_axis: 0, quantize_axis: 1 },
    ...(offsets ? {} : { results }),
  });
  if (!offsets) return;
  const leading = Array<number>(rank).fill(0);
  const blocks = graph.node("Reshape", [rows, graph.int64([...leading, columns / BLOCK, BLOCK])]);
  const shifts = graph.node("Unsqueeze", [
    graph.node("Gather", [offsets, indices], { attributes: { axis: 0 } }),
    graph.int64([rank + 1]),
  ]);
  const moved = graph.node("Add", [blocks, shifts]);
  graph.node("Reshape", [moved, graph.int64([...leading, columns])], { results });
}

/** A float32 tensor of the graph that is no constant. */
export interface Beside {
  readonly name: string;
  readonly rank: number;
}

/** x + 0 · c, with an element c of a tensor: x, but not before that is computed. */
function after(graph: GraphEmitter, x: string, { name, rank }: Beside): string {
  const times = (value: number) => graph.int64(Array<number>(rank).fill(value));
  const axes = graph.int64(Array.from({ length: rank }, (_, axis) => axis));
  const element = graph.node("Reshape", [
    graph.node("Slice", [name, times(0), times(1), axes]),
    graph.int64([1]),
  ]);
  const nothing = graph.node("Mul", [element, graph.literal("float32", [], [0])]);
  return graph.node("Add", [x, nothing]);
}

/**
 * The values [rows, columns], for what has no kernel of its own.
 *
 * @param beside What they are combined with. They are then decoded for that, and neither while the graph
 * is optimised nor at its start, which would hold all of them in float32.
 */
export function decoded(
  graph: GraphEmitter,
  name: string,
  { bits, rows, columns, elements, scales: constant, offsets }: EncodedMatrix,
  beside?: Beside,
): string {
  return graph.once(`decoded ${name}`, () => {
    const scales = beside ? after(graph, constant, beside) : constant;
    const raised = graph.node("DequantizeLinear", [elements, scales], {
      attributes: { axis: 1, block_size: BLOCK },
    }); // d · q
    const zero = graph.literal("float32", [], [-(2 ** (bits - 1))]);
    const lowered = graph.node("Mul", [scales, zero]);
    const shift = offsets ? graph.node("Add", [offsets, lowered]) : lowered;
    const moved = graph.node("Add", [
      graph.node("Reshape", [raised, graph.int64([rows, columns / BLOCK, BLOCK])]),
      graph.node("Unsqueeze", [shift, graph.int64([2])]),
    ]);
    return graph.node("Reshape", [moved, graph.int64([rows, columns])]);
  });
}
