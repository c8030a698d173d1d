/**
 * Vector–Jacobian products of the composite primitives. Where a rule computes a part of the forward
 * pass again, it does so in the words of the decomposition, so that the two are one after
 * common-subexpression elimination.
 *
 * @module
 */

import { type AttentionForward, attentionForward, ungroupHeads } from "./attention.ts";
import type { ProgramBuilder } from "./builder.ts";
import type { Dim } from "./dim.ts";
import {
  chunkBounds,
  chunkLogits,
  GELU_TANH,
  geluArgument,
  inverseRms,
  lastMean,
  linearOperands,
  loraInput,
  normalCdf,
  standardised,
  targetLogits,
} from "./decompose.ts";
import type { Attributes, CompositePrimitive, Value } from "./program.ts";
import type { SoftCapped } from "./soft_cap.ts";
import { flatten, once, sumTo, type VjpRule } from "./vjp.ts";

/** A forward pass that leaves what the gradient needs. */
export type Expansion<C extends CompositePrimitive> = (
  g: ProgramBuilder,
  operands: readonly Value[],
  attributes: Attributes[C],
) => { readonly results: readonly Value[]; readonly residuals: unknown } | undefined;

/**
 * Composites whose forward pass is rewritten where a gradient is taken, so that nothing large is
 * computed twice. An expansion may decline.
 */
export const expansions: { readonly [C in CompositePrimitive]?: Expansion<C> } = {
  attention(g, operands, attributes) {
    const forward = attentionForward(g, operands, attributes);
    return { results: [forward.output], residuals: forward };
  },
  tokenLogProb(g, [hidden, vocabulary, targets], { chunks, logitCap }) {
    const bounds = chunkBounds(vocabulary!, chunks);
    const target = targetLogits(g, hidden!, vocabulary!, targets!, logitCap);
    // A chunk waits for what the one before leaves, x + 0 · c, so that one chunk's logits exist at a time.
    let waiting = hidden!;
    const parts = bounds.slice(1).map((_, chunk) => {
      const { rows, logits } = chunkLogits(g, waiting, vocabulary!, { bounds, chunk, logitCap });
      const largest = g.reduceMax(logits.value, [1], true);
      const powers = g.exp(g.sub(logits.value, largest));
      const slopes = steepened(g, powers, logits);
      const expected = g.matmul(slopes, rows);
      waiting = g.add(hidden!, g.mul(g.slice(expected, 1, 0, 1), g.constant(0)));
      return { largest, slopes, sum: g.reduceSum(powers, [1], true), expected };
    });
    const largest = parts.map((part) => part.largest).reduce((a, b) => g.maximum(a, b));
    const sumUp = (of: (part: typeof parts[number]) => Value) =>
      parts.length === 1
        ? of(parts[0]!)
        : parts.map((part) => g.mul(of(part), g.exp(g.sub(part.largest, largest))))
          .reduce((a, b) => g.add(a, b));
    const sum = sumUp((part) => part.sum); // [N, 1]
    const total = g.add(g.log(sum), largest);
    return {
      results: [g.reshape(g.sub(target.logits.value, total), targets!.shape)],
      residuals: {
        slope: g.sub(
          steepened(g, target.rows, target.logits),
          g.div(sumUp((part) => part.expected), sum),
        ),
        target: target.logits,
        total,
        ...(parts.length === 1 ? { kept: { slopes: parts[0]!.slopes, sum } } : {}),
      } satisfies LogProbForward,
    };
  },
  linear(g, operands, attributes) {
    const { x, weight, bias, a, b } = linearOperands(operands, attributes);
    if (!a || !b) return undefined;
    const inner = loraInput(g, x, a, attributes.lora!.scale);
    const plain = g.linear(x, weight, bias ? { bias } : {});
    const result = g.add(plain, g.matmul(inner, b, { transposeB: true }));
    return { results: [result], residuals: inner };
  },
};

/** What `tokenLogProb` keeps of its forward pass. */
interface LogProbForward {
  /**
   * d log p / d hidden [N, D]: the target's row minus the mean of all rows under p, each times the
   * slope of its logit's cap.
   */
  readonly slope: Value;
  /** The targets' logits [N, 1]. */
  readonly target: SoftCapped;
  /** log Σ exp of the logits [N, 1]. */
  readonly total: Value;
  /**
   * Probabilities times the slopes of the cap in one chunk, as [N, V] over a sum [N, 1]; larger than
   * all else.
   */
  readonly kept?: { readonly slopes: Value; readonly sum: Value };
}

/** x times the slope of a cap. */
function steepened(g: ProgramBuilder, x: Value, { slope }: Pick<SoftCapped, "slope">): Value {
  return slope ? g.mul(x, slope()) : x;
}

/** Sum over all axes but the last, for a weight of one axis. */
function sumRows(g: ProgramBuilder, x: Value): Value {
  return sumTo(g, x, x.shape, x.shape.slice(-1));
}

/** A rule of each composite primitive. */
export const compositeVjps: { readonly [C in CompositePrimitive]: VjpRule<C> } = {
  rmsNorm({ g, operands, attributes: { epsilon }, cotangent }) {
    const [x, weight] = operands as [Value, Value];
    const inverse = inverseRms(g, "rmsNorm", x, epsilon);
    return [
      () => {
        const scaled = g.mul(cotangent, weight);
        const mean = lastMean(g, "rmsNorm", g.mul(scaled, x));
        const along = g.mul(mean, g.mul(inverse, g.mul(inverse, inverse)));
        return g.sub(g.mul(scaled, inverse), g.mul(x, along));
      },
      () => sumRows(g, g.mul(cotangent, g.mul(x, inverse))),
    ];
  },
  layerNorm({ g, operands, attributes: { epsilon }, cotangent }) {
    const [x, weight] = operands as [Value, Value, Value];
    const norm = once(() => {
      const { centred, inverse } = standardised(g, x, epsilon);
      return { unit: g.mul(centred, inverse), inverse };
    });
    return [
      () => {
        const { unit, inverse } = norm();
        const scaled = g.mul(cotangent, weight);
        const mean = lastMean(g, "layerNorm", scaled);
        const along = lastMean(g, "layerNorm", g.mul(scaled, unit));
        return g.mul(g.sub(g.sub(scaled, mean), g.mul(unit, along)), inverse);
      },
      () => sumRows(g, g.mul(cotangent, norm().unit)),
      () => sumRows(g, cotangent),
    ];
  },
  rotary({ g, operands: [, cos, sin], cotangent }) {
    return [() => g.rotary(cotangent, cos!, g.neg(sin!)), undefined, undefined];
  },
  gatedSilu({ g, operands, cotangent }) {
    const [gate, up] = operands as [Value, Value];
    const sigmoid = g.sigmoid(gate);
    const silu = g.mul(gate, sigmoid);
    return [
      () => {
        // d silu = s + silu (1 − s)
        const slope = g.add(sigmoid, g.mul(silu, g.sub(g.constant(1), sigmoid)));
        return g.mul(g.mul(cotangent, up), slope);
      },
      () => g.mul(cotangent, silu),
    ];
  },
  gelu({ g, operands, attributes: { approximation }, cotangent }) {
    const x = operands[0]!;
    return [() => {
      if (approximation === "none") {
        const density = g.mul(
          g.exp(g.mul(g.mul(x, x), g.constant(-0.5))),
          g.constant(1 / Math.sqrt(2 * Math.PI)),
        );
        return g.mul(cotangent, g.add(normalCdf(g, x), g.mul(x, density)));
      }
      const tanh = g.tanh(geluArgument(g, x));
      const slope = g.add(
        g.mul(g.mul(x, x), g.constant(3 * GELU_TANH.scale * GELU_TANH.cubic)),
        g.constant(GELU_TANH.scale),
      );
      const curve = g.mul(g.sub(g.constant(1), g.mul(tanh, tanh)), g.mul(x, slope));
      const twice = g.add(g.add(tanh, g.constant(1)), curve);
      return g.mul(cotangent, g.mul(twice, g.constant(0.5)));
    }];
  },
  linear({ g, operands, attributes, cotangent, residuals }) {
    const { x, weight, bias, a, b } = linearOperands(operands, attributes);
    const rows = once(() => flatten(g, x));
    const gradient = once(() => flatten(g, cotangent));
    const contributions = [
      () => {
        const plain = g.matmul(cotangent, weight);
        return a && b ? g.add(plain, g.matmul(innerGradient(), a)) : plain;
      },
      () => g.matmul(gradient(), rows(), { transposeA: true }),
    ];
    if (bias) contributions.push(() => sumRows(g, cotangent));
    /** Cotangent of x Aᵀ. */
    const innerGradient = once(() =>
      g.mul(g.matmul(cotangent, b!), g.constant(attributes.lora!.scale))
    );
    if (a && b) {
      const inner = once(() =>
        (residuals as Value | undefined) ?? loraInput(g, x, a, attributes.lora!.scale)
      );
      contributions.push(
        () => g.matmul(flatten(g, innerGradient()), rows(), { transposeA: true }),
        () => g.matmul(gradient(), flatten(g, inner()), { transposeA: true }),
      );
    }
    return contributions;
  },
  tokenLogProb({ g, operands, attributes, cotangent, residuals }) {
    const [hidden, vocabulary, targets] = operands as [Value, Value, Value];
    const { slope, target, total, kept } = residuals as LogProbForward;
    const column = g.reshape(cotangent, [...cotangent.shape, 1]);
    return [
      () => g.mul(column, slope),
      () => {
        const scaled = g.mul(column, hidden); // [N, D]
        const product = (slopes: Value, x: Value) => g.matmul(slopes, x, { transposeA: true });
        const { chunks, logitCap } = attributes;
        const bounds = chunkBounds(vocabulary, chunks);
        const expected = kept
          ? [product(kept.slopes, g.div(scaled, kept.sum))]
          : bounds.slice(1).map((_, chunk) => {
            const { logits } = chunkLogits(g, hidden, vocabulary, { bounds, chunk, logitCap });
            const probabilities = g.exp(g.sub(logits.value, total));
            return product(steepened(g, probabilities, logits), scaled);
          });
        const whole = expected.length === 1 ? expected[0]! : g.concat(expected, 0);
        const direct = steepened(g, scaled, target);
        return g.sub(g.scatterAdd(direct, targets, vocabulary.shape[0]!), whole);
      },
      undefined,
    ];
  },
  regroup: ({ g, operands: [, from, to], cotangent }) => [
    () => g.regroup(cotangent, to!, from!),
    undefined,
    undefined,
  ],
  attention({ g, operands, attributes: { scale, lengths, bias, mask }, cotangent, residuals }) {
    const [query, key] = operands as [Value, Value, Value];
    const [batch, time, heads] = query.shape as [Dim, Dim, Dim, Dim];
    const keyLength = key.shape[1]!;
    const forward = residuals as AttentionForward;
    const upper = g.transpose(cotangent, [0, 2, 1, 3]);
    const gradient = g.reshape(
      forward.sees ? g.mul(upper, forward.sees) : upper,
      forward.query.shape,
    ); // [B, Hkv, G·T, D]
    /** Cotangent of the scores that the softmax is of [B, Hkv, G·T, S]. */
    const scores = once(() => {
      const direct = g.matmul(gradient, forward.value, { transposeB: true });
      // Σ_j P_ij dP_ij = dO_i · O_i, over D and not over S.
      const mean = g.reduceSum(g.mul(gradient, forward.context), [3], true);
      return g.mul(forward.probabilities, g.sub(direct, mean));
    });
    /** That of the scaled scores, before a cap. */
    const uncapped = once(() => steepened(g, scores(), forward));
    const contributions: ((() => Value) | undefined)[] = [
      () =>
        ungroupHeads(
          g,
          g.mul(g.matmul(uncapped(), forward.key), g.constant(scale)),
          heads,
          time,
        ),
      () => g.transpose(g.matmul(uncapped(), forward.query, { transposeA: true }), [0, 2, 1, 3]),
      () =>
        g.transpose(
          g.matmul(forward.probabilities, gradient, { transposeA: true }),
          [0, 2, 1, 3],
        ),
    ];
    if (lengths) contributions.push(undefined);
    if (mask.kind === "tree") contributions.push(undefined, undefined);
    if (bias) {
      const full = [batch, heads, time, keyLength];
      contributions.push(() => sumTo(g, g.reshape(scores(), full), full, operands.at(-1)!.shape));
    }
    return contributions;
  },
  cachedAttention({ operands }) {
    return operands.map(() => () => {
      throw new TypeError(
        "Cannot take the gradient of cachedAttention as it has none (use attention where a " +
          "gradient is needed): asked for",
      );
    });
  },
};
