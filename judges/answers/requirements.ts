/**
 * Features that check a response against what its prompt requires: a JSON schema, a list of checks.
 *
 * @module
 */

import type { Json } from "../../core/journal.ts";
import type { Feature } from "../features.ts";
import type { AnswerFeature } from "./answer_feature.ts";
import { jsonSchema } from "./json_schema.ts";
import { type FieldOptions, named } from "./references.ts";

/**
 * A JSON schema: 1 where the whole response is one JSON value that the schema allows
 * ({@linkcode jsonSchema}), else 0.
 *
 * @param options The schema itself, the same for all prompts; or the field that holds it, `schema` by default, as
 * JSON or as its text.
 *
 * @example
 * ```ts
 * import { schemaFeature } from "./requirements.ts";
 * import assert from "node:assert/strict";
 * const score = await schemaFeature({ schema: { type: "integer" } }).scorer(null);
 * assert.deepEqual(["7", "7.5", "seven"].map(score), [1, 0, 0]);
 * ```
 */
export function schemaFeature(
  options: FieldOptions & { readonly schema?: Json } = {},
): AnswerFeature {
  const { schema, field = "schema" } = options;
  const scorerOf = async (value: Json) => {
    const allows = await jsonSchema(value);
    return (text: string) => allows(text) ? 1 : 0;
  };
  if (schema !== undefined) {
    return { id: `schema:${JSON.stringify(schema)}`, scorer: () => scorerOf(schema) };
  }
  return {
    id: named("schema", field),
    field,
    scorer: (value) => scorerOf(typeof value === "string" ? parsed(value, field) : value),
  };
}

/** Options of {@linkcode checksFeature}. */
export interface ChecksFeatureOptions extends FieldOptions {
  /** Reads a check; `parseFeature` reads the short form. */
  readonly read: (text: string) => Feature;
}

/**
 * Checks that each prompt names: the share of them that hold, a check being a feature of the text that
 * holds where its score is 1. The field, `checks` by default, is a list of checks, its JSON text, or one
 * check.
 *
 * @example
 * ```ts
 * import { checksFeature } from "./requirements.ts";
 * import { parseFeature } from "../short_form/read_feature.ts";
 * import assert from "node:assert/strict";
 * const score = await checksFeature({ read: parseFeature }).scorer([
 *   "length:1-3",
 *   'contains:"42"',
 *   "not:refusal",
 *   "value:40..45",
 * ]);
 * assert.equal(score("It is 42, all told"), 0.75); // too long
 * ```
 */
export function checksFeature({ field = "checks", read }: ChecksFeatureOptions): AnswerFeature {
  return {
    id: named("checks", field),
    field,
    scorer(value) {
      const listed = typeof value === "string" && value.trimStart().startsWith("[")
        ? parsed(value, field)
        : value;
      const list = typeof listed === "string" ? [listed] : listed;
      if (
        !Array.isArray(list) || list.length === 0 ||
        !list.every((check): check is string => typeof check === "string")
      ) {
        throw new TypeError(
          `Cannot check a response as the field "${field}" must be a list of checks: ${
            JSON.stringify(value)
          }`,
        );
      }
      const checks = list.map(read);
      return (text) => checks.filter((check) => check.score(text) === 1).length / checks.length;
    },
  };
}

function parsed(text: string, field: string): Json {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TypeError(
      `Cannot read the field "${field}" as it must be JSON: ${JSON.stringify(text.slice(0, 40))}`,
      { cause: error },
    );
  }
}
