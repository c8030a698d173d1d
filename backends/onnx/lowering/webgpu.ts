/**
 * Primitives that onnxruntime's WebGPU provider has no kernel for in the form that the CPU has, found one
 * operator and element type at a time with `session.disable_cpu_ep_fallback` (onnxruntime-web 1.30):
 * products with a transposed operand, most of what moves a bool, slices of an int32.
 */

import { elementCount, type Shape } from "../../../graph/dim.ts";
import type { Primitive, Value } from "../../../graph/program.ts";
import type { GraphEmitter } from "../graph_emitter.ts";
import { ElementType } from "../proto.ts";
import { elementwise } from "./elementwise.ts";
import type { Lowering, Lowerings, Names } from "./lowering.ts";
import { shaping } from "./shaping.ts";

type Different =
  | "logicalOr"
  | "stopGradient"
  | "reshape"
  | "transpose"
  | "slice"
  | "concat"
  | "scatterAdd"
  | "matmul"
  | "linear";

/** A lowering that moves a bool as int32. */
function asInt32<P extends Primitive>(rule: Lowering<P>): Lowering<P> {
  return (graph, equation, { operands, results }) => {
    if (equation.operands[0]!.dtype !== "bool") {
      rule(graph, equation, { operands, results });
      return;
    }
    const wide = operands.map((name, index) =>
      equation.operands[index]!.dtype === "bool"
        ? graph.node("Cast", [name], { attributes: { to: ElementType.int32 } })
        : name
    );
    const moved = graph.name("moved");
    rule(graph, widened(equation), { operands: wide, results: [moved] });
    graph.node("Cast", [moved], { results, attributes: { to: ElementType.bool } });
  };
}

/** The equation with int32 in place of bool. */
function widened<E extends { readonly operands: readonly Value[]; readonly results: unknown }>(
  equation: E,
): E {
  const operands = equation.operands.map((value) =>
    value.dtype === "bool" ? { ...value, dtype: "int32" as const } : value
  );
  return { ...equation, operands };
}

/** A product's operand: its name in the graph and its shape. */
interface Factor {
  readonly name: string;
  readonly shape: Shape;
}

/** Swaps the last two axes. */
function transposed(graph: GraphEmitter, { name, shape }: Factor): string {
  const axes = shape.map((_, axis) => axis);
  const perm = [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!];
  return graph.once(
    `transposed ${name}`,
    () => graph.node("Transpose", [name], { attributes: { perm } }),
  );
}

/** A B, each optionally transposed; a matrix B multiplies all rows of A at once. */
function product(
  graph: GraphEmitter,
  a: Factor,
  b: Factor,
  { transposeA, transposeB }: { readonly transposeA: boolean; readonly transposeB: boolean },
  result?: string,
): string {
  const results = result === undefined ? {} : { results: [result] };
  const flat = b.shape.length === 2 && (a.shape.length === 2 || !transposeA);
  if (!flat || !(transposeA || transposeB)) {
    const left = transposeA ? transposed(graph, a) : a.name;
    const right = transposeB ? transposed(graph, b) : b.name;
    return graph.node("MatMul", [left, right], results);
  }
  const attributes = { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0 };
  if (a.shape.length === 2) return graph.node("Gemm", [a.name, b.name], { attributes, ...results });
  const leading = a.shape.slice(0, -1);
  const rows = elementCount(leading);
  const columns = b.shape[transposeB ? 0 : 1]!;
  const matrix = graph.reshape(a.name, a.shape, [rows, a.shape.at(-1)!]);
  const flatProduct = graph.node("Gemm", [matrix, b.name], { attributes });
  return graph.reshape(flatProduct, [rows, columns], [...leading, columns], result);
}

const factors = (values: readonly Value[], { operands }: Names): Factor[] =>
  values.map(({ shape }, index) => ({ name: operands[index]!, shape }));

/** What differs from the CPU's. */
export const webgpu: Lowerings<Different> & {
  readonly rotary: "decompose";
  readonly attention: "decompose";
  readonly cachedAttention: "decompose";
} = {
  logicalOr(graph, _, { operands, results }) {
    const neither = graph.node("And", operands.map((name) => graph.node("Not", [name])));
    graph.node("Not", [neither], { results });
  },
  stopGradient(graph, equation, names) {
    const { operands: [x], results } = names;
    if (equation.operands[0]!.dtype !== "bool") elementwise.stopGradient(graph, equation, names);
    else graph.node("And", [x!, x!], { results });
  },
  reshape: asInt32(shaping.reshape),
  transpose: asInt32(shaping.transpose),
  slice: asInt32((graph, equation, names) => {
    const { dtype } = equation.operands[0]!;
    const { axis, start, end } = equation.attributes;
    if (dtype === "float32") {
      shaping.slice(graph, equation, names);
      return;
    }
    const rows = Array.from({ length: end - start }, (_, index) => start + index);
    graph.node("Gather", [names.operands[0]!, graph.literal("int32", [rows.length], rows)], {
      results: names.results,
      attributes: { axis },
    });
  }),
  concat: asInt32(shaping.concat),
  /** As on the CPU, with int32 indices. */
  scatterAdd(graph, { operands: [values, indices], results: [sum] }, { operands, results }) {
    const [from, row] = [values!.shape, indices!.shape.length];
    const count = elementCount(indices!.shape);
    const width = elementCount(from.slice(row));
    const size = sum!.shape[0]!;
    const column = graph.reshape(operands[1]!, indices!.shape, [count, 1]);
    const flat = graph.reshape(operands[0]!, from, [count, width]);
    const added = graph.node("ScatterElements", [
      graph.node("Expand", [graph.literal(sum!.dtype, [], [0]), graph.shape([size, width])]),
      graph.node("Expand", [column, graph.shape([count, width])]),
      flat,
    ], { attributes: { axis: 0, reduction: "add" } });
    graph.reshape(added, [size, width], sum!.shape, results[0]!);
  },
  matmul(graph, { attributes, operands }, names) {
    const [a, b] = factors(operands, names) as [Factor, Factor];
    product(graph, a, b, attributes, names.results[0]!);
  },
  linear(graph, { attributes: { bias, lora }, operands }, names) {
    const [x, weight, ...rest] = factors(operands, names) as [Factor, Factor, ...Factor[]];
    const bothWays = { transposeA: false, transposeB: true };
    const addends: string[] = [];
    if (bias) addends.push(rest.shift()!.name);
    if (lora) {
      const [a, b] = rest as [Factor, Factor];
      const narrow = product(graph, x, a, bothWays);
      const scaled = graph.node("Mul", [narrow, graph.literal("float32", [], [lora.scale])]);
      const shape: Shape = [...x.shape.slice(0, -1), a.shape[0]!];
      addends.push(product(graph, { name: scaled, shape }, b, bothWays));
    }
    const result = addends.length === 0 ? names.results[0]! : undefined;
    let sum = product(graph, x, weight, bothWays, result);
    addends.forEach((addend, index) => {
      const last = index === addends.length - 1;
      sum = graph.node("Add", [sum, addend], last ? { results: names.results } : {});
    });
  },
  rotary: "decompose",
  attention: "decompose",
  cachedAttention: "decompose",
};
