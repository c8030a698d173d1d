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
  const { estimator = "matrix", selfTerm = "include", preferenceTemperature, weights } = options;
  const { size, mask } = judgement;
  if (preferenceTemperature !== undefined && !(preferenceTemperature > 0)) {
    throw new RangeError(
      `Cannot estimate win rates as the preference temperature must be positive: ${preferenceTemperature}`,
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
  const cell = preferenceCells(judgement, estimator, preferenceTemperature, weights);
  const winRates = new Float64Array(size).fill(NaN);
  let dropped = 0;
  for (let i = 0; i < size; i++) {
    let sum = 0, total = 0, others = 0;
    for (let j = 0; j < size; j++) {
      if (mask[i * size + j] !== 1 || (i === j && selfTerm === "exclude")) continue;
      const weight = weights === undefined ? 1 : weights[j]!;
      sum += weight * (i === j ? 0.5 : cell(i, j));
      total += weight;
      if (i !== j) others++;
    }
    if (others > 0 && total > 0) winRates[i] = sum / total;
    else dropped++;
  }
  return { winRates, dropped };
}

function preferenceCells(
  { size, preferences, mask, logits }: Judgement,
  estimator: Estimator,
  temperature: number | undefined,
  weights: readonly number[] | undefined,
): (i: number, j: number) => number {
  if (estimator === "matrix" && temperature === undefined) {
    return (i, j) => preferences[i * size + j]!;
  }
  if (logits === undefined) {
    const what = estimator === "scores"
      ? 'use the estimator "scores"'
      : "apply a preference temperature";
    throw new TypeError(
      `Cannot ${what} as the judge must give logits: this judgement has preferences only; use the ` +
        `estimator "matrix" without a temperature`,
    );
  }
  const difference = (i: number, j: number): number =>
    i === j ? 0 : logits[i * size + j]! - logits[j * size + i]!;
  const scale = temperature ?? 1;
  switch (estimator) {
    case "matrix":
      return (i, j) => sigmoid(difference(i, j) / scale);
    case "scores": {
      const scores = new Float64Array(size); // [K]
      for (let i = 0; i < size; i++) {
        let sum = 0, total = 0;
        for (let j = 0; j < size; j++) {
          if (mask[i * size + j] !== 1) continue;
          const weight = weights === undefined ? 1 : weights[j]!;
          sum += weight * difference(i, j);
          total += weight;
        }
        scores[i] = total > 0 ? sum / total : 0;
      }
      return (i, j) => sigmoid((scores[i]! - scores[j]!) / scale);
    }
    default:
      return estimator satisfies never;
  }
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
