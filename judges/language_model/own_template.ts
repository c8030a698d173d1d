/**
 * A pairwise question of the user's own.
 *
 * @module
 */

import { fingerprint } from "../../core/hash.ts";
import {
  type AnswerForm,
  type PairwiseTemplate,
  promptText,
  VERDICT_MARKS,
} from "./pairwise_template.ts";

/** Options of {@linkcode ownTemplate}. */
export interface OwnTemplateOptions {
  /** The template's text, which names it. */
  readonly source: string;
  /** Renders it; `textTemplateParser` of the models makes one of Jinja. */
  readonly render: (variables: Record<string, unknown>) => string;
  /** {@linkcode VERDICT_MARKS} when not given. */
  readonly form?: AnswerForm;
  /** Longest answer: 2048 where marks are looked for and 4 for labels when not given. */
  readonly maxTokens?: number;
}

/**
 * A template that is rendered to one user turn, from the variables `prompt` (its text), `messages`
 * (the conversation), `first` and `second` (the responses in the order they are shown).
 *
 * @throws {RangeError} When labels are empty, have white space around them, or are not different.
 *
 * @example
 * ```ts
 * import { ownTemplate } from "./own_template.ts";
 * import assert from "node:assert/strict";
 * const template = ownTemplate({
 *   source: "…",
 *   render: ({ prompt, first, second }) => `${prompt} ${first} ${second}`,
 * });
 * assert.deepEqual(template.question("?", "a", "b"), [{ role: "user", content: "? a b" }]);
 * ```
 */
export function ownTemplate(
  { source, render, form = VERDICT_MARKS, maxTokens }: OwnTemplateOptions,
): PairwiseTemplate {
  const labels = [form.first, form.second, ...(form.tie === undefined ? [] : [form.tie])];
  if (
    new Set(labels).size !== labels.length ||
    labels.some((label) => label.trim() !== label || label === "")
  ) {
    throw new RangeError(
      `Cannot ask for a verdict as its labels must be different words: ${labels.join(", ")}`,
    );
  }
  return {
    id: fingerprint(source),
    form,
    maxTokens: maxTokens ?? (form.kind === "mark" ? 2048 : 4),
    question: (prompt, first, second) => [{
      role: "user",
      content: render({
        prompt: promptText(prompt),
        messages: typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt,
        first,
        second,
      }),
    }],
  };
}
