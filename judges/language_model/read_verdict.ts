/**
 * From a language model's answer to a preference.
 *
 * @module
 */

import type { ChatAnswer } from "./chat_model.ts";
import type { AnswerForm } from "./pairwise_template.ts";

/** An answer that says neither which response is better nor that they are equal. */
export class JudgeError extends Error {
  /** For whoever tells errors by name. */
  override readonly name = "JudgeError";

  /**
   * Keeps the answer beside the message.
   *
   * @param message What was being done, and what must hold.
   * @param raw The answer as it was given.
   */
  constructor(message: string, readonly raw: string) {
    super(message);
  }
}

/** What an answer says. */
export interface Verdict {
  /** P(the response shown first is better) in [0, 1]. */
  readonly first: number;
  /** Whether it is read from log-probabilities, and not from the text. */
  readonly soft: boolean;
}

/**
 * Reads an answer. With a label's log-probabilities
 *
 *     P(first) = (p(first) + ½ p(tie)) / (p(first) + p(second) + p(tie)),
 *
 * where a label that is not among the likeliest tokens has p = 0, as in AlpacaEval's `logprob_parser`;
 * p of a label is summed over the tokens that are it with white space. Without them, or where no
 * label is among the tokens, the text decides: 1, 0, or ½ for a tie.
 *
 * @returns undefined when the answer says nothing of it.
 *
 * @example
 * ```ts
 * import { readVerdict } from "./read_verdict.ts";
 * import assert from "node:assert/strict";
 * const form = { kind: "label", first: "m", second: "M" } as const;
 * const tokens = { prompt: 9, response: 1 };
 * const firstToken = [["m", 0.6], ["M", 0.2], ["The", 0.1]]
 *   .map(([token, p]) => ({ token: String(token), logProb: Math.log(Number(p)) }));
 * assert.ok(Math.abs(readVerdict({ text: "m", firstToken, tokens }, form)!.first - 0.75) < 1e-12);
 * assert.deepEqual(readVerdict({ text: "M", tokens }, form), { first: 0, soft: false });
 * assert.equal(readVerdict({ text: "Both!", tokens }, form), undefined);
 * ```
 */
export function readVerdict(
  { text, firstToken = [] }: ChatAnswer,
  form: AnswerForm,
): Verdict | undefined {
  if (form.kind === "mark") {
    if (text.includes(form.first)) return { first: 1, soft: false };
    if (text.includes(form.second)) return { first: 0, soft: false };
    return text.includes(form.tie) ? { first: 0.5, soft: false } : undefined;
  }
  const probability = (label: string | undefined) =>
    firstToken.reduce(
      (sum, { token, logProb }) => token.trim() === label ? sum + Math.exp(logProb) : sum,
      0,
    );
  const [first, second, tie] = [form.first, form.second, form.tie].map(probability) as [
    number,
    number,
    number,
  ];
  const total = first + second + tie;
  if (total > 0) return { first: (first + tie / 2) / total, soft: true };
  // Such as "A.", "(B)" or "**C**".
  const bare = text.replace(/^[\s"'`*([]+|[\s"'`*)\].:]+$/g, "");
  if (bare === form.first) return { first: 1, soft: false };
  if (bare === form.second) return { first: 0, soft: false };
  return bare !== "" && bare === form.tie ? { first: 0.5, soft: false } : undefined;
}
