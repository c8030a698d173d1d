/**
 * A judge without a best answer: a beats b beats c beats a.
 *
 * @module
 */

import { judge } from "../core/judgements.ts";
import type { PreferenceOracle } from "../core/oracle.ts";
import { sigmoid } from "../core/estimators.ts";
import {
  checkSharpness,
  noiseOptions,
  pairNoise,
  type SharpnessOptions,
  squash,
  withOptions,
} from "./feature_judge.ts";
import type { Feature } from "./features.ts";

/** Options of {@linkcode cyclicJudge}. */
export interface CyclicJudgeOptions extends SharpnessOptions {
  /** At least three. Each beats the next, the last the first. */
  readonly features: readonly Feature[];
  /**
   * P(i-th ≻ next), one per feature, in (½, 1). By default what sharpness and cap make of a difference
   * of 1: ½ + (2·cap − 1)·(σ(sharpness) − ½).
   */
  readonly strengths?: readonly number[];
  /** P(any feature ≻ none of them), in (½, 1). By default as for strengths. */
  readonly none?: number;
}

/**
 * A cyclic judge. A response is classified by the first of the features that holds (score 1); one with
 * none loses to all that have one. Two of one class are ½ to each other, and so are, in cycles of four
 * and more, two classes that do not stand beside each other.
 *
 * Noise is added to the logit of a preference: P = σ(log(p/(1 − p)) + noise·z), z drawn once per
 * unordered pair, also between responses of one class; not for equal texts.
 *
 * @throws {RangeError} When there are fewer than three features, or an option is out of range.
 *
 * @example
 * ```ts
 * import { cyclicJudge } from "./cyclic_judge.ts";
 * import { startsFeature } from "./features.ts";
 * import assert from "node:assert/strict";
 * const features = ["rock", "scissors", "paper"].map(startsFeature);
 * const oracle = cyclicJudge({ features, strengths: [0.9, 0.6, 0.7], none: 0.8 });
 * const prompt = { id: "p", content: "?" };
 * const responses = ["rock", "scissors", "paper", "well"].map((text) => ({ text }));
 * for await (const { preferences } of oracle.compare([{ prompt, responses }])) {
 *   assert.equal(preferences[0 * 4 + 1], 0.9);
 *   assert.equal(preferences[1 * 4 + 2], 0.6);
 *   assert.equal(preferences[2 * 4 + 0], 0.7);
 *   assert.equal(preferences[2 * 4 + 3], 0.8);
 * }
 * ```
 */
export function cyclicJudge(options: CyclicJudgeOptions): PreferenceOracle {
  const { features } = options;
  const { sharpness, cap, noise, seed } = checkSharpness(options);
  const size = features.length;
  if (size < 3) {
    throw new RangeError(
      `Cannot make a cyclic judge as it must have three features or more: ${size}`,
    );
  }
  const usual = squash(sharpness, cap);
  const strengths = options.strengths ?? features.map(() => usual);
  const none = options.none ?? usual;
  if (strengths.length !== size || ![...strengths, none].every((p) => p > 0.5 && p < 1)) {
    throw new RangeError(
      `Cannot make a cyclic judge as it must have ${size} strengths, they and none above 0.5 and ` +
        `below 1: ${strengths.join(", ")}, and ${none}`,
    );
  }
  const classOf = classifier(features);
  const preference = (a: number, b: number): number => {
    if (a === b) return 0.5;
    if (b < 0) return none;
    if (a < 0) return 1 - none;
    if ((a + 1) % size === b) return strengths[a]!;
    if ((b + 1) % size === a) return 1 - strengths[b]!;
    return 0.5;
  };
  return {
    id: withOptions(`cycle:${features.map(({ id }) => id).join(",")}`, {
      strengths: strengths.join("/"),
      none,
      ...noiseOptions(noise, seed),
    }),
    async *compare(groups, { signal } = {}) {
      for (const group of groups) {
        signal?.throwIfAborted();
        const texts = group.responses.map(({ text }) => text);
        const classes = texts.map(classOf);
        yield judge(group, (i, j) => {
          const p = preference(classes[i]!, classes[j]!);
          const z = pairNoise(noise, seed, group.prompt.id, texts[i]!, texts[j]!);
          return z === 0 ? p : sigmoid(Math.log(p / (1 - p)) + z);
        });
      }
    },
  };
}

/**
 * Says which of some features a text has: the index of the first that holds, −1 for none.
 *
 * @example
 * ```ts
 * import { classifier } from "./cyclic_judge.ts";
 * import { lengthFeature, startsFeature } from "./features.ts";
 * import assert from "node:assert/strict";
 * const classOf = classifier([startsFeature("no"), lengthFeature({ max: 2 })]);
 * assert.deepEqual(["no", "yes", "yes, if you want"].map(classOf), [0, 1, -1]);
 * ```
 */
export function classifier(features: readonly Feature[]): (text: string) => number {
  return (text) => features.findIndex((feature) => feature.score(text) === 1);
}
