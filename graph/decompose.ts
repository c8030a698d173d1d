/**
 * Composite primitives in terms of simple ones.
 *
 * @module
 */

import type { ProgramBuilder } from "./builder.ts";
import { type Dim, product } from "./dim.ts";
import type {
  Attributes,
  CompositePrimitive,
  Equation,
  Mask,
  Primitive,
  Program,
  Value,
} from "./program.ts";
import { finish, replay } from "./rewrite.ts";

/** Adds simple equations that compute a composite's results. */
export type Decomposition<C extends CompositePrimitive> = (
  g: ProgramBuilder,
  operands: readonly Value[],
  attributes: Attributes[C],
) => Value[];

/**
 * Added to the score of a position that a query may not see. Finite, so that a row of them has a
 * softmax; so large that any score drowns in it.
 */
export const INVISIBLE = -1e30;

function lastSize(what: Primitive, x: Value): number {
  const size = x.shape.at(-1);
  if (typeof size !== "number") {
    throw new TypeError(
      `Cannot decompose ${what} as its last axis must have a known size: ${size}`,
    );
  }
  return size;
}

/** Mean over the last axis, which stays with size 1. */
export function lastMean(g: ProgramBuilder, what: Primitive, x: Value): Value {
  return g.mul(
    g.reduceSum(x, [x.shape.length - 1], true),
    g.constant(1 / lastSize(what, x)),
  );
}

/** 1 / sqrt(mean(x²) + ε) over the last axis, which stays with size 1. */
export function inverseRms(g: ProgramBuilder, what: Primitive, x: Value, epsilon: number): Value {
  const square = lastMean(g, what, g.mul(x, x));
  return g.div(g.constant(1), g.sqrt(g.add(square, g.constant(epsilon))));
}

/** x minus its mean over the last axis, and the inverse of its standard deviation. */
export function standardised(
  g: ProgramBuilder,
  x: Value,
  epsilon: number,
): { readonly centred: Value; readonly inverse: Value } {
  const centred = g.sub(x, lastMean(g, "layerNorm", x));
  return { centred, inverse: inverseRms(g, "layerNorm", centred, epsilon) };
}

/** cos or sin [B, T, D/2] beside the heads of x [B, T, H, D]. */
function besideHeads(g: ProgramBuilder, angles: Value): Value {
  const [batch, time, half] = angles.shape;
  return g.reshape(angles, [batch!, time!, 1, half!]);
}

/** √(2/π) and the cubic coefficient of GELU's tanh approximation. */
export const GELU_TANH = { scale: Math.sqrt(2 / Math.PI), cubic: 0.044715 } as const;

/** √(2/π) (x + 0.044715 x³), the argument of the tanh approximation. */
export function geluArgument(g: ProgramBuilder, x: Value): Value {
  const inner = g.add(
    g.mul(g.mul(x, x), g.constant(GELU_TANH.scale * GELU_TANH.cubic)),
    g.constant(GELU_TANH.scale),
  );
  return g.mul(x, inner);
}

/** ½ (1 + erf(x/√2)), the standard normal distribution function. */
export function normalCdf(g: ProgramBuilder, x: Value): Value {
  const erf = g.erf(g.mul(x, g.constant(Math.SQRT1_2)));
  return g.mul(g.add(erf, g.constant(1)), g.constant(0.5));
}

/** Operands of a `linear` equation by name. */
export function linearOperands(
  operands: readonly Value[],
  { bias, lora }: Attributes["linear"],
): { x: Value; weight: Value; bias?: Value; a?: Value; b?: Value } {
  const [x, weight] = operands;
  const at = bias ? 3 : 2;
  return {
    x: x!,
    weight: weight!,
    ...(bias ? { bias: operands[2]! } : {}),
    ...(lora ? { a: operands[at]!, b: operands[at + 1]! } : {}),
  };
}

/** scale · x Aᵀ, the input of B [..., r]. */
export function loraInput(g: ProgramBuilder, x: Value, a: Value, scale: number): Value {
  return g.mul(g.matmul(x, a, { transposeB: true }), g.constant(scale));
}

/** Boundaries of the vocabulary's parts: `chunks` + 1 rows from 0 to V. */
export function chunkBounds(vocabulary: Value, chunks: number): number[] {
  const size = vocabulary.shape[0] as number;
  return Array.from({ length: chunks + 1 }, (_, index) => Math.floor(index * size / chunks));
}

/** Rows `chunk` of the vocabulary, and the logits over them [N, rows]. */
export function chunkLogits(
  g: ProgramBuilder,
  hidden: Value,
  vocabulary: Value,
  bounds: readonly number[],
  chunk: number,
): { readonly rows: Value; readonly logits: Value } {
  const rows = bounds.length === 2
    ? vocabulary
    : g.slice(vocabulary, 0, bounds[chunk]!, bounds[chunk + 1]!);
  return { rows, logits: g.matmul(hidden, rows, { transposeB: true }) };
}

/** The vocabulary's rows of the targets [N, D], and the targets' logits [N]. */
export function targetLogits(
  g: ProgramBuilder,
  hidden: Value,
  vocabulary: Value,
  targets: Value,
): { readonly rows: Value; readonly logits: Value } {
  const rows = g.gather(vocabulary, targets);
  return { rows, logits: g.reduceSum(g.mul(hidden, rows), [1]) };
}

/** Boolean [T, S] or [B, 1, T, S]: which keys each query sees; nothing where it sees them all. */
function visible(
  g: ProgramBuilder,
  query: Value,
  keyLength: Dim,
  mask: Mask,
  extra: { readonly lengths?: Value; readonly segments?: Value; readonly parents?: Value },
): Value | undefined {
  const [batch, time] = query.shape as [Dim, Dim];
  const columns = g.iota([1, keyLength], 1);
  const conditions: Value[] = [];
  if (mask.kind !== "bidirectional") {
    const rows = g.iota([time, 1], 0);
    conditions.push(g.logicalNot(g.less(rows, columns)));
    if (mask.kind === "causal" && mask.window !== undefined) {
      conditions.push(g.less(g.sub(rows, columns), g.constant(mask.window, [], "int32")));
    }
  }
  if (mask.kind === "tree") {
    const own = g.reshape(extra.segments!, [batch, 1, time, 1]);
    const parent = g.reshape(extra.parents!, [batch, 1, time, 1]);
    const other = g.reshape(extra.segments!, [batch, 1, 1, time]);
    conditions.push(g.logicalOr(g.equal(other, own), g.equal(other, parent)));
  }
  if (extra.lengths) {
    conditions.push(g.less(columns, g.reshape(extra.lengths, [batch, 1, 1, 1])));
  }
  return conditions.length === 0 ? undefined : conditions.reduce((a, b) => g.logicalAnd(a, b));
}

function additive(g: ProgramBuilder, seen: Value): Value {
  return g.select(seen, g.constant(0), g.constant(INVISIBLE));
}

/** What the gradient of attention takes from its forward pass; G query heads share a key head. */
export interface AttentionForward {
  /** [B, T, H, D] */
  readonly output: Value;
  /** Scaled [B, Hkv, G·T, D]. */
  readonly query: Value;
  /** [B, Hkv, S, D] */
  readonly key: Value;
  /** [B, Hkv, S, D] */
  readonly value: Value;
  /** [B, Hkv, G·T, S] */
  readonly probabilities: Value;
  /** probabilities · value [B, Hkv, G·T, D]. */
  readonly context: Value;
  /** 1 where a query sees anything, else 0 [B, 1, T or 1, 1]; absent where each sees something. */
  readonly sees?: Value;
}

/** [B, T, H, D] to [B, Hkv, G·T, D]: the heads of a group below each other. */
export function groupHeads(g: ProgramBuilder, x: Value, keyHeads: Dim): Value {
  const [batch, time, heads, size] = x.shape as [Dim, Dim, number, Dim];
  const transposed = g.transpose(x, [0, 2, 1, 3]);
  const rows = product(heads / (keyHeads as number), time);
  return g.reshape(transposed, [batch, keyHeads, rows, size]);
}

/** The inverse of {@linkcode groupHeads}; `sees` multiplies the rows on the way. */
export function ungroupHeads(
  g: ProgramBuilder,
  x: Value,
  heads: Dim,
  time: Dim,
  sees?: Value,
): Value {
  const [batch, , , size] = x.shape as [Dim, Dim, Dim, Dim];
  const split = g.reshape(x, [batch, heads, time, size]);
  return g.transpose(sees ? g.mul(split, sees) : split, [0, 2, 1, 3]);
}

/** softmax(query · keyᵀ + mask + bias) · value, for a grouped and scaled query. */
function attend(
  g: ProgramBuilder,
  grouped: Value,
  key: Value,
  value: Value,
  heads: Dim,
  time: Dim,
  addends: readonly Value[],
): { readonly probabilities: Value; readonly context: Value } {
  const [batch, , rows] = grouped.shape as [Dim, Dim, Dim, Dim];
  const [, keyHeads, keyLength] = key.shape as [Dim, Dim, Dim, Dim];
  let scores = g.matmul(grouped, key, { transposeB: true });
  if (addends.length > 0) {
    scores = g.reshape(scores, [batch, heads, time, keyLength]);
    for (const addend of addends) scores = g.add(scores, addend);
  }
  const probabilities = g.reshape(g.softmax(scores), [batch, keyHeads, rows, keyLength]);
  return { probabilities, context: g.matmul(probabilities, value) };
}

/** Attention in simple primitives, with what its gradient needs. */
export function attentionForward(
  g: ProgramBuilder,
  operands: readonly Value[],
  { scale, mask, lengths, bias }: Attributes["attention"],
): AttentionForward {
  const [query, key, value] = operands as [Value, Value, Value];
  const [, time, heads] = query.shape as [Dim, Dim, Dim, Dim];
  const keyHeads = key.shape[2]!;
  const keyLength = key.shape[1]!;
  let next = 3;
  const extra: { lengths?: Value; segments?: Value; parents?: Value } = {};
  if (lengths) extra.lengths = operands[next++]!;
  if (mask.kind === "tree") {
    extra.segments = operands[next++]!;
    extra.parents = operands[next++]!;
  }
  const seen = visible(g, query, keyLength, mask, extra);
  const addends = seen ? [additive(g, seen)] : [];
  if (bias) addends.push(operands[next]!);
  const grouped = groupHeads(g, g.mul(query, g.constant(scale)), keyHeads);
  const keys = g.transpose(key, [0, 2, 1, 3]);
  const values = g.transpose(value, [0, 2, 1, 3]);
  const { probabilities, context } = attend(g, grouped, keys, values, heads, time, addends);
  // Without lengths a query sees at least itself.
  const sees = lengths
    ? g.reduceMax(g.select(seen!, g.constant(1), g.constant(0)), [3], true)
    : undefined;
  return {
    output: ungroupHeads(g, context, heads, time, sees),
    query: grouped,
    key: keys,
    value: values,
    probabilities,
    context,
    ...(sees ? { sees } : {}),
  };
}

/** A decomposition of each composite primitive. */
export const decompositions: { readonly [C in CompositePrimitive]: Decomposition<C> } = {
  rmsNorm(g, [x, weight], { epsilon }) {
    return [g.mul(g.mul(x!, inverseRms(g, "rmsNorm", x!, epsilon)), weight!)];
  },
  layerNorm(g, [x, weight, bias], { epsilon }) {
    const { centred, inverse } = standardised(g, x!, epsilon);
    return [g.add(g.mul(g.mul(centred, inverse), weight!), bias!)];
  },
  rotary(g, [x, cos, sin]) {
    const half = lastSize("rotary", x!) / 2;
    const [c, s] = [besideHeads(g, cos!), besideHeads(g, sin!)];
    const first = g.slice(x!, 3, 0, half);
    const second = g.slice(x!, 3, half, 2 * half);
    return [g.concat([
      g.sub(g.mul(first, c), g.mul(second, s)),
      g.add(g.mul(second, c), g.mul(first, s)),
    ], 3)];
  },
  gatedSilu(g, [gate, up]) {
    return [g.mul(g.mul(gate!, g.sigmoid(gate!)), up!)];
  },
  gelu(g, [x], { approximation }) {
    if (approximation === "none") return [g.mul(x!, normalCdf(g, x!))];
    const tanh = g.tanh(geluArgument(g, x!));
    return [g.mul(g.mul(x!, g.add(tanh, g.constant(1))), g.constant(0.5))];
  },
  linear(g, operands, attributes) {
    const { x, weight, bias, a, b } = linearOperands(operands, attributes);
    let y = g.matmul(x, weight, { transposeB: true });
    if (bias) y = g.add(y, bias);
    if (a && b) {
      const inner = loraInput(g, x, a, attributes.lora!.scale);
      y = g.add(y, g.matmul(inner, b, { transposeB: true }));
    }
    return [y];
  },
  tokenLogProb(g, [hidden, vocabulary, targets], { chunks }) {
    const bounds = chunkBounds(vocabulary!, chunks);
    const parts = Array.from(
      { length: chunks },
      (_, chunk) => g.logSumExp(chunkLogits(g, hidden!, vocabulary!, bounds, chunk).logits),
    );
    const rows = hidden!.shape[0]!;
    const total = chunks === 1
      ? parts[0]!
      : g.logSumExp(g.concat(parts.map((part) => g.reshape(part, [rows, 1])), 1));
    return [g.sub(targetLogits(g, hidden!, vocabulary!, targets!).logits, total)];
  },
  attention(g, operands, attributes) {
    return [attentionForward(g, operands, attributes).output];
  },
  cachedAttention(g, operands, { scale, window }) {
    const [query, key, value, keys, values, past, count] = operands as [
      Value,
      Value,
      Value,
      Value,
      Value,
      Value,
      Value,
    ];
    const [batch, time, heads] = query.shape as [Dim, Dim, Dim, Dim];
    const [, keyHeads, capacity] = keys.shape as [Dim, Dim, Dim, Dim];
    const start = g.reshape(past, [batch, 1, 1, 1]);
    const end = g.add(start, g.reshape(count, [batch, 1, 1, 1]));
    const cell = g.iota([capacity, 1], 0);
    const written = g.logicalAnd(g.logicalNot(g.less(cell, start)), g.less(cell, end));
    const store = (fresh: Value, old: Value): Value => {
      const rows = g.transpose(fresh, [0, 2, 1, 3]); // [B, Hkv, T, D]
      if (time === 1) return g.select(written, rows, old);
      const position = g.add(start, g.iota([1, time], 1));
      const oneHot = g.cast(g.equal(cell, position), "float32"); // [B, 1, C, T]
      return g.select(written, g.matmul(oneHot, rows), old);
    };
    const newKeys = store(key, keys);
    const newValues = store(value, values);
    const column = g.iota([1, capacity], 1);
    const position = g.add(start, g.iota([time, 1], 0)); // [B, 1, T, 1]
    let seen = g.logicalNot(g.less(position, column));
    if (window !== undefined) {
      seen = g.logicalAnd(
        seen,
        g.less(g.sub(position, column), g.constant(window, [], "int32")),
      );
    }
    const grouped = groupHeads(g, g.mul(query, g.constant(scale)), keyHeads);
    const { context } = attend(g, grouped, newKeys, newValues, heads, time, [additive(g, seen)]);
    return [ungroupHeads(g, context, heads, time), newKeys, newValues];
  },
};

/** Whether a primitive is composite. */
export function isComposite(primitive: Primitive): primitive is CompositePrimitive {
  return Object.hasOwn(decompositions, primitive);
}

/** Adds the equations of a composite and returns its results; nothing for a simple equation. */
export function decomposeEquation(
  g: ProgramBuilder,
  equation: Equation,
  operands: readonly Value[] = equation.operands,
): Value[] | undefined {
  if (!isComposite(equation.primitive)) return undefined;
  const rule = decompositions[equation.primitive] as Decomposition<CompositePrimitive>;
  return rule(g, operands, equation.attributes as Attributes[CompositePrimitive]);
}

/**
 * Replaces composites by simple equations.
 *
 * @param keep Composites to leave as they are; none by default.
 *
 * @example
 * ```ts
 * import { decompose } from "./decompose.ts";
 * import { ProgramBuilder } from "./builder.ts";
 * import assert from "node:assert/strict";
 *
 * const g = new ProgramBuilder("silu");
 * const x = g.input("x", "float32", [2]);
 * g.output("y", g.gatedSilu(x, x));
 * const simple = decompose(g.build());
 * assert.deepEqual(simple.equations.map((one) => one.primitive), ["sigmoid", "mul", "mul"]);
 * ```
 */
export function decompose(program: Program, keep?: (equation: Equation) => boolean): Program {
  const rewritten = replay(
    program,
    (g, equation, operands) =>
      keep?.(equation) ? undefined : decomposeEquation(g, equation, operands),
  );
  return finish(program, rewritten);
}
