/**
 * Whether an answer is JSON that a schema allows.
 *
 * @module
 */

import type { Json } from "../../core/journal.ts";
import { loadJsonSchema } from "../_deps.ts";

const DRAFT = "2020-12";
const TYPES = ["array", "boolean", "integer", "null", "number", "object", "string"];
const schema = { $ref: "#" };
const schemas = { type: "array", items: schema };
const named = { type: "object", additionalProperties: schema };
const count = { type: "integer", minimum: 0 };
const number = { type: "number" };
const text = { type: "string" };
const texts = { type: "array", items: text };

/** What a schema must be, so that a wrong one is refused and not read as if it said nothing. */
const META_SCHEMA = {
  type: ["object", "boolean"],
  properties: {
    type: { anyOf: [{ enum: TYPES }, { type: "array", items: { enum: TYPES }, minItems: 1 }] },
    enum: { type: "array" },
    multipleOf: { type: "number", exclusiveMinimum: 0 },
    ...{ maximum: number, exclusiveMaximum: number, minimum: number, exclusiveMinimum: number },
    ...{ maxLength: count, minLength: count, pattern: { type: "string", format: "regex" } },
    ...{ format: text, $ref: text, $id: text, $anchor: text },
    ...{ maxItems: count, minItems: count, uniqueItems: { type: "boolean" } },
    ...{ maxContains: count, minContains: count, maxProperties: count, minProperties: count },
    ...{ required: texts, dependentRequired: { type: "object", additionalProperties: texts } },
    ...{ prefixItems: schemas, items: schema, contains: schema, unevaluatedItems: schema },
    ...{ properties: named, patternProperties: named, dependentSchemas: named, $defs: named },
    ...{ additionalProperties: schema, unevaluatedProperties: schema, propertyNames: schema },
    ...{ allOf: schemas, anyOf: schemas, oneOf: schemas, not: schema },
    ...{ if: schema, then: schema, else: schema },
  },
};

/**
 * Reads a JSON schema (draft 2020-12, `format` checked) and gives what says whether a text is one JSON value
 * that it allows, white space around it aside.
 *
 * @throws {TypeError} When it is no schema.
 * @throws {Error} On a text, when the schema refers to what is not in it.
 *
 * @example
 * ```ts
 * import { jsonSchema } from "./json_schema.ts";
 * import assert from "node:assert/strict";
 * const allows = await jsonSchema({ type: "object", required: ["a"] });
 * assert.deepEqual(['{"a": 1}', "{}", "[]", "a"].map(allows), [true, false, false, false]);
 * await assert.rejects(jsonSchema({ type: "text" }), TypeError);
 * ```
 */
export async function jsonSchema(schema: Json): Promise<(text: string) => boolean> {
  const { Validator } = await loadJsonSchema();
  if (!new Validator(META_SCHEMA, DRAFT).validate(schema).valid) {
    throw new TypeError(
      `Cannot check JSON as its schema must be one of draft ${DRAFT}: ${JSON.stringify(schema)}`,
    );
  }
  const validator = new Validator(schema, DRAFT);
  return (text) => {
    let value: Json;
    try {
      value = JSON.parse(text);
    } catch {
      return false;
    }
    return validator.validate(value).valid;
  };
}
