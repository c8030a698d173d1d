/**
 * From the command line, a configuration file and defaults to the values of a command's options.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { shortly } from "../errors.ts";
import { checked, fromText } from "./check.ts";
import {
  configKey,
  flagName,
  type OptionSpec,
  type OptionTable,
  type OptionValue,
  type SomeValues,
  type Values,
} from "./spec.ts";

/**
 * Reads flags.
 *
 * @returns The values given, and only those. Of a flag given twice the last counts. A word that follows
 * no flag is the value of the table's positional option, where it has one; of a list it is an item.
 * @throws {TypeError} When a flag is unknown, lacks its value or has the wrong kind of it.
 * @throws {RangeError} When a value is not allowed.
 *
 * @example
 * ```ts
 * import { parseFlags } from "./parse.ts";
 * import assert from "node:assert/strict";
 * const table = { topP: { type: "number", max: 1, help: "nucleus", group: "Sampling" } } as const;
 * assert.deepEqual(parseFlags(table, ["--top-p", "0.9"]), { topP: 0.9 });
 * ```
 */
export function parseFlags<T extends OptionTable>(
  table: T,
  args: readonly string[],
): SomeValues<T> {
  const keys = new Map(Object.keys(table).map((key) => [flagName(key).slice(2), key]));
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      [...keys].map(([name, key]) => [
        name,
        { type: table[key]?.type === "switch" ? "boolean" : "string" } as const,
      ]),
    ),
  });
  const values: Record<string, OptionValue> = {};
  for (const token of tokens) {
    if (token.kind === "option-terminator") continue;
    if (token.kind === "positional") {
      const bare = Object.keys(table).find((key) => table[key]!.positional);
      const spec = bare === undefined ? undefined : table[bare]!;
      if (bare === undefined || spec === undefined) {
        throw new TypeError(
          `Cannot use the arguments as each option must start with --: ${token.value}`,
        );
      }
      const earlier = values[bare];
      if (spec.type === "list") {
        values[bare] = [...(earlier as readonly string[] | undefined) ?? [], token.value];
      } else if (earlier !== undefined) {
        throw new TypeError(
          `Cannot use the arguments as there must be one ${bare}: ${earlier} and ${token.value}`,
        );
      } else values[bare] = fromText(spec, token.value, bare);
      continue;
    }
    const key = keys.get(token.name);
    const spec = key === undefined ? undefined : table[key];
    if (key === undefined || spec === undefined || !token.rawName.startsWith("--")) {
      throw unknownName(token.rawName, [...keys.keys()].map((name) => `--${name}`));
    }
    values[key] = flagValue(spec, token.rawName, token.value, token.inlineValue ?? false);
  }
  return values as SomeValues<T>;
}

function flagValue(
  spec: OptionSpec,
  flag: string,
  text: string | undefined,
  inline: boolean,
): OptionValue {
  if (spec.type === "switch") {
    if (text !== undefined) {
      throw new TypeError(`Cannot use ${flag} as it takes no value: ${text}`);
    }
    return true;
  }
  if (text === undefined || (!inline && text.startsWith("--"))) {
    throw new TypeError(`Cannot use ${flag} as it needs a value: ${text ?? "none"} follows`);
  }
  return fromText(spec, text, flag);
}

/**
 * Reads the object of a configuration file. A key `$schema` is allowed and ignored.
 *
 * @param name What to call the file in messages.
 * @throws {TypeError} When it is no object, a key is unknown or a value of the wrong kind.
 * @throws {RangeError} When a value is not allowed.
 */
export function parseConfig<T extends OptionTable>(
  table: T,
  config: unknown,
  name: string,
): SomeValues<T> {
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new TypeError(`Cannot use ${name} as it must hold one JSON object: ${shortly(config)}`);
  }
  const keys = new Map(
    Object.entries(table).flatMap(([key, spec]) => spec.flagOnly ? [] : [[configKey(key), key]]),
  );
  const values: Record<string, OptionValue> = {};
  for (const [given, value] of Object.entries(config)) {
    if (given === "$schema") continue;
    const key = keys.get(given);
    const spec = key === undefined ? undefined : table[key];
    if (key === undefined || spec === undefined) {
      throw unknownName(`"${given}" of ${name}`, [...keys.keys()], given);
    }
    values[key] = checked(spec, value, `"${given}" of ${name}`);
  }
  return values as SomeValues<T>;
}

/**
 * Values from layers, the first that has one counting, then the table's default.
 *
 * @throws {TypeError} When a required one is missing.
 */
export function resolveValues<T extends OptionTable>(
  table: T,
  layers: readonly SomeValues<T>[],
): Values<T> {
  const values: Record<string, OptionValue | undefined> = {};
  for (const [key, spec] of Object.entries(table)) {
    const given = layers.find((layer) => layer[key] !== undefined)?.[key] as
      | OptionValue
      | undefined;
    values[key] = given ?? spec.default;
    if (values[key] === undefined && spec.required) {
      throw new TypeError(`Cannot start as ${flagName(key)} must be given: ${spec.help}`);
    }
  }
  return values as Values<T>;
}

/** Resolved values as the object of a configuration file, in the table's order. */
export function toConfig<T extends OptionTable>(
  table: T,
  values: Values<T>,
): Record<string, OptionValue> {
  return Object.fromEntries(
    Object.entries(table).flatMap(([key, spec]) => {
      const value = values[key] as OptionValue | undefined;
      return spec.flagOnly || value === undefined ? [] : [[configKey(key), value]];
    }),
  );
}

/** An error for a name that is not known, with the nearest that is. */
export function unknownName(
  found: string,
  known: readonly string[],
  compared: string = found,
): TypeError {
  const near = known.map((name) => ({ name, distance: editDistance(name, compared) }))
    .sort((a, b) => a.distance - b.distance)[0];
  const remedy = near !== undefined && near.distance <= 1 + compared.length / 3
    ? ` (did you mean ${near.name}?)`
    : "";
  return new TypeError(`Cannot use ${found} as there is no such option${remedy}`);
}

/** Levenshtein distance. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + same));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
