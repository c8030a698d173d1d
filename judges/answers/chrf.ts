/**
 * chrF: which character n-grams an answer has in common with a reference.
 *
 * @module
 */

const ORDER = 6;
const BETA_SQUARED = 4;

/** n-grams of code points of a text without white space, with their counts, for n = 1 … 6. */
function countsOf(text: string): Map<string, number>[] {
  const characters = [...text.replace(/\s/gu, "")];
  return Array.from({ length: ORDER }, (_, index) => {
    const counts = new Map<string, number>(), n = index + 1;
    for (let at = 0; at + n <= characters.length; at++) {
      const gram = characters.slice(at, at + n).join("");
      counts.set(gram, (counts.get(gram) ?? 0) + 1);
    }
    return counts;
  });
}

function total(counts: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const count of counts.values()) sum += count;
  return sum;
}

/**
 * chrF (Popović 2015): with precision p and recall r of character n-grams, each averaged over those of
 * n = 1 … 6 for which both texts have n-grams, (1 + β²)pr/(β²p + r) with β = 2; 0 where there is nothing in
 * common. White space does not count.
 *
 * As sacrebleu's `CHRF().sentence_score`, divided by 100.
 *
 * @returns What scores an answer to the reference in [0, 1].
 *
 * @example
 * ```ts
 * import { chrF } from "./chrf.ts";
 * import assert from "node:assert/strict";
 * // "ab" in "abc": p = (1 + 1)/2, r = (2/3 + 1/2)/2 = 7/12, and 5 · 7/12 / (4 + 7/12)
 * assert.ok(Math.abs(chrF("abc")("a b") - 35 / 55) < 1e-12);
 * ```
 */
export function chrF(reference: string): (answer: string) => number {
  const wanted = countsOf(reference).map((counts) => ({ counts, total: total(counts) }));
  return (answer) => {
    let precision = 0, recall = 0, orders = 0;
    for (const [index, given] of countsOf(answer).entries()) {
      const { counts, total: all } = wanted[index]!, own = total(given);
      if (all === 0 || own === 0) continue;
      let common = 0;
      for (const [gram, count] of given) common += Math.min(count, counts.get(gram) ?? 0);
      precision += common / own;
      recall += common / all;
      orders++;
    }
    if (precision + recall === 0) return 0;
    precision /= orders;
    recall /= orders;
    return (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall);
  };
}
