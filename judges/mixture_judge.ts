/**
 * Several judges as one.
 *
 * @module
 */

import type { Judgement, PreferenceOracle } from "../core/oracle.ts";

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
    async *compare(groups, options) {
      const streams = terms.map(({ oracle }) =>
        oracle.compare(groups, options)[Symbol.asyncIterator]()
      );
      try {
        for (const { prompt } of groups) {
          const results = await Promise.all(streams.map((stream) => stream.next()));
          const judgements = results.map((result, index) => {
            if (result.done === true) {
              throw new RangeError(
                `Cannot mix judges as each must give one judgement per group: ` +
                  `"${terms[index]!.oracle.id}" has none for prompt "${prompt.id}"`,
              );
            }
            return result.value;
          });
          yield mix(judgements, shares);
        }
      } finally {
        await Promise.allSettled(streams.map((stream) => stream.return?.()));
      }
    },
  };
}

function mix(judgements: readonly Judgement[], shares: readonly number[]): Judgement {
  const { size } = judgements[0]!;
  const preferences = new Float64Array(size * size).fill(NaN);
  const mask = new Uint8Array(size * size);
  for (let i = 0; i < size; i++) {
    preferences[i * size + i] = 0.5;
    mask[i * size + i] = 1;
    for (let j = i + 1; j < size; j++) {
      const at = i * size + j;
      if (judgements.some((judgement) => judgement.mask[at] !== 1)) continue;
      const p = judgements.reduce(
        (sum, judgement, index) => sum + shares[index]! * judgement.preferences[at]!,
        0,
      );
      preferences[at] = Math.min(1, p);
      preferences[j * size + i] = 1 - preferences[at]!;
      mask[at] = mask[j * size + i] = 1;
    }
  }
  const cost: { tokens?: number; requests?: number; currency?: number } = {};
  for (const name of ["tokens", "requests", "currency"] as const) {
    const parts = judgements.flatMap((judgement) => judgement.cost?.[name] ?? []);
    if (parts.length > 0) cost[name] = parts.reduce((a, b) => a + b);
  }
  return { size, preferences, mask, ...(Object.keys(cost).length === 0 ? {} : { cost }) };
}
