/**
 * How raters, judges or labels, are on some groups, and how far two of them agree.
 *
 * @module
 */

import { agreement, type JudgedPair, labelTriads } from "./agreement.ts";

/** What one rater says of the pairs of K responses to a prompt. */
export interface RatedGroup {
  /** K×K, preference of row to column as one answer for both orders, in [0, 1]; null without. */
  readonly preferences: readonly (readonly (number | null)[])[];
  /** How long the responses are; absent where their texts are not known. */
  readonly lengths?: readonly number[];
}

/** How a rater is. */
export interface RaterFacts {
  /** Unordered pairs that were rated. */
  readonly pairs: number;
  /** Those of exactly ½. */
  readonly ties: number;
  /** Groups of which all pairs were rated. */
  readonly complete: number;
  /** Triads of these groups. */
  readonly triads: number;
  /** Cyclic ones among them; one with a tie is not. */
  readonly cyclic: number;
  /** Decided pairs of different lengths; 0 where lengths are not known. */
  readonly uneven: number;
  /** Share of them in which the longer response is preferred; ½ without a bias, NaN without any. */
  readonly longer: number;
}

/**
 * Ties, cycles and length bias of a rater.
 *
 * @example
 * ```ts
 * import { raterFacts } from "./raters.ts";
 * import assert from "node:assert/strict";
 * const preferences = [[null, 1, 0], [0, null, 1], [1, 0, null]];
 * const facts = raterFacts([{ preferences, lengths: [1, 2, 3] }]);
 * assert.deepEqual([facts.pairs, facts.triads, facts.cyclic], [3, 1, 1]);
 * assert.equal(facts.longer, 1 / 3);
 * ```
 */
export function raterFacts(groups: readonly RatedGroup[]): RaterFacts {
  let pairs = 0, ties = 0, complete = 0, triads = 0, cyclic = 0, uneven = 0, longer = 0;
  for (const { preferences, lengths } of groups) {
    const size = preferences.length;
    let rated = 0;
    for (let i = 0; i < size; i++) {
      for (let j = i + 1; j < size; j++) {
        const p = preferences[i]![j] ?? null;
        if (p === null) continue;
        rated++;
        if (p === 0.5) ties++;
        else if (lengths !== undefined && lengths[i] !== lengths[j]) {
          uneven++;
          if ((p > 0.5) === (lengths[i]! > lengths[j]!)) longer++;
        }
      }
    }
    pairs += rated;
    if (rated < size * (size - 1) / 2) continue;
    complete++;
    const counted = labelTriads(preferences);
    triads += counted.triads;
    cyclic += counted.cyclic;
  }
  return { pairs, ties, complete, triads, cyclic, uneven, longer: longer / uneven };
}

/** How far two raters agree. */
export interface RaterAgreement {
  /** Pairs that both rated. */
  readonly pairs: number;
  /** Those of them with a side in the second rater. */
  readonly decided: number;
  /** Share of these on whose side the first rater is, an exact ½ counting half; NaN without. */
  readonly accuracy: number;
  /** Share of all pairs with the same verdict: for the one, for the other, a tie; NaN without. */
  readonly same: number;
  /** Cohen's κ of the verdicts; NaN where chance alone would agree always. */
  readonly kappa: number;
}

/**
 * Agreement of two raters on the pairs both rated. κ = (same − chance)/(1 − chance), where chance is how
 * often verdicts drawn by each rater's own frequencies would be the same. Which response of a pair is
 * called the first means nothing, so that each pair counts in both directions: with tie shares t and t′,
 * chance = t t′ + (1 − t)(1 − t′)/2.
 *
 * Source: Cohen 1960, Educational and Psychological Measurement 20.
 *
 * @param one The first rater, by groups.
 * @param other The second one, on the same groups in the same order.
 * @throws {RangeError} When groups differ in number or size.
 *
 * @example
 * ```ts
 * import { raterAgreement } from "./raters.ts";
 * import assert from "node:assert/strict";
 * const one = [1, 1, 1, 0].map((p) => ({ preferences: [[null, p], [1 - p, null]] }));
 * const other = [1, 1, 0, 0].map((p) => ({ preferences: [[null, p], [1 - p, null]] }));
 * const { accuracy, same, kappa } = raterAgreement(one, other);
 * assert.deepEqual([accuracy, same, kappa], [0.75, 0.75, 0.5]);
 * ```
 */
export function raterAgreement(
  one: readonly RatedGroup[],
  other: readonly RatedGroup[],
): RaterAgreement {
  const both = commonPairs(one, other);
  const share = (holds: (pair: JudgedPair) => boolean) => both.filter(holds).length / both.length;
  const same = share(({ preference, label }) =>
    Math.sign(preference - 0.5) === Math.sign(label - 0.5)
  );
  const ties = share(({ preference }) => preference === 0.5);
  const otherTies = share(({ label }) => label === 0.5);
  const chance = ties * otherTies + (1 - ties) * (1 - otherTies) / 2;
  const { decided, accuracy } = agreement(both);
  return {
    pairs: both.length,
    decided,
    accuracy,
    same,
    kappa: chance === 1 ? NaN : (same - chance) / (1 - chance),
  };
}

/**
 * The pairs that two raters both rated: the first one's preference, with the second one's as its label.
 *
 * @throws {RangeError} When groups differ in number or size.
 *
 * @example
 * ```ts
 * import { commonPairs } from "./raters.ts";
 * import assert from "node:assert/strict";
 * const one = { preferences: [[null, 0.8], [0.2, null]] };
 * const other = { preferences: [[null, 1], [0, null]] };
 * assert.deepEqual(commonPairs([one], [other]), [{ preference: 0.8, label: 1 }]);
 * ```
 */
export function commonPairs(
  one: readonly RatedGroup[],
  other: readonly RatedGroup[],
): JudgedPair[] {
  const both: JudgedPair[] = [];
  if (one.length !== other.length) {
    throw new RangeError(
      `Cannot compare raters as they must have the same groups: ${one.length} and ${other.length}`,
    );
  }
  for (const [index, { preferences }] of one.entries()) {
    const labels = other[index]!.preferences, size = preferences.length;
    if (labels.length !== size) {
      throw new RangeError(
        `Cannot compare raters as group ${index} must have one size: ${size} and ${labels.length}`,
      );
    }
    for (let i = 0; i < size; i++) {
      for (let j = i + 1; j < size; j++) {
        const preference = preferences[i]![j] ?? null, label = labels[i]![j] ?? null;
        if (preference !== null && label !== null) both.push({ preference, label });
      }
    }
  }
  return both;
}
