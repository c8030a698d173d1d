/**
 * Multiplicative weights in self-play, every answer's win rate known exactly.
 *
 * @module
 */

import type { PreferenceMatrix } from "../../core/exploitability.ts";
import {
  hasKernels,
  KERNEL_SIZE,
  kernelPayoff,
  type PayoffPrecision,
} from "../kernel/antisymmetric.ts";
import { type Eta, etaOf, type Payoff, payoffOf, softmax, startLogWeights } from "./iterates.ts";

/** Options of the algorithms of this file. */
export interface HedgeOptions {
  /** η > 0. */
  readonly eta: Eta;
  /** π_0; uniform by default. */
  readonly start?: ArrayLike<number>;
  /**
   * Of win rates; everything else is float64. `float32` is faster in games of hundreds of answers, and
   * off by some 1e-8. `float64` by default.
   */
  readonly precision?: PayoffPrecision;
}

/** The kernel's product, or in small games, and in engines without relaxed SIMD, a loop in float64. */
function payoffIn(game: PreferenceMatrix, precision: PayoffPrecision = "float64"): Payoff {
  return precision === "float32" || (game.size >= KERNEL_SIZE && hasKernels())
    ? kernelPayoff(game, precision)
    : payoffOf(game);
}

/**
 * η = √(8 ln n / T), with which the average of T rounds has a gap of at most √(ln n / 2T).
 *
 * Source: Freund and Schapire 1999; Cesa-Bianchi and Lugosi 2006, theorem 2.2.
 *
 * @example
 * ```ts
 * import { hedgeEta } from "./hedge.ts";
 * import assert from "node:assert/strict";
 * assert.ok(Math.abs(hedgeEta(1, 8 * Math.LN2 * 4) - 0) < 1e-12);
 * assert.ok(Math.abs(hedgeEta(2, 8 * Math.LN2) - 1) < 1e-12);
 * ```
 */
export function hedgeEta(size: number, rounds: number): number {
  return Math.sqrt(8 * Math.log(size) / rounds);
}

/**
 * Hedge: π_{t+1}(i) ∝ π_t(i) · exp(η_t (P π_t)_i), what SPPO does when every answer is in the group.
 * With a constant η it is the algorithm of Theorem 4.1; with a schedule it is mirror descent, as in
 * the loop of self-play.
 *
 * Source: Freund and Schapire 1999; Wu et al. 2024, arXiv:2405.00675.
 *
 * @example
 * ```ts
 * import { hedge } from "./hedge.ts";
 * import assert from "node:assert/strict";
 * const game = { size: 2, preferences: [0.5, 1, 0, 0.5] };
 * const [, second] = Iterator.from(hedge(game, { eta: 2 })).take(2).map((p) => p.slice());
 * // Win rates .75 and .25: odds e to 1.
 * assert.ok(Math.abs(second![0]! - Math.E / (Math.E + 1)) < 1e-12);
 * ```
 */
export function* hedge(
  game: PreferenceMatrix,
  { eta, start, precision }: HedgeOptions,
): Generator<Float64Array, never> {
  const { size } = game;
  const payoff = payoffIn(game, precision);
  const logWeights = startLogWeights(size, start);
  const mixture = new Float64Array(size), winRates = new Float64Array(size);
  for (let t = 0;; t++) {
    softmax(logWeights, mixture);
    yield mixture;
    payoff(mixture, winRates);
    const step = etaOf(eta, t);
    for (let i = 0; i < size; i++) logWeights[i]! += step * (winRates[i]! - 0.5);
  }
}

/**
 * Hedge that need not know T: π_t(i) ∝ π_0(i) · exp(η_t Σ_{s<t} (P π_s)_i) with η_t falling, by default
 * √(8 ln n / (t + 1)) (dual averaging; every round counts alike, so the plain average converges).
 *
 * Source: Cesa-Bianchi and Lugosi 2006, theorem 2.3.
 *
 * @example
 * ```ts
 * import { decayingHedge } from "./hedge.ts";
 * import assert from "node:assert/strict";
 * const [first] = decayingHedge({ size: 2, preferences: [0.5, 1, 0, 0.5] });
 * assert.deepEqual([...first!], [0.5, 0.5]);
 * ```
 */
export function* decayingHedge(
  game: PreferenceMatrix,
  options: Partial<HedgeOptions> = {},
): Generator<Float64Array, never> {
  const { size } = game;
  const { start, eta = (t: number) => hedgeEta(Math.max(size, 2), t + 1) } = options;
  const payoff = payoffIn(game, options.precision);
  const first = startLogWeights(size, start);
  const gains = new Float64Array(size), logWeights = new Float64Array(size);
  const mixture = new Float64Array(size), winRates = new Float64Array(size);
  for (let t = 0;; t++) {
    const step = etaOf(eta, t);
    for (let i = 0; i < size; i++) logWeights[i] = first[i]! + step * gains[i]!;
    softmax(logWeights, mixture);
    yield mixture;
    payoff(mixture, winRates);
    for (let i = 0; i < size; i++) gains[i]! += winRates[i]! - 0.5;
  }
}

/**
 * Optimistic Hedge, which takes the last round's win rates for the next's:
 * π_t(i) ∝ π_0(i) · exp(η (Σ_{s<t} g_s + g_{t−1})_i), g_s = P π_s. With a constant η the average's gap
 * falls as 1/T, and where the equilibrium is unique the last iterate converges too.
 *
 * Source: Rakhlin and Sridharan 2013, arXiv:1311.1869; Wei et al. 2021, arXiv:2006.09517.
 *
 * @example
 * ```ts
 * import { optimisticHedge } from "./hedge.ts";
 * import assert from "node:assert/strict";
 * const game = { size: 2, preferences: [0.5, 1, 0, 0.5] };
 * const [, second] = Iterator.from(optimisticHedge(game, { eta: 1 })).take(2).map((p) => p.slice());
 * assert.ok(Math.abs(second![0]! - Math.E / (Math.E + 1)) < 1e-12);
 * ```
 */
export function* optimisticHedge(
  game: PreferenceMatrix,
  { eta, start, precision }: HedgeOptions,
): Generator<Float64Array, never> {
  const { size } = game;
  const payoff = payoffIn(game, precision);
  const sums = startLogWeights(size, start), logWeights = new Float64Array(size);
  const mixture = new Float64Array(size), winRates = new Float64Array(size).fill(0.5);
  for (let t = 0;; t++) {
    const step = etaOf(eta, t);
    for (let i = 0; i < size; i++) logWeights[i] = sums[i]! + step * (winRates[i]! - 0.5);
    softmax(logWeights, mixture);
    yield mixture;
    payoff(mixture, winRates);
    for (let i = 0; i < size; i++) sums[i]! += step * (winRates[i]! - 0.5);
  }
}
