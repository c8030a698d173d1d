/**
 * Several judges as one.
 *
 * @module
 */

import { type Judgement, needsOf, type PreferenceOracle } from "../core/oracle.ts";
import { costsOf, judgementOf, sideBySide } from "./side_by_side.ts";

/** A judge and how much it counts. */
export interface MixtureTerm {
  /** The judge. */
  readonly oracle: PreferenceOracle;
  /** Positive; weights are divided by their sum. */
  readonly weight: number;
}

/**
 * A weighted mixture of preferences, P = Σ w P_term / Σ w. A cell exists where it does for every term.
 * Costs add up; there are no logits.
 *
 * @param terms At least one. Oracles of any kind.
 * @throws {RangeError} When there is no term, or a weight is not positive.
 *
 * @example
 * ```ts
 * import { mixtureJudge } from "./mixture_judge.ts";
 * import { jsonJudge, lengthJudge } from "./feature_judge.ts";
 * import assert from "node:assert/strict";
 * const oracle = mixtureJudge([
 *   { oracle: lengthJudge({ max: 1, sharpness: 1000, cap: 1 }), weight: 0.75 },
 *   { oracle: jsonJudge({ sharpness: 1000, cap: 1 }), weight: 0.25 },
 * ]);
 * const prompt = { id: "p", content: "?" }, responses = [{ text: "word" }, { text: "[1, 2]" }];
 * for await (const { preferences } of oracle.compare([{ prompt, responses }])) {
 *   assert.equal(preferences[1], 0.75);
 * }
 * ```
 */
export function mixtureJudge(terms: readonly MixtureTerm[]): PreferenceOracle {
  const total = terms.reduce((sum, { weight }) => sum + weight, 0);
  if (terms.length === 0 || !terms.every(({ weight }) => weight > 0) || !isFinite(total)) {
    throw new RangeError(
      `Cannot mix judges as there must be one at least, and their weights positive: ${
        terms.map(({ weight }) => weight).join(", ") || "none"
      }`,
    );
  }
  const shares = terms.map(({ weight }) => weight / total);
  return {
    id: terms.map(({ oracle }, index) => `${shares[index]}*${oracle.id}`).join(" + "),
    ...needsOf(terms.map(({ oracle }) => oracle)),
    async *compare(groups, options) {
      for await (
        const judgements of sideBySide(terms.map(({ oracle }) => oracle), groups, options)
      ) {
        yield mix(judgements, shares);
      }
    },
  };
}

function mix(judgements: readonly Judgement[], shares: readonly number[]): Judgement {
  const { size } = judgements[0]!;
  const mixed = judgementOf(size, (i, j) => {
    const at = i * size + j;
    if (judgements.some(({ mask }) => mask[at] !== 1)) return undefined;
    return Math.min(
      1,
      judgements.reduce((sum, { preferences }, k) => sum + shares[k]! * preferences[at]!, 0),
    );
  });
  return { ...mixed, ...costsOf(judgements) };
}
