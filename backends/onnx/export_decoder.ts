/**
 * A decode program as an ONNX model for other runtimes, with the inputs and outputs that transformers.js
 * and optimum give decoders:
 *
 * | input | type | shape |
 * |---|---|---|
 * | `input_ids`, `position_ids` | int64 | [batch_size, sequence_length] |
 * | `attention_mask` | int64 | [batch_size, total_sequence_length], 0 where a token is padding |
 * | `past_key_values.N.key`, `.value` | float | [batch_size, Hkv, past_sequence_length, D] |
 *
 * | output | shape |
 * |---|---|
 * | `logits` | [batch_size, sequence_length, V] |
 * | `present.N.key`, `.value` | [batch_size, Hkv, total_sequence_length, D] |
 *
 * Only operators of ONNX itself (opset 18) are used, so that any runtime loads it. Weights are external
 * data, each matrix as [inputs, outputs], the form that quantisation tools look for; the embedding stays
 * [V, D], also where it is the vocabulary matrix too.
 *
 * @module
 */

import { decompose, isComposite } from "../../graph/decompose.ts";
import type { Shape } from "../../graph/dim.ts";
import type { Equation, Primitive, Program } from "../../graph/program.ts";
import { simplify } from "../../graph/simplify.ts";
import { GraphEmitter } from "./graph_emitter.ts";
import { type Lowering, lowerings } from "./lowering/mod.ts";
import { counting } from "./lowering/shaping.ts";
import { ElementType, encodeModel, type ValueInfo } from "./proto.ts";

/** A weight in the file of external data. */
export interface ExportedWeight {
  /** Name of the parameter. */
  readonly name: string;
  /** Sizes of the parameter. */
  readonly shape: readonly number[];
  /** Whether the file holds it as [columns, rows]. */
  readonly transposed: boolean;
  /** Where it starts in the file, in bytes. */
  readonly offset: number;
}

/** A model in two files. */
export interface ExportedDecoder {
  /** The graph. */
  readonly model: Uint8Array<ArrayBuffer>;
  /** What the other file holds, in order: float32, zeros between. */
  readonly weights: readonly ExportedWeight[];
}

/** Options of {@linkcode exportDecoder}. */
export interface ExportDecoderOptions {
  /** Scope of the program's caches. */
  readonly cache: string;
  /** Name of the file of weights, beside the model. */
  readonly dataFile: string;
}

/** Pages, at which a runtime can map a weight into memory. */
const ALIGNMENT = 4096;
const OPSETS = { "": 18 } as const;
const TOTAL = "total_sequence_length";
const PAST = "past_sequence_length";
/** Added to the scores of what a token must not see; −∞ would make rows of padding NaN. */
const HIDDEN = -3.4028234663852886e38;

/**
 * Writes a decode program.
 *
 * @param program Inputs `input_ids` and `position_ids`, caches `N.key` and `N.value`; what it does with
 * the inputs `past` and `count` of `cachedAttention` comes from the attention mask here.
 */
export function exportDecoder(
  program: Program,
  { cache, dataFile }: ExportDecoderOptions,
): ExportedDecoder {
  const simple = simplify(decompose(program, isKept));
  const names = new Map<number, string>();
  const caches = simple.parameters.filter(({ scope }) => scope === cache);
  const first = `past_key_values.${caches[0]!.name}`;
  const graph = new GraphEmitter(
    new Map([
      ["batch_size", { name: "input_ids", axis: 0 }],
      ["sequence_length", { name: "input_ids", axis: 1 }],
      [PAST, { name: first, axis: 2 }],
      [TOTAL, { name: "attention_mask", axis: 1 }],
    ]),
  );
  const inputs: ValueInfo[] = [];
  for (const { name, value: { id, shape } } of simple.inputs) {
    if (name === "past" || name === "count") {
      names.set(id, "");
      continue;
    }
    inputs.push({ name, elementType: ElementType.int64, shape });
    names.set(id, graph.node("Cast", [name], { attributes: { to: ElementType.int32 } }));
  }
  inputs.push({
    name: "attention_mask",
    elementType: ElementType.int64,
    shape: ["batch_size", TOTAL],
  });
  for (const { name, value: { id, shape } } of caches) {
    const port = `past_key_values.${name}`;
    inputs.push({ name: port, elementType: ElementType.float, shape });
    names.set(id, port);
  }
  const weights = layOut(simple, cache);
  const transposed = new Set(weights.filter((one) => one.transposed).map(({ name }) => name));
  for (const { scope, name, value } of simple.parameters) {
    if (scope !== cache) names.set(value.id, name);
  }

  const wanted = new Map<number, string>();
  for (const { name, next } of simple.updates) wanted.set(next.id, `present.${name}`);
  for (const { name, value } of simple.outputs) wanted.set(value.id, name);
  for (const equation of simple.equations) {
    const operands = equation.operands.map(({ id }) => names.get(id)!);
    const results = equation.results.map(({ id }) =>
      wanted.get(id) ?? graph.name(equation.primitive)
    );
    equation.results.forEach(({ id }, index) => names.set(id, results[index]!));
    if (equation.primitive === "linear") {
      linear(graph, equation, { operands, results }, transposed.has(operands[1]!));
    } else if (equation.primitive === "cachedAttention") {
      growingAttention(graph, equation, { operands, results });
    } else {
      const rule = lowerings.cpu[equation.primitive] as Lowering<Primitive>;
      rule(graph, equation as never, { operands, results });
    }
  }

  const outputs: ValueInfo[] = [
    ...simple.outputs.map(({ name, value: { shape } }) => ({ name, shape })),
    ...simple.updates.map(({ name, next: { shape } }) => ({
      name: `present.${name}`,
      shape: shape.map((size) => size === PAST ? TOTAL : size),
    })),
  ].map((output) => ({ ...output, elementType: ElementType.float }));
  const model = encodeModel({
    name: simple.name,
    nodes: graph.nodes,
    initializers: [
      ...graph.initializers,
      ...weights.map(({ name, shape, transposed, offset }) => ({
        name,
        dims: transposed ? [...shape].reverse() : shape,
        dataType: ElementType.float,
        external: { location: dataFile, offset, length: byteLength(shape) },
      })),
    ],
    inputs,
    outputs,
    opsets: OPSETS,
  });
  return { model, weights };
}

/** Composites that are written here; the others become simple ones first. */
function isKept({ primitive }: Equation): boolean {
  return primitive === "linear" || primitive === "cachedAttention" || !isComposite(primitive);
}

function byteLength(shape: readonly number[]): number {
  return 4 * shape.reduce((product, size) => product * size, 1);
}

/** Where weights go: a matrix that only products read is transposed, one that is a table too is not. */
function layOut({ parameters, equations }: Program, cache: string): ExportedWeight[] {
  const matrices = new Set<number>();
  const tables = new Set<number>();
  for (const { primitive, operands } of equations) {
    operands.forEach(({ id }, index) => {
      (primitive === "linear" && index === 1 ? matrices : tables).add(id);
    });
  }
  let offset = 0;
  return parameters.filter(({ scope }) => scope !== cache).map(({ name, value: { id, shape } }) => {
    const sizes = shape as readonly number[];
    const weight = {
      name,
      shape: sizes,
      transposed: matrices.has(id) && !tables.has(id),
      offset,
    };
    offset = Math.ceil((offset + byteLength(sizes)) / ALIGNMENT) * ALIGNMENT;
    return weight;
  });
}

interface Names {
  readonly operands: readonly string[];
  readonly results: readonly string[];
}

/** x Wᵀ + b; a table [V, D] is multiplied as it is, by `Gemm`, which knows matrices only. */
function linear(
  graph: GraphEmitter,
  { attributes: { bias, lora }, operands: [x], results: [y] }: Extract<
    Equation,
    { primitive: "linear" }
  >,
  { operands: [input, weight, addend], results }: Names,
  transposed: boolean,
): void {
  if (lora) throw new TypeError("Cannot export the program as adapters must be merged before");
  if (transposed) {
    const product = graph.node("MatMul", [input!, weight!], bias ? {} : { results });
    if (bias) graph.node("Add", [product, addend!], { results });
    return;
  }
  const width = x!.shape.at(-1) as number;
  const rows = graph.node("Reshape", [input!, graph.int64([-1, width])]);
  const product = graph.node("Gemm", [rows, weight!, ...(bias ? [addend!] : [])], {
    attributes: { transB: 1 },
  });
  graph.node("Reshape", [product, graph.shape(y!.shape)], { results });
}

/** Attention over what was given and what is new, joined; heads that share keys are rows beside each other. */
function growingAttention(
  graph: GraphEmitter,
  { attributes, operands }: Extract<Equation, { primitive: "cachedAttention" }>,
  { operands: [query, key, value, pastKeys, pastValues], results: [output, keys, values] }: Names,
): void {
  const { scale, scoreCap, window } = attributes;
  const [batch, time, heads, size] = operands[0]!.shape as [Shape[0], Shape[0], number, number];
  const kvHeads = operands[1]!.shape[2] as number;
  const group = heads / kvHeads;
  const byHead = (name: string, result?: string) =>
    graph.node("Transpose", [name], {
      attributes: { perm: [0, 2, 1, 3] },
      ...(result ? { results: [result] } : {}),
    });
  const join = (past: string, added: string, result: string) =>
    graph.node("Concat", [past, byHead(added)], { results: [result], attributes: { axis: 2 } });
  join(pastKeys!, key!, keys!);
  join(pastValues!, value!, values!);
  const shaped = (name: string, sizes: readonly number[]) =>
    graph.node("Reshape", [name, graph.int64(sizes)]); // 0 keeps an axis, −1 is what is left
  const grouped = shaped(byHead(query!), [0, kvHeads, -1, size]); // [B, Hkv, G·T, D]
  const turned = graph.node("Transpose", [keys!], { attributes: { perm: [0, 1, 3, 2] } });
  const products = graph.node("MatMul", [grouped, turned]); // [B, Hkv, G·T, S]
  const scores = graph.node("Reshape", [products, graph.shape([batch, heads, time, TOTAL])]);
  const times = (name: string, by: number) =>
    graph.node("Mul", [name, graph.literal("float32", [], [by])]);
  const scaled = scoreCap === undefined
    ? times(scores, scale)
    : times(graph.node("Tanh", [times(scores, scale / scoreCap)]), scoreCap);
  const masked = graph.node("Add", [scaled, mask(graph, time, window)]);
  const weights = graph.node("Softmax", [masked], { attributes: { axis: -1 } });
  const back = group === 1 ? weights : graph.node("Reshape", [
    weights,
    graph.node("Concat", [graph.shape([batch, kvHeads]), graph.int64([-1]), graph.dim(TOTAL)], {
      attributes: { axis: 0 },
    }),
  ]);
  const mixed = graph.node("MatMul", [back, values!]); // [B, Hkv, G·T, D]
  const split = graph.node("Reshape", [mixed, graph.shape([batch, heads, time, size])]);
  byHead(split, output);
}

/** [B, 1, T, S]: 0 where key j is real, not after query i, and within its window; else `HIDDEN`. */
function mask(graph: GraphEmitter, time: Shape[0], window: number | undefined): string {
  return graph.once(`mask ${window}`, () => {
    const past = graph.node("Sub", [graph.dimScalar(TOTAL), graph.dimScalar(time)]);
    const query = graph.node("Unsqueeze", [
      graph.node("Add", [counting(graph, time), past]),
      graph.int64([1]),
    ]); // [T, 1]
    const key = counting(graph, TOTAL); // [S]
    let visible = graph.node("LessOrEqual", [key, query]);
    if (window !== undefined) {
      const start = graph.node("Sub", [query, graph.literal("int32", [], [window])]);
      visible = graph.node("And", [visible, graph.node("Greater", [key, start])]);
    }
    const real = graph.node("Unsqueeze", [
      graph.node("Cast", ["attention_mask"], { attributes: { to: ElementType.bool } }),
      graph.int64([1, 2]),
    ]); // [B, 1, 1, S]
    return graph.node("Where", [
      graph.node("And", [visible, real]),
      graph.literal("float32", [], [0]),
      graph.literal("float32", [], [HIDDEN]),
    ]);
  });
}
