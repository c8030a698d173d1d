/**
 * Features that compare a response with a reference answer of its prompt.
 *
 * @module
 */

import type { Json } from "../../core/journal.ts";
import type { AnswerFeature } from "./answer_feature.ts";
import { answerNumber, isNear } from "./answer_number.ts";
import { chrF } from "./chrf.ts";
import { normalizeAnswer } from "./exact_match.ts";
import { rougeL } from "./rouge_l.ts";

/** Options of features that read a field. */
export interface FieldOptions {
  /** Name of the prompt's field; each feature has a default. */
  readonly field?: string;
}

/** Options of {@linkcode numberFeature}. */
export interface NumberFeatureOptions extends FieldOptions {
  /** How far the number may be off, at least 0; 0, exactly the same number, by default. */
  readonly tolerance?: number;
}

/**
 * A number: 1 where the response comes to the number that the reference comes to
 * ({@linkcode answerNumber}), else 0. The field, `answer` by default, is a number, a text such as GSM8K's
 * answers, or a list of them of which one is enough.
 *
 * @throws {RangeError} When the tolerance is negative.
 *
 * @example
 * ```ts
 * import { numberFeature } from "./references.ts";
 * import assert from "node:assert/strict";
 * const score = await numberFeature().scorer("48/2 = 24 and 48 + 24 = 72\n#### 72");
 * assert.deepEqual(["72 clips", "The answer is 72.0.", "48"].map(score), [1, 1, 0]);
 * ```
 */
export function numberFeature(
  { field = "answer", tolerance = 0 }: NumberFeatureOptions = {},
): AnswerFeature {
  if (!(tolerance >= 0)) {
    throw new RangeError(
      `Cannot compare numbers as the tolerance must be at least 0: ${tolerance}`,
    );
  }
  return {
    id: named("number", field) + (tolerance === 0 ? "" : `,tolerance=${tolerance}`),
    field,
    scorer(value) {
      const numbers = texts(value, field).map((text) => {
        const number = answerNumber(text);
        if (number !== undefined) return number;
        throw new TypeError(
          `Cannot compare numbers as the field "${field}" must have one: ${JSON.stringify(text)}`,
        );
      });
      return (text) => {
        const given = answerNumber(text);
        return given && numbers.some((number) => isNear(given, number, tolerance)) ? 1 : 0;
      };
    },
  };
}

/**
 * An exact match: 1 where the response, or what stands in it after the last `####`, is the reference as
 * SQuAD compares them ({@linkcode normalizeAnswer}), else 0. The field, `answer` by default, is a text or
 * a list of them of which one is enough.
 *
 * @example
 * ```ts
 * import { exactFeature } from "./references.ts";
 * import assert from "node:assert/strict";
 * const score = await exactFeature().scorer(["Paris", "Paris, France"]);
 * assert.deepEqual(["paris.", "the Paris", "In Paris"].map(score), [1, 1, 0]);
 * ```
 */
export function exactFeature({ field = "answer" }: FieldOptions = {}): AnswerFeature {
  return referenceFeature("exact", field, (reference) => {
    const wanted = normalizeAnswer(final(reference));
    return (text) => normalizeAnswer(final(text)) === wanted ? 1 : 0;
  });
}

/**
 * ROUGE-L ({@linkcode rougeL}) with the reference, the best of several. The field, `reference` by
 * default, is a text or a list of them.
 *
 * @example
 * ```ts
 * import { rougeFeature } from "./references.ts";
 * import assert from "node:assert/strict";
 * const score = await rougeFeature().scorer(["no", "the cat sat"]);
 * assert.equal(score("A cat sat"), 2 / 3);
 * ```
 */
export function rougeFeature({ field = "reference" }: FieldOptions = {}): AnswerFeature {
  return referenceFeature("rouge", field, rougeL);
}

/**
 * chrF ({@linkcode chrF}) with the reference, the best of several. The field, `reference` by default, is a
 * text or a list of them.
 *
 * @example
 * ```ts
 * import { chrfFeature } from "./references.ts";
 * import assert from "node:assert/strict";
 * const score = await chrfFeature().scorer("the cat");
 * assert.deepEqual(["the cat", "dog"].map(score), [1, 0]);
 * ```
 */
export function chrfFeature({ field = "reference" }: FieldOptions = {}): AnswerFeature {
  return referenceFeature("chrf", field, chrF);
}

function referenceFeature(
  name: string,
  field: string,
  scorerOf: (reference: string) => (text: string) => number,
): AnswerFeature {
  return {
    id: named(name, field),
    field,
    scorer(value) {
      const scorers = texts(value, field).map(scorerOf);
      return (text) => Math.max(...scorers.map((score) => score(text)));
    },
  };
}

/** A feature's id with its field, as the short form has it. */
export function named(name: string, field: string): string {
  return `${name}@field=${/^[^\s@|+*,;()"]+$/.test(field) ? field : JSON.stringify(field)}`;
}

function final(text: string): string {
  return text.split("####").at(-1)!;
}

/** References of a field: a text or a number, or a list of them. */
function texts(value: Json, field: string): string[] {
  const list = Array.isArray(value) ? value : [value];
  if (
    list.length === 0 || !list.every((one) => typeof one === "string" || typeof one === "number")
  ) {
    throw new TypeError(
      `Cannot compare with a reference as the field "${field}" must be a text, a number or a list of ` +
        `them: ${JSON.stringify(value)}`,
    );
  }
  return list.map(String);
}
