/**
 * Whether an answer is the reference, but for how it is written.
 *
 * @module
 */

/**
 * A short answer as SQuAD compares it: in lower case, without ASCII punctuation, without the words a, an
 * and the, with one space between words (`normalize_answer` of SQuAD's `evaluate-v1.1.py`).
 *
 * @example
 * ```ts
 * import { normalizeAnswer } from "./exact_match.ts";
 * import assert from "node:assert/strict";
 * assert.equal(normalizeAnswer(" The Eiffel\n Tower! "), "eiffel tower");
 * assert.equal(normalizeAnswer("U.S."), "us");
 * ```
 */
export function normalizeAnswer(text: string): string {
  return text.toLowerCase()
    .replace(/[!-/:-@[-`{-~]/g, "")
    .replace(/(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu, " ")
    .trim().split(/\s+/u).join(" ");
}
