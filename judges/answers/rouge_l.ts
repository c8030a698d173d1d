/**
 * ROUGE-L: how long a common subsequence of words an answer has with a reference.
 *
 * @module
 */

/** Words as ROUGE counts them: runs of letters and digits, in lower case. */
function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/**
 * ROUGE-L as an F-measure: with l the length of the longest common subsequence of words, p = l/|answer|
 * and r = l/|reference|, 2pr/(p + r); 0 where either has no word.
 *
 * As `rougeL` of Google's rouge-score without its stemmer, but for letters beyond a-z, which are letters
 * here and breaks between words there.
 *
 * @returns What scores an answer to the reference in [0, 1]; time is the product of their words.
 *
 * @example
 * ```ts
 * import { rougeL } from "./rouge_l.ts";
 * import assert from "node:assert/strict";
 * // "the cat ran" of 4 words and of 3: 2 · ¾ · 1 / (¾ + 1)
 * assert.ok(Math.abs(rougeL("The cat ran.")("the black cat ran") - 6 / 7) < 1e-12);
 * assert.equal(rougeL("The cat")(""), 0);
 * ```
 */
export function rougeL(reference: string): (answer: string) => number {
  const wanted = words(reference);
  return (answer) => {
    const given = words(answer);
    const length = commonSubsequence(wanted, given);
    return length === 0 ? 0 : 2 * length / (wanted.length + given.length);
  };
}

function commonSubsequence(one: readonly string[], other: readonly string[]): number {
  let before = new Uint32Array(other.length + 1), row = new Uint32Array(other.length + 1);
  for (const word of one) {
    for (let j = 0; j < other.length; j++) {
      row[j + 1] = word === other[j] ? before[j]! + 1 : Math.max(before[j + 1]!, row[j]!);
    }
    [before, row] = [row, before];
  }
  return before[other.length]!;
}
