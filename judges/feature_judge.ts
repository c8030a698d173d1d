/**
 * Judges that prefer what has more of a feature.
 *
 * @module
 */

import { sigmoid } from "../core/estimators.ts";
import { judge } from "../core/judgements.ts";
import type { ComparisonGroup, PreferenceOracle } from "../core/oracle.ts";
import { normal, randomStream } from "../core/random.ts";
import {
  type Feature,
  jsonFeature,
  lengthFeature,
  type LengthFeatureOptions,
  lexiconFeature,
  type LexiconFeatureOptions,
  regexFeature,
} from "./features.ts";

/** Noise of a scripted judge, drawn once per unordered pair of texts, so that P + Pᵀ = 1 holds. */
export interface NoiseOptions {
  /** Standard deviation of the normal noise added to the logit of a preference; 0 by default. */
  readonly noise?: number;
  /** Seed of the noise; 0 by default. */
  readonly seed?: number;
}

/** How scripted judges turn a difference of scores into a preference. */
export interface SharpnessOptions extends NoiseOptions {
  /** Logit of a difference of 1, > 0; 6 by default. */
  readonly sharpness?: number;
  /** Bound of every preference: P in [1 − cap, cap], ½ < cap ≤ 1; 0.95 by default. */
  readonly cap?: number;
}

/**
 * A judge of a feature:
 *
 * P(y ≻ y′) = ½ + (2·cap − 1)·(σ(sharpness·(s(y) − s(y′)) + noise·z) − ½),
 *
 * where s is the score in [0, 1], and z a standard normal draw from (seed, prompt id, the two texts),
 * with the sign turned for (y′, y). Strictly between 1 − cap and cap, σ itself when cap is 1.
 * Responses of the same text are ½ to each other.
 *
 * @throws {RangeError} When an option is out of range.
 *
 * @example
 * ```ts
 * import { featureJudge } from "./feature_judge.ts";
 * import { jsonFeature } from "./features.ts";
 * import assert from "node:assert/strict";
 * const oracle = featureJudge(jsonFeature(), { sharpness: Math.log(3), cap: 1 });
 * const prompt = { id: "p", content: "JSON, please" }, responses = [{ text: "{}" }, { text: "{" }];
 * for await (const { preferences } of oracle.compare([{ prompt, responses }])) {
 *   assert.ok(Math.abs(preferences[1]! - 0.75) < 1e-12);
 * }
 * ```
 */
export function featureJudge(feature: Feature, options: SharpnessOptions = {}): PreferenceOracle {
  return scoreJudge({
    id: feature.id,
    scores: ({ responses }) => responses.map(({ text }) => feature.score(text)),
  }, options);
}

/** What scores the responses of a group, each in [0, 1]. */
export interface GroupScores {
  /** Covers everything the scores depend on, the prompt's fields aside. */
  readonly id: string;
  /** One score for each response; the same text has the same. */
  scores(group: ComparisonGroup): readonly number[] | Promise<readonly number[]>;
}

/** The judge of {@linkcode featureJudge} on scores that may depend on the prompt. */
export function scoreJudge(
  { id, scores: scoresOf }: GroupScores,
  options: SharpnessOptions = {},
): PreferenceOracle {
  const { sharpness, cap, noise, seed } = checkSharpness(options);
  return {
    id: withOptions(id, { sharpness, cap, ...noiseOptions(noise, seed) }),
    async *compare(groups, { signal } = {}) {
      for (const group of groups) {
        signal?.throwIfAborted();
        const texts = group.responses.map(({ text }) => text);
        const scores = await scoresOf(group);
        yield judge(group, (i, j) => {
          if (texts[i] === texts[j]) return 0.5;
          const z = pairNoise(noise, seed, group.prompt.id, texts[i]!, texts[j]!);
          return squash(sharpness * (scores[i]! - scores[j]!) + z, cap);
        });
      }
    },
  };
}

/** Options of {@linkcode lengthJudge}. */
export interface LengthJudgeOptions extends LengthFeatureOptions, SharpnessOptions {}

/**
 * A judge that prefers lengths inside a window, or nearer to it.
 *
 * @example
 * ```ts
 * import { lengthJudge } from "./feature_judge.ts";
 * import assert from "node:assert/strict";
 * assert.equal(lengthJudge({ min: 30, max: 60 }).id, "length:30-60@sharpness=6,cap=0.95");
 * ```
 */
export function lengthJudge(options: LengthJudgeOptions): PreferenceOracle {
  return featureJudge(lengthFeature(options), options);
}

/** Options of {@linkcode lexiconJudge}. */
export interface LexiconJudgeOptions extends LexiconFeatureOptions, SharpnessOptions {}

/**
 * A judge that prefers responses with phrases of a list.
 *
 * @example
 * ```ts
 * import { lexiconJudge } from "./feature_judge.ts";
 * import assert from "node:assert/strict";
 * const { id } = lexiconJudge({ phrases: ["of course"], sharpness: 3 });
 * assert.equal(id, 'lexicon:"of course"@sharpness=3,cap=0.95');
 * ```
 */
export function lexiconJudge(options: LexiconJudgeOptions): PreferenceOracle {
  return featureJudge(lexiconFeature(options), options);
}

/** Options of {@linkcode regexJudge}. */
export interface RegexJudgeOptions extends SharpnessOptions {
  /** Without the flags g and y. */
  readonly pattern: RegExp;
}

/**
 * A judge that prefers responses that a regular expression matches.
 *
 * @example
 * ```ts
 * import { regexJudge } from "./feature_judge.ts";
 * import assert from "node:assert/strict";
 * assert.equal(regexJudge({ pattern: /^\d/ }).id, "regex:/^\\d/@sharpness=6,cap=0.95");
 * ```
 */
export function regexJudge(options: RegexJudgeOptions): PreferenceOracle {
  return featureJudge(regexFeature(options.pattern), options);
}

/**
 * A judge that prefers responses that are JSON.
 *
 * @example
 * ```ts
 * import { jsonJudge } from "./feature_judge.ts";
 * import assert from "node:assert/strict";
 * assert.equal(jsonJudge().id, "json@sharpness=6,cap=0.95");
 * ```
 */
export function jsonJudge(options: SharpnessOptions = {}): PreferenceOracle {
  return featureJudge(jsonFeature(), options);
}

/**
 * ½ + (2·cap − 1)·(σ(logit) − ½).
 *
 * @example
 * ```ts
 * import { squash } from "./feature_judge.ts";
 * import assert from "node:assert/strict";
 * assert.equal(squash(1000, 0.9), 0.9);
 * assert.equal(squash(0, 0.9), 0.5);
 * ```
 */
export function squash(logit: number, cap: number): number {
  return 0.5 + (2 * cap - 1) * (sigmoid(logit) - 0.5);
}

/**
 * noise · z, where z is drawn from (seed, prompt id, the two texts): the same for both orders of the
 * texts, but for the sign.
 *
 * @example
 * ```ts
 * import { pairNoise } from "./feature_judge.ts";
 * import assert from "node:assert/strict";
 * assert.equal(pairNoise(1, 7, "p", "a", "b"), -pairNoise(1, 7, "p", "b", "a"));
 * assert.equal(pairNoise(0, 7, "p", "a", "b"), 0);
 * ```
 */
export function pairNoise(
  noise: number,
  seed: number,
  promptId: string,
  left: string,
  right: string,
): number {
  if (noise === 0 || left === right) return 0;
  const [first, second, sign] = left < right ? [left, right, 1] : [right, left, -1];
  return sign * noise * normal(randomStream(seed, promptId, first, second));
}

/** Options of noise, checked and with defaults. */
export function checkNoise({ noise = 0, seed = 0 }: NoiseOptions): Required<NoiseOptions> {
  if (!(noise >= 0 && isFinite(noise))) {
    throw new RangeError(`Cannot make a judge as its noise must be at least 0: ${noise}`);
  }
  if (!Number.isSafeInteger(seed)) {
    throw new RangeError(`Cannot make a judge as its seed must be a whole number: ${seed}`);
  }
  return { noise, seed };
}

/** Options of sharpness, checked and with defaults. */
export function checkSharpness(options: SharpnessOptions): Required<SharpnessOptions> {
  const { sharpness = 6, cap = 0.95 } = options;
  if (!(sharpness > 0 && isFinite(sharpness))) {
    throw new RangeError(`Cannot make a judge as its sharpness must be positive: ${sharpness}`);
  }
  if (!(cap > 0.5 && cap <= 1)) {
    throw new RangeError(`Cannot make a judge as its cap must be above 0.5 and at most 1: ${cap}`);
  }
  return { sharpness, cap, ...checkNoise(options) };
}

/** Noise as it stands in a judge's id: not at all where there is none. */
export function noiseOptions(noise: number, seed: number): Record<string, number> {
  return noise === 0 ? {} : { noise, seed };
}

/** Texts in quotes and regular expressions, in which an @ begins no options. */
const LITERAL = /"(?:[^"\\]|\\.)*"|\/(?:[^/\\[]|\\.|\[(?:[^\]\\]|\\.)*\])+\/[a-z]*/gs;

/** A judge's id: its feature's, then its options. */
export function withOptions(id: string, options: Record<string, number | string>): string {
  const list = Object.entries(options).map(([key, value]) => `${key}=${value}`).join(",");
  return id + (id.replace(LITERAL, "").includes("@") ? "," : "@") + list;
}
