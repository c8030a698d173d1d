/**
 * Judges that compare responses with what is known of their prompt: a reference answer, a schema, checks.
 *
 * @module
 */

import type { Json } from "../../core/journal.ts";
import type { PreferenceOracle } from "../../core/oracle.ts";
import type { Prompt } from "../../core/policy.ts";
import { scoreJudge, type SharpnessOptions } from "../feature_judge.ts";

/** What a response has more or less of in the light of a field of its prompt. */
export interface AnswerFeature {
  /** Covers everything a score depends on, the field's value aside. */
  readonly id: string;
  /** Name of the prompt's field that it reads; none where it reads none. */
  readonly field?: string;
  /**
   * What scores responses, in [0, 1], to a prompt with this value in its field.
   *
   * @throws {TypeError} When the value is not what it must be.
   */
  scorer(value: Json): ((text: string) => number) | Promise<(text: string) => number>;
}

/**
 * A judge of an answer feature: that of `featureJudge`, with a score that depends on the prompt's field.
 *
 * @throws {RangeError} When an option is out of range; on comparing and in `needs.check`, when a prompt
 * has not the field.
 * @throws {TypeError} On comparing and in `needs.check`, when the field is not what it must be.
 *
 * @example
 * ```ts
 * import { answerJudge } from "./answer_feature.ts";
 * import { numberFeature } from "./references.ts";
 * import assert from "node:assert/strict";
 * const oracle = answerJudge(numberFeature(), { sharpness: Math.log(3), cap: 1 });
 * const prompt = { id: "p", content: "6 · 7?", fields: { answer: "#### 42" } };
 * const responses = [{ text: "That is 42." }, { text: "41" }];
 * for await (const { preferences } of oracle.compare([{ prompt, responses }])) {
 *   assert.ok(Math.abs(preferences[1]! - 0.75) < 1e-12);
 * }
 * ```
 */
export function answerJudge(
  feature: AnswerFeature,
  options: SharpnessOptions = {},
): PreferenceOracle {
  const { field } = feature;
  const scorerOf = async (prompt: Prompt) => {
    const value = field === undefined ? null : prompt.fields?.[field];
    if (value === undefined) {
      throw new RangeError(
        `Cannot judge prompt "${prompt.id}" as it must have the field "${field}" for the judge ` +
          `${feature.id}: it has not; field=NAME names another column`,
      );
    }
    try {
      return await feature.scorer(value);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const reason = error.message.replace(/^Cannot .*? as /, "");
      throw new TypeError(`Cannot judge prompt "${prompt.id}" as ${reason}`, { cause: error });
    }
  };
  const judge = scoreJudge({
    id: feature.id,
    async scores({ prompt, responses }) {
      const score = await scorerOf(prompt);
      return responses.map(({ text }) => score(text));
    },
  }, options);
  if (field === undefined) return judge;
  return {
    ...judge,
    needs: {
      fields: [field],
      async check(prompt) {
        await scorerOf(prompt);
      },
    },
  };
}
