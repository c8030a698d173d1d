/**
 * The packages of this folder, each pinned here once and fetched only when it is first used.
 *
 * @module
 */

/** JSON Schema without generated code. */
const JSON_SCHEMA = "npm:@cfworker/json-schema@4.1.1";

/** What is used of a `Validator` of `@cfworker/json-schema`. */
export interface SchemaValidator {
  validate(instance: unknown): { readonly valid: boolean };
}

/** Loads `@cfworker/json-schema`. */
export async function loadJsonSchema(): Promise<{
  readonly Validator: new (schema: unknown, draft: "2020-12") => SchemaValidator;
}> {
  return await import(JSON_SCHEMA);
}
