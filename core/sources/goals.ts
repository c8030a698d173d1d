/**
 * Goals of responses from what was judged: what a loss of core's table reads as targets.
 *
 * @module
 */

import { scoresOf } from "../estimators.ts";
import type { Judgement } from "../oracle.ts";
import type { Selected } from "../selection.ts";
import { type Normalizer, targets } from "../targets.ts";

/**
 * What a response's goal is made of, in nats but for advantages:
 *
 * - `win-rate`: η P̂ − log Z, SPPO's step of multiplicative weights.
 * - `pair`: the same with P̂ of the two selected responses to each other alone (`sppo_single`).
 * - `score`: η s, s = mean_j (L_ij − L_ji): GPO's, a score in place of a probability.
 * - `reward`: the advantage of RLOO, A_i = R_i − mean_{j≠i} R_j, R = reward − β log π_t/π_0.
 * - `regularized`: the advantage of Nash-MD, A = P̂ − ½ − β log π_t/π_0, P̂ against the opponent.
 */
export type Goal = "win-rate" | "pair" | "score" | "reward" | "regularized";

/** What the goal `reward` takes as reward: the judge's scores, or the win rate. */
export type Reward = "score" | "win-rate";

/** What goals are made from. */
export interface GoalInput {
  /** What the judge said. */
  readonly judgement: Judgement;
  /** The estimator's table; see `estimatePreferences`. */
  readonly preferences: Float64Array;
  /** P̂ of each response. */
  readonly winRates: Float64Array;
  /** Which responses train. */
  readonly selected: Selected;
  /** η = 1/β. */
  readonly eta: number;
  /** What stands for log Z. */
  readonly normalizer: Normalizer;
  /** What a reward is. */
  readonly reward: Reward;
  /** Probability of each response, where they are not samples. */
  readonly weights?: readonly number[];
  /** log π_t(y | x) − log π_0(y | x) of each response, for the goals that {@linkcode NEEDS_KL} names. */
  readonly logRatios?: ArrayLike<number>;
}

/** Goals that need log-ratios to π_0. */
export const NEEDS_KL: Readonly<Record<Goal, boolean>> = {
  "win-rate": false,
  pair: false,
  score: false,
  reward: true,
  regularized: true,
};

/** Goals and what they were made of. */
export interface Goals {
  /** One for each response; NaN where it was dropped. */
  readonly values: Float64Array;
  /** The rewards, without the divergence, where the goal has any. */
  readonly rewards?: Float64Array;
}

/**
 * Goals by name.
 *
 * @example
 * ```ts
 * import { goals } from "./goals.ts";
 * import { select } from "../selection.ts";
 * import assert from "node:assert/strict";
 * const preferences = Float64Array.of(0.5, 0.75, 0.25, 0.5), winRates = Float64Array.of(0.75, 0.25);
 * const judgement = { size: 2, preferences, mask: Uint8Array.of(1, 1, 1, 1) };
 * const input = {
 *   judgement, preferences, winRates, selected: select(winRates), eta: 4,
 *   normalizer: "half", reward: "win-rate", logRatios: [1, -1],
 * } as const;
 * assert.deepEqual([...goals["win-rate"](input).values], [1, -1]);
 * // R = 0.75 − ¼ · 1 and 0.25 + ¼ · 1: no advantage.
 * assert.deepEqual([...goals.reward(input).values], [0, 0]);
 * assert.deepEqual([...goals.regularized(input).values], [0, 0]);
 * ```
 */
export const goals: { readonly [G in Goal]: (input: GoalInput) => Goals } = {
  "win-rate"({ winRates, eta, normalizer, weights }) {
    const weighted = weights === undefined ? {} : { weights };
    return { values: targets(winRates, { eta, normalizer, ...weighted }) };
  },

  pair({ judgement: { size }, preferences, selected: { best, worst }, eta }) {
    const rates = new Float64Array(size).fill(NaN);
    if (best >= 0 && best !== worst) {
      rates[best] = preferences[best * size + worst]!;
      rates[worst] = preferences[worst * size + best]!;
    }
    return { values: targets(rates, { eta }) };
  },

  score({ judgement, eta, weights }) {
    return { values: scoresOf(judgement, weights).map((score) => eta * score) };
  },

  reward({ judgement, winRates, reward, eta, logRatios, weights }) {
    const rewards = reward === "score" ? scoresOf(judgement, weights) : winRates;
    const returns = rewards.map((value, k) =>
      Number.isNaN(winRates[k]!) ? NaN : value - logRatios![k]! / eta
    );
    let sum = 0, total = 0;
    returns.forEach((value, k) => {
      if (Number.isNaN(value)) return;
      const weight = weights?.[k] ?? 1;
      sum += weight * value;
      total += weight;
    });
    // Of samples the others' mean, which does not depend on the response; of all responses there are,
    // each with its probability, the mean itself.
    const baseline = (value: number) =>
      weights === undefined ? (sum - value) / (total - 1) : sum / total;
    return { rewards, values: returns.map((value) => value - baseline(value)) };
  },

  regularized({ winRates, eta, logRatios }) {
    return {
      rewards: winRates,
      values: winRates.map((rate, k) => rate - 0.5 - logRatios![k]! / eta),
    };
  },
};
