/**
 * Algorithms that hold on to a reference, for contrast with SPPO, which leaves its start.
 *
 * @module
 */

import type { PreferenceMatrix } from "../../core/exploitability.ts";
import { bradleyTerryScores } from "../bradley_terry.ts";
import { type Eta, etaOf, payoffOf, softmax, startLogWeights } from "./iterates.ts";

/** Options of {@linkcode nashMirrorDescent}. */
export interface NashMirrorDescentOptions {
  /** η > 0, with η τ ≤ 1. */
  readonly eta: Eta;
  /** τ > 0: strength of the pull to the reference, KL in the units of preference. */
  readonly tau: number;
  /** μ, with no answer of probability 0; uniform by default. Also π_0. */
  readonly reference?: ArrayLike<number>;
}

/**
 * Nash-MD: mirror descent against a geometric mixture of the last policy and the reference,
 *
 *     π′_t ∝ π_t^(1 − ητ) · μ^(ητ),   π_{t+1}(i) ∝ π′_t(i) · exp(η (P π′_t)_i).
 *
 * Its last iterate converges, at 1/t, to the equilibrium of the game regularised by τ KL(·‖μ), which is
 * not the game's: as τ falls it comes near, ever slower.
 *
 * Source: Munos et al. 2023, arXiv:2312.00886.
 *
 * @throws {RangeError} When ητ > 1, or the reference leaves out an answer.
 *
 * @example
 * ```ts
 * import { nashMirrorDescent } from "./with_reference.ts";
 * import assert from "node:assert/strict";
 * const game = { size: 2, preferences: [0.5, 1, 0, 0.5] };
 * let last: Float64Array = new Float64Array(2), t = 0;
 * for (last of nashMirrorDescent(game, { eta: 0.1, tau: 1 })) if (++t > 500) break;
 * // The regularised equilibrium has log-odds (P₁ − P₀)/τ = ½.
 * assert.ok(Math.abs(Math.log(last[0]! / last[1]!) - 0.5) < 1e-6);
 * ```
 */
export function* nashMirrorDescent(
  game: PreferenceMatrix,
  { eta, tau, reference }: NashMirrorDescentOptions,
): Generator<Float64Array, never> {
  const { size } = game;
  const payoff = payoffOf(game);
  const anchor = startLogWeights(size, reference);
  if (!(tau > 0) || !anchor.every(isFinite)) {
    throw new RangeError(
      `Cannot play with a reference as tau must be positive and every answer in the reference: ` +
        `${tau}, ${Array.from(anchor, Math.exp).slice(0, 8)}`,
    );
  }
  const logWeights = anchor.slice(), between = new Float64Array(size);
  const mixture = new Float64Array(size), winRates = new Float64Array(size);
  for (let t = 0;; t++) {
    softmax(logWeights, mixture);
    yield mixture;
    const step = etaOf(eta, t), pull = step * tau;
    if (pull > 1) {
      throw new RangeError(`Cannot play with a reference as eta · tau must be at most 1: ${pull}`);
    }
    for (let i = 0; i < size; i++) logWeights[i] = (1 - pull) * logWeights[i]! + pull * anchor[i]!;
    softmax(logWeights, between);
    payoff(between, winRates);
    for (let i = 0; i < size; i++) logWeights[i]! += step * (winRates[i]! - 0.5);
  }
}

/**
 * The policy of RLHF and of DPO on comparisons of responses drawn from the reference, both fitted to
 * the end: π ∝ μ · exp(s/β), s the Bradley–Terry scores with weights μ. It has no cycle to follow, and
 * as β falls it is the answer of the highest score.
 *
 * Source: Rafailov et al. 2023, arXiv:2305.18290, equations 4 and 6.
 *
 * @param beta β > 0.
 * @param reference μ; uniform by default.
 *
 * @example
 * ```ts
 * import { bradleyTerryPolicy } from "./with_reference.ts";
 * import assert from "node:assert/strict";
 * const [first] = bradleyTerryPolicy({ size: 2, preferences: [0.5, 0.75, 0.25, 0.5] }, 1);
 * assert.ok(Math.abs(first! - 0.75) < 1e-9);
 * ```
 */
export function bradleyTerryPolicy(
  game: PreferenceMatrix,
  beta: number,
  reference?: ArrayLike<number>,
): Float64Array {
  if (!(beta > 0)) {
    throw new RangeError(`Cannot fit a policy as beta must be positive: ${beta}`);
  }
  const scores = bradleyTerryScores(game, reference);
  const logWeights = startLogWeights(game.size, reference);
  for (let i = 0; i < game.size; i++) logWeights[i]! += scores[i]! / beta;
  const mixture = new Float64Array(game.size);
  softmax(logWeights, mixture);
  return mixture;
}
