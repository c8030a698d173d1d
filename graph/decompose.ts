/**
 * Composite primitives in terms of simple ones.
 *
 * @module
 */

import { attentionForward, cachedAttention } from "./attention.ts";
import type { ProgramBuilder } from "./builder.ts";
import type { Dim } from "./dim.ts";
import type {
  Attributes,
  CompositePrimitive,
  Equation,
  Primitive,
  Program,
  Value,
} from "./program.ts";
import { finish, replay } from "./rewrite.ts";
import { type SoftCapped, softCapped } from "./soft_cap.ts";

/** Adds simple equations that compute a composite's results. */
export type Decomposition<C extends CompositePrimitive> = (
  g: ProgramBuilder,
  operands: readonly Value[],
  attributes: Attributes[C],
) => Value[];

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
  { bounds, chunk, logitCap }: {
    readonly bounds: readonly number[];
    readonly chunk: number;
    readonly logitCap: number | undefined;
  },
): { readonly rows: Value; readonly logits: SoftCapped } {
  const rows = bounds.length === 2
    ? vocabulary
    : g.slice(vocabulary, 0, bounds[chunk]!, bounds[chunk + 1]!);
  const logits = softCapped(g, logitCap, hidden, (x) => g.matmul(x, rows, { transposeB: true }));
  return { rows, logits };
}

/** The vocabulary's rows of the targets [N, D], and the targets' logits [N, 1]. */
export function targetLogits(
  g: ProgramBuilder,
  hidden: Value,
  vocabulary: Value,
  targets: Value,
  logitCap: number | undefined,
): { readonly rows: Value; readonly logits: SoftCapped } {
  const rows = g.gather(vocabulary, targets);
  const logits = softCapped(g, logitCap, hidden, (x) => g.reduceSum(g.mul(x, rows), [1], true));
  return { rows, logits };
}

/** Σ x[from[m, c]] over the c with from[m, c] ≥ 0, for x [N, ...rest] and from [M, C]. */
function regroupRows(g: ProgramBuilder, x: Value, from: Value): Value {
  const [rows, count] = from.shape as [Dim, Dim];
  const rest = x.shape.slice(1);
  const ones = rest.map(() => 1);
  const single = count === 1;
  const index = single ? g.reshape(from, [rows]) : from;
  const there = g.cast(g.less(g.constant(-1, [], "int32"), index), "float32");
  const found = g.gather(x, g.maximum(index, g.constant(0, [], "int32"))); // [M, (C,) ...rest]
  const kept = g.mul(found, g.reshape(there, [...index.shape, ...ones]));
  return single ? kept : g.reduceSum(kept, [1]);
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
  tokenLogProb(g, [hidden, vocabulary, targets], { chunks, logitCap }) {
    const bounds = chunkBounds(vocabulary!, chunks);
    const parts = Array.from({ length: chunks }, (_, chunk) => {
      const { logits } = chunkLogits(g, hidden!, vocabulary!, { bounds, chunk, logitCap });
      return g.logSumExp(logits.value);
    });
    const rows = hidden!.shape[0]!;
    const total = chunks === 1
      ? parts[0]!
      : g.logSumExp(g.concat(parts.map((part) => g.reshape(part, [rows, 1])), 1));
    const { logits } = targetLogits(g, hidden!, vocabulary!, targets!, logitCap);
    return [g.sub(g.reshape(logits.value, [rows]), total)];
  },
  regroup(g, [x, from]) {
    return [regroupRows(g, x!, from!)];
  },
  attention(g, operands, attributes) {
    return [attentionForward(g, operands, attributes).output];
  },
  cachedAttention(g, operands, attributes) {
    return cachedAttention(g, operands, attributes);
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
