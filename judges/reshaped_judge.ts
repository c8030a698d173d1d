/**
 * Judges whose preferences are changed pair by pair: noise, and temperatures fitted on labels.
 *
 * @module
 */

import { sigmoid } from "../core/estimators.ts";
import {
  type CompareOptions,
  type ComparisonGroup,
  type Judgement,
  needsOf,
  type PreferenceOracle,
} from "../core/oracle.ts";
import { randomStream } from "../core/random.ts";
import type { JudgedPair } from "./agreement.ts";
import { checkNoise, type NoiseOptions, pairNoise } from "./feature_judge.ts";
import { costsOf, judgementOf } from "./side_by_side.ts";

/** Options of {@linkcode noisyJudge}. */
export interface NoisyJudgeOptions extends NoiseOptions {
  /** Chance that a pair's preference is turned round, P → 1 − P, in [0, 1]; 0 by default. */
  readonly flip?: number;
}

/**
 * A judge with noise: P′ = σ(log(P/(1 − P)) + noise·z), z normal, then 1 − P′ with the chance `flip`.
 * Both are drawn from the seed, the prompt's id and the two texts, once per unordered pair: P + Pᵀ = 1
 * holds, and the same question has the same answer. Equal texts stay ½, and no noise of the logit
 * moves 0 and 1: `flip` does. There are no logits.
 *
 * @throws {RangeError} When an option is out of range.
 *
 * @example
 * ```ts
 * import { noisyJudge } from "./reshaped_judge.ts";
 * import { lengthJudge } from "./feature_judge.ts";
 * import assert from "node:assert/strict";
 * const oracle = noisyJudge(lengthJudge({ max: 1 }), { flip: 1 });
 * const prompt = { id: "p", content: "?" }, responses = [{ text: "word" }, { text: "two words" }];
 * for await (const { preferences } of oracle.compare([{ prompt, responses }])) {
 *   assert.ok(preferences[1]! < 0.5);
 * }
 * ```
 */
export function noisyJudge(
  oracle: PreferenceOracle,
  options: NoisyJudgeOptions = {},
): PreferenceOracle {
  const { noise, seed } = checkNoise(options), { flip = 0 } = options;
  if (!(flip >= 0 && flip <= 1)) {
    throw new RangeError(`Cannot make a judge as its chance to flip must be in [0, 1]: ${flip}`);
  }
  return {
    id: `noisy(${oracle.id})@noise=${noise},flip=${flip},seed=${seed}`,
    ...needsOf([oracle]),
    compare: (groups, asked) =>
      reshaped(oracle, groups, asked, (p, promptId, left, right) => {
        if (left === right) return p;
        const z = pairNoise(noise, seed, promptId, left, right);
        const noisy = z === 0 ? p : sigmoid(logit(p) + z);
        if (flip === 0) return noisy;
        const [first, second] = left < right ? [left, right] : [right, left];
        const turned = randomStream(seed, "flip", promptId, first, second).next() < flip;
        return turned ? 1 - noisy : noisy;
      }),
  };
}

/**
 * A judge at another temperature: P′ = σ(log(P/(1 − P)) / temperature), above 1 less sure, below 1
 * surer. The favourite of a pair stays, and so do 0, ½ and 1. There are no logits.
 *
 * @param temperature Positive; {@linkcode fitTemperature} finds the one that suits labels.
 *
 * @example
 * ```ts
 * import { temperedJudge } from "./reshaped_judge.ts";
 * import { judge } from "../core/judgements.ts";
 * import assert from "node:assert/strict";
 * const oracle = temperedJudge({
 *   id: "sure",
 *   async *compare(groups) {
 *     for (const group of groups) yield judge(group, () => 0.9);
 *   },
 * }, 2);
 * const prompt = { id: "p", content: "?" }, responses = [{ text: "a" }, { text: "b" }];
 * for await (const { preferences } of oracle.compare([{ prompt, responses }])) {
 *   assert.ok(Math.abs(preferences[1]! - 0.75) < 1e-12); // Odds of 9 become odds of 3.
 * }
 * ```
 */
export function temperedJudge(oracle: PreferenceOracle, temperature: number): PreferenceOracle {
  if (!(temperature > 0 && isFinite(temperature))) {
    throw new RangeError(`Cannot make a judge as its temperature must be positive: ${temperature}`);
  }
  return {
    id: `tempered(${oracle.id})@temperature=${temperature}`,
    ...needsOf([oracle]),
    compare: (groups, asked) =>
      reshaped(oracle, groups, asked, (p) => p === 0.5 ? p : sigmoid(logit(p) / temperature)),
  };
}

/** A preference of 0 or 1 counts in the fit as one this far from it. */
const SURE = 1e-6;
/** Temperatures the fit looks at: from 1e-4 to 1e4. */
const WIDEST = Math.log(1e4);

/**
 * The temperature at which preferences have the greatest likelihood of labels: it minimises
 * L(β) = Σ −y log σ(βz) − (1 − y) log σ(−βz), z = log(P/(1 − P)), β = 1/temperature. L is convex in β,
 * so that its derivative Σ z (σ(βz) − y) changes sign once, where bisection finds it.
 *
 * Source: Guo et al. 2017 (arXiv:1706.04599), of two classes; soft labels count in proportion.
 *
 * @param pairs The judge's preferences at temperature 1, with labels: ones it was not fitted on.
 * @throws {RangeError} When there is no such temperature: without pairs, when the judge never takes a
 *   side, is against the labels more than for them, or against none of them at all.
 *
 * @example
 * ```ts
 * import { fitTemperature } from "./reshaped_judge.ts";
 * import assert from "node:assert/strict";
 * // Says 0.9 and is right three times in four: odds of 9 should be odds of 3 = √9.
 * const pairs = [1, 1, 1, 0].map((label) => ({ preference: 0.9, label }));
 * assert.ok(Math.abs(fitTemperature(pairs) - 2) < 1e-9);
 * ```
 */
export function fitTemperature(pairs: readonly JudgedPair[]): number {
  const points = pairs.map(({ preference, label }) => ({
    z: logit(Math.min(Math.max(preference, SURE), 1 - SURE)),
    label,
  }));
  const slope = (logBeta: number) =>
    points.reduce((sum, { z, label }) => sum + z * (sigmoid(Math.exp(logBeta) * z) - label), 0);
  let low = -WIDEST, high = WIDEST;
  if (!(slope(low) < 0 && slope(high) > 0)) {
    throw new RangeError(
      `Cannot fit a temperature as of some pairs the judge must take the labels' side, of fewer the ` +
        `other: ${pairs.length} pairs, slopes ${slope(low)} and ${slope(high)} at both ends`,
    );
  }
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (slope(middle) < 0) low = middle;
    else high = middle;
  }
  return Math.exp(-(low + high) / 2);
}

function logit(p: number): number {
  return Math.log(p / (1 - p));
}

async function* reshaped(
  oracle: PreferenceOracle,
  groups: readonly ComparisonGroup[],
  options: CompareOptions | undefined,
  change: (p: number, promptId: string, left: string, right: string) => number,
): AsyncGenerator<Judgement> {
  let index = 0;
  for await (const judgement of oracle.compare(groups, options)) {
    const { prompt, responses } = groups[index++]!;
    const { size, preferences, mask } = judgement;
    const changed = judgementOf(size, (i, j) => {
      const at = i * size + j;
      if (mask[at] !== 1) return undefined;
      return change(preferences[at]!, prompt.id, responses[i]!.text, responses[j]!.text);
    });
    yield { ...changed, ...costsOf([judgement]) };
  }
}
