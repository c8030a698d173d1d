/**
 * What the readers of configurations share: typed access to fields, and refusals by name.
 *
 * What a program does not compute is refused: running without it would give other numbers, silently.
 *
 * @module
 */

import { oneLine } from "./one_line.ts";

/** Fields of a configuration, by the names of its format. */
export interface Fields {
  /** What it is called in messages. */
  readonly where: string;
  /** A number. @throws {TypeError} When it is absent and there is no other, or not a number. */
  number(key: string, otherwise?: number): number;
  /** A number, or nothing. @throws {TypeError} When it is neither. */
  optionalNumber(key: string): number | undefined;
  /** Refuses a feature that is not computed. @throws {RangeError} Unless it is supported. */
  refuseUnless(feature: string, supported: boolean, found: unknown): void;
}

/** Fields behind a lookup; what is absent is undefined or null. */
export function fieldsOf(where: string, get: (key: string) => unknown): Fields {
  const optionalNumber = (key: string): number | undefined => {
    const value = get(key) ?? undefined;
    if (value !== undefined && typeof value !== "number") {
      throw new TypeError(`Cannot read ${where} as ${key} must be a number: ${show(value)}`);
    }
    return value;
  };
  return {
    where,
    optionalNumber,
    number(key, otherwise) {
      const value = optionalNumber(key) ?? otherwise;
      if (value === undefined) {
        throw new TypeError(`Cannot read ${where} as ${key} must be a number: none`);
      }
      return value;
    },
    refuseUnless: (feature, supported, found) => refuseUnless(where, feature, supported, found),
  };
}

/** Refuses a feature that is not computed. @throws {RangeError} Unless it is supported. */
export function refuseUnless(
  where: string,
  feature: string,
  supported: boolean,
  found: unknown,
): void {
  if (supported) return;
  throw new RangeError(
    `Cannot open the model as ${feature} in ${where} is not supported yet: ${show(found)}`,
  );
}

/** The entry of a table that a model's architecture has. @throws {RangeError} When it has none. */
export function entryOf<T>(
  table: Readonly<Record<string, T>>,
  architecture: unknown,
  where: string,
): T {
  if (typeof architecture === "string" && Object.hasOwn(table, architecture)) {
    return table[architecture]!;
  }
  throw new RangeError(
    `Cannot open the model as its architecture in ${where} must be one of ${
      Object.keys(table).join(", ")
    }: ${show(architecture)}`,
  );
}

/** One id, a list of ids, or none. */
export function tokenIds(value: unknown, where: string): number[] {
  if (value === undefined || value === null) return [];
  const ids = Array.isArray(value) ? value : [value];
  for (const id of ids) {
    if (!Number.isSafeInteger(id) || id < 0) {
      throw new TypeError(
        `Cannot read ${where} as a special token must be given by its id: ${show(id)}`,
      );
    }
  }
  return ids as number[];
}

/** A value for a message, on one line and not long. */
export function show(value: unknown): string {
  if (typeof value === "bigint") return `${value}`;
  const text = oneLine(JSON.stringify(value) ?? "none");
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** A JSON object, or one without entries. */
export function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
