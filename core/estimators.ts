/**
 * Estimators of the win rate P̂(y ≻ π_t | x) from a judgement of K responses of π_t.
 *
 * @module
 */

import type { Judgement } from "./oracle.ts";

/** Name of an estimator: the judge's table as it is, or collapsed to one score per response. */
export type Estimator = "matrix" | "scores";

/** Whether a response's comparison with itself, ½, counts. */
export type SelfTerm = "include" | "exclude";

/** Options of {@linkcode estimateWinRates}. */
export interface EstimateWinRatesOptions {
  /**
   * - `matrix` (default): P_ij are the judge's preferences, or σ((L_ij − L_ji)/temperature) where a
   *   `preferenceTemperature` is given. Keeps cycles.
   * - `scores`: s_i = mean_j (L_ij − L_ji) over all columns, the diagonal 0 with them, and
   *   P_ij = σ((s_i − s_j)/temperature): the released code's Bradley–Terry collapse, for parity. On a
   *   perfect cycle every P̂ is ½.
   *   Source: uclaml/SPPO 5e61c4e `scripts/compute_prob.py`; LLM-Blender `get_scores_from_cmps`.
   */
  readonly estimator?: Estimator;
  /** `include` (default): the paper's mean over all K. `exclude`: the unbiased mean over the others. */
  readonly selfTerm?: SelfTerm;
  /** Divides differences of logits, > 0. PairRM is calibrated at 2; the paper's formula is 1. */
  readonly preferenceTemperature?: number;
  /** Probability of each response, where they are not samples: means become weighted. */
  readonly weights?: readonly number[];
}

/** Win rates of K responses. */
export interface WinRates {
  /** P̂(y_k ≻ π_t | x) in [0, 1]; NaN where the response was dropped. */
  readonly winRates: Float64Array;
  /** The table they are means of, as {@linkcode estimatePreferences} gives it. */
  readonly preferences: Float64Array;
  /** Responses dropped, because they were compared with no other. */
  readonly dropped: number;
}

/**
 * Estimates win rates: P̂_i = mean over the cells j that exist of P_ij.
 *
 * Masked cells are left out of numerator and denominator. A response that was compared with no other,
 * or whose cells all have weight 0, is dropped: NaN, and counted.
 *
 * @param judgement K×K preferences, with logits for `scores` and for a temperature.
 * @throws {TypeError} When logits are needed and the judgement has none.
 * @throws {RangeError} When the temperature is not positive, or weights are not K numbers ≥ 0.
 *
 * @example
 * ```ts
 * import { estimateWinRates } from "./estimators.ts";
 * import assert from "node:assert/strict";
 * const judgement = {
 *   size: 2,
 *   preferences: Float64Array.of(0.5, 0.9, 0.1, 0.5),
 *   mask: Uint8Array.of(1, 1, 1, 1),
 * };
 * assert.deepEqual([...estimateWinRates(judgement).winRates], [0.7, 0.3]);
 * const others = estimateWinRates(judgement, { selfTerm: "exclude" });
 * assert.deepEqual([...others.winRates], [0.9, 0.1]);
 * ```
 */
export function estimateWinRates(
  judgement: Judgement,
  options: EstimateWinRatesOptions = {},
): WinRates {
  const { selfTerm = "include", weights } = options;
  const { size, mask } = judgement;
  const preferences = estimatePreferences(judgement, options);
  const winRates = new Float64Array(size).fill(NaN);
  let dropped = 0;
  for (let i = 0; i < size; i++) {
    let sum = 0, total = 0, others = 0;
    for (let j = 0; j < size; j++) {
      if (mask[i * size + j] !== 1 || (i === j && selfTerm === "exclude")) continue;
      const weight = weights === undefined ? 1 : weights[j]!;
      sum += weight * preferences[i * size + j]!;
      total += weight;
      if (i !== j) others++;
    }
    if (others > 0 && total > 0) winRates[i] = sum / total;
    else dropped++;
  }
  return { winRates, preferences, dropped };
}

/**
 * The table an estimator takes means of.
 *
 * @returns P_ij at i·K + j, ½ on the diagonal, NaN where masked.
 * @throws {TypeError} When logits are needed and the judgement has none.
 * @throws {RangeError} When the temperature is not positive, or weights are not K numbers ≥ 0.
 *
 * @example
 * ```ts
 * import { estimatePreferences } from "./estimators.ts";
 * import assert from "node:assert/strict";
 * // A perfect cycle in the judge's logits: y1 ≻ y2 ≻ y3 ≻ y1.
 * const judgement = {
 *   size: 3,
 *   preferences: new Float64Array(9).fill(0.5),
 *   mask: new Uint8Array(9).fill(1),
 *   logits: Float64Array.of(0, 1, 0, 0, 0, 1, 1, 0, 0),
 * };
 * const scores = estimatePreferences(judgement, { estimator: "scores" });
 * assert.deepEqual([...scores], new Array(9).fill(0.5));
 * const matrix = estimatePreferences(judgement, { preferenceTemperature: 1 });
 * assert.ok(Math.abs(matrix[1]! - Math.E / (Math.E + 1)) < 1e-12);
 * ```
 */
export function estimatePreferences(
  judgement: Judgement,
  options: Omit<EstimateWinRatesOptions, "selfTerm"> = {},
): Float64Array {
  const { estimator = "matrix", preferenceTemperature: temperature, weights } = options;
  const { size, mask } = judgement;
  if (temperature !== undefined && !(temperature > 0)) {
    throw new RangeError(
      `Cannot estimate win rates as the preference temperature must be positive: ${temperature}`,
    );
  }
  if (
    weights !== undefined &&
    !(weights.length === size && weights.every((w) => w >= 0 && isFinite(w)))
  ) {
    throw new RangeError(
      `Cannot estimate win rates as there must be ${size} weights, finite and not negative: ${weights}`,
    );
  }
  if (estimator === "matrix" && temperature === undefined) return judgement.preferences.slice();
  const difference = differences(
    judgement,
    estimator === "scores" ? 'use the estimator "scores"' : "apply a preference temperature",
  );
  const table = new Float64Array(size * size).fill(NaN);
  const fill = (logit: (i: number, j: number) => number): Float64Array => {
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        if (mask[i * size + j] !== 1) continue;
        table[i * size + j] = i === j ? 0.5 : sigmoid(logit(i, j) / (temperature ?? 1));
      }
    }
    return table;
  };
  switch (estimator) {
    case "matrix":
      return fill(difference);
    case "scores": {
      const scores = scoresOf(judgement, weights);
      return fill((i, j) => scores[i]! - scores[j]!);
    }
    default:
      return estimator satisfies never;
  }
}

/** L_ij − L_ji, 0 on the diagonal. */
function differences(
  { size, logits }: Judgement,
  what: string,
): (i: number, j: number) => number {
  if (logits === undefined) {
    throw new TypeError(
      `Cannot ${what} as the judge must give logits: this judgement has preferences only; use the ` +
        `estimator "matrix" without a temperature`,
    );
  }
  return (i, j) => i === j ? 0 : logits[i * size + j]! - logits[j * size + i]!;
}

/**
 * s_i = mean over the cells j that exist of (L_ij − L_ji), the diagonal 0 with them. Of a judge whose
 * L_ij − L_ji is a difference of rewards r_i − r_j it is the reward, up to the group's mean.
 *
 * Source: LLM-Blender `get_scores_from_cmps`.
 *
 * @param weights Probability of each response, where they are not samples.
 * @throws {TypeError} When the judgement has no logits.
 *
 * @example
 * ```ts
 * import { scoresOf } from "./estimators.ts";
 * import assert from "node:assert/strict";
 * const preferences = new Float64Array(4).fill(0.5), mask = new Uint8Array(4).fill(1);
 * const judgement = { size: 2, preferences, mask, logits: Float64Array.of(0, 2, -1, 0) };
 * assert.deepEqual([...scoresOf(judgement)], [1.5, -1.5]);
 * ```
 */
export function scoresOf(judgement: Judgement, weights?: readonly number[]): Float64Array {
  const { size, mask } = judgement;
  const difference = differences(judgement, "take scores of responses");
  return Float64Array.from({ length: size }, (_, i) => {
    let sum = 0, total = 0;
    for (let j = 0; j < size; j++) {
      if (mask[i * size + j] !== 1) continue;
      const weight = weights === undefined ? 1 : weights[j]!;
      sum += weight * difference(i, j);
      total += weight;
    }
    return total > 0 ? sum / total : 0;
  });
}

/**
 * σ(x) = 1 / (1 + e⁻ˣ), without overflow; σ(x) + σ(−x) = 1.
 *
 * @example
 * ```ts
 * import { sigmoid } from "./estimators.ts";
 * import assert from "node:assert/strict";
 * assert.equal(sigmoid(0), 0.5);
 * assert.equal(sigmoid(-800), 0);
 * ```
 */
export function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  return 1 - 1 / (1 + Math.exp(x));
}
