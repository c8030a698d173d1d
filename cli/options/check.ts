/**
 * Values of options from a flag's text or a configuration file's JSON, checked.
 *
 * @module
 */

import type { OptionSpec, OptionValue } from "./spec.ts";

/**
 * Reads a flag's text.
 *
 * @param where What to call the option in messages, such as `--samples`.
 * @throws {TypeError} When the text is of the wrong kind.
 * @throws {RangeError} When the value is not allowed.
 */
export function fromText(spec: OptionSpec, text: string, where: string): OptionValue {
  switch (spec.type) {
    case "text":
      return checked(spec, text, where);
    case "choice":
      return checked(spec, text, where);
    case "list":
      return checked(spec, text.split(",").map((word) => word.trim()), where);
    case "number":
    case "integer": {
      const value = /^\s*$/.test(text) ? NaN : Number(text);
      if (Number.isNaN(value)) throw wrongKind(spec, where, JSON.stringify(text));
      return checked(spec, value, where);
    }
    case "size":
      return checked(spec, text, where);
    case "switch":
      throw new TypeError(`Cannot use ${where} as it takes no value: ${text}`);
    default:
      return spec satisfies never;
  }
}

/**
 * Checks a value from a configuration file.
 *
 * @param where What to call the option in messages, such as `"samples" of run.json`.
 * @throws {TypeError} When the value is of the wrong kind.
 * @throws {RangeError} When the value is not allowed.
 */
export function checked(spec: OptionSpec, value: unknown, where: string): OptionValue {
  switch (spec.type) {
    case "text":
      if (typeof value !== "string") throw wrongKind(spec, where, JSON.stringify(value));
      if (value === "") throw new RangeError(`Cannot use ${where} as it must not be empty: ""`);
      return value;
    case "choice":
      if (typeof value !== "string") throw wrongKind(spec, where, JSON.stringify(value));
      if (!spec.choices.includes(value)) {
        throw new RangeError(
          `Cannot use ${where} as it must be one of ${spec.choices.join(", ")}: ${value}`,
        );
      }
      return value;
    case "list":
      if (!Array.isArray(value) || !value.every((word) => typeof word === "string")) {
        throw wrongKind(spec, where, JSON.stringify(value));
      }
      if (value.length === 0 || value.includes("")) {
        throw new RangeError(
          `Cannot use ${where} as its words must not be empty: ${JSON.stringify(value)}`,
        );
      }
      return value;
    case "number":
    case "integer":
      if (typeof value !== "number") throw wrongKind(spec, where, JSON.stringify(value));
      return checkedNumber(spec, value, where);
    case "size":
      if (typeof value !== "number" && typeof value !== "string") {
        throw wrongKind(spec, where, JSON.stringify(value));
      }
      return sizeInBytes(value, where);
    case "switch":
      if (typeof value !== "boolean") throw wrongKind(spec, where, JSON.stringify(value));
      return value;
    default:
      return spec satisfies never;
  }
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const DECIMAL_UNITS = ["B", "KB", "MB", "GB", "TB"];

/** Bytes of `8GiB`, `500 MB`, `1024`. */
function sizeInBytes(value: number | string, where: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(`${value}`);
  const unit = (match?.[2] || "B").toLowerCase();
  const power = (units: readonly string[]) => units.findIndex((one) => one.toLowerCase() === unit);
  const [binary, decimal] = [power(UNITS), power(DECIMAL_UNITS)];
  const bytes = Math.floor(Number(match?.[1]) * (binary >= 0 ? 1024 ** binary : 1000 ** decimal));
  if (!match || Math.max(binary, decimal) < 0 || !Number.isSafeInteger(bytes) || bytes < 1) {
    throw new RangeError(
      `Cannot use ${where} as it must be a size such as 8GiB, 500MB or a number of bytes: ${value}`,
    );
  }
  return bytes;
}

function checkedNumber(
  spec: OptionSpec & { type: "number" | "integer" },
  value: number,
  where: string,
): number {
  const rules: [boolean, string][] = [
    [Number.isFinite(value), "must be finite"],
    [spec.type === "number" || Number.isSafeInteger(value), "must be a whole number"],
    [spec.min === undefined || value >= spec.min, `must be at least ${spec.min}`],
    [spec.above === undefined || value > spec.above, `must be above ${spec.above}`],
    [spec.max === undefined || value <= spec.max, `must be at most ${spec.max}`],
  ];
  for (const [holds, rule] of rules) {
    if (!holds) throw new RangeError(`Cannot use ${where} as it ${rule}: ${value}`);
  }
  return value;
}

const kinds: Readonly<Record<OptionSpec["type"], string>> = {
  text: "text",
  choice: "a word",
  list: "a list of words",
  number: "a number",
  integer: "a whole number",
  size: "a size such as 8GiB",
  switch: "true or false",
};

function wrongKind(spec: OptionSpec, where: string, found: string): TypeError {
  return new TypeError(`Cannot use ${where} as it must be ${kinds[spec.type]}: ${found}`);
}
