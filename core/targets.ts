/**
 * Targets of the log-ratio log π_θ/π_t: the exact multiplicative-weights step, up to its normaliser.
 *
 * @module
 */

/**
 * What stands for log Z_η(x) = log E_{y ∼ π_t} exp(η P̂(y ≻ π_t | x)).
 *
 * - `half`: η/2, the paper's; exact when every P̂ is ½.
 * - `sample`: log mean_k exp(η P̂_k), over the responses at hand.
 */
export type Normalizer = "half" | "sample";

/** Options of {@linkcode targets}. */
export interface TargetsOptions {
  /** η = 1/β > 0. */
  readonly eta: number;
  /** `half` by default. */
  readonly normalizer?: Normalizer;
  /** Probability of each response, where they are not samples; `sample` then takes their mean. */
  readonly weights?: readonly number[];
}

/**
 * target_k = η P̂_k − log Z, in nats; η (P̂_k − ½) with the normaliser `half`.
 *
 * Source: Wu et al. 2024, arXiv:2405.00675.
 *
 * @param winRates P̂ of K responses in [0, 1]; NaN where dropped, which gives NaN and does not count.
 * @throws {RangeError} When η is not a positive number.
 *
 * @example
 * ```ts
 * import { targets } from "./targets.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual([...targets([0.75, 0.25], { eta: 4 })], [1, -1]);
 * const [chosen] = targets([1, 0], { eta: 2, normalizer: "sample" });
 * assert.ok(Math.abs(chosen! - (2 - Math.log((Math.E ** 2 + 1) / 2))) < 1e-12);
 * ```
 */
export function targets(winRates: ArrayLike<number>, options: TargetsOptions): Float64Array {
  const { eta, normalizer = "half", weights } = options;
  if (!(eta > 0 && isFinite(eta))) {
    throw new RangeError(`Cannot compute targets as eta must be a positive number: ${eta}`);
  }
  const values = new Float64Array(winRates.length);
  switch (normalizer) {
    case "half":
      for (let k = 0; k < values.length; k++) values[k] = eta * (winRates[k]! - 0.5);
      return values;
    case "sample": {
      const logZ = logMeanExp(winRates, eta, weights);
      for (let k = 0; k < values.length; k++) values[k] = eta * winRates[k]! - logZ;
      return values;
    }
    default:
      return normalizer satisfies never;
  }
}

function logMeanExp(
  winRates: ArrayLike<number>,
  eta: number,
  weights: readonly number[] | undefined,
): number {
  let largest = -Infinity;
  for (let k = 0; k < winRates.length; k++) {
    if (!Number.isNaN(winRates[k]!)) largest = Math.max(largest, eta * winRates[k]!);
  }
  let sum = 0, total = 0;
  for (let k = 0; k < winRates.length; k++) {
    if (Number.isNaN(winRates[k]!)) continue;
    const weight = weights === undefined ? 1 : weights[k]!;
    sum += weight * Math.exp(eta * winRates[k]! - largest);
    total += weight;
  }
  return largest + Math.log(sum / total);
}
