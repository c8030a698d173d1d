/**
 * JSON schema of a configuration file from a table of options.
 *
 * @module
 */

import type { Json } from "../../core/journal.ts";
import { configKey, type OptionSpec, type OptionTable } from "./spec.ts";

/** Schema of the object that a command's `--config` takes. */
export function configSchema(table: OptionTable): Json {
  return {
    type: "object",
    additionalProperties: false,
    properties: {
      $schema: { type: "string" },
      ...Object.fromEntries(
        Object.entries(table).filter(([, spec]) => !spec.flagOnly).map((
          [key, spec],
        ) => [configKey(key), optionSchema(spec)]),
      ),
    },
  };
}

function optionSchema(spec: OptionSpec): Json {
  const common = {
    description: spec.help,
    ...(spec.default === undefined ? {} : { default: spec.default }),
  };
  switch (spec.type) {
    case "text":
      return { type: "string", minLength: 1, ...common };
    case "number":
    case "integer":
      return {
        type: spec.type,
        ...(spec.min === undefined ? {} : { minimum: spec.min }),
        ...(spec.above === undefined ? {} : { exclusiveMinimum: spec.above }),
        ...(spec.max === undefined ? {} : { maximum: spec.max }),
        ...common,
      };
    case "size":
      return {
        anyOf: [
          { type: "integer", minimum: 1 },
          { type: "string", pattern: "^\\s*\\d+(\\.\\d+)?\\s*([KMGT]i?)?B?\\s*$" },
        ],
        ...common,
      };
    case "choice":
      return { enum: spec.choices, ...common };
    case "list":
      return { type: "array", minItems: 1, items: { type: "string", minLength: 1 }, ...common };
    case "switch":
      return { type: "boolean", ...common };
    default:
      return spec satisfies never;
  }
}
