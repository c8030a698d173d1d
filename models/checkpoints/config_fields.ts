/**
 * What the readers of configurations share: refusals by name, and the fields that all formats have.
 *
 * What a program does not compute is refused: running without it would give other numbers, silently.
 *
 * @module
 */

import { oneLine } from "./one_line.ts";

/** Architectures that can be opened. */
const ARCHITECTURES = ["llama"];

export function requireArchitecture(architecture: unknown, where: string): void {
  if (typeof architecture !== "string" || !ARCHITECTURES.includes(architecture)) {
    throw new RangeError(
      `Cannot open the model as its architecture in ${where} must be one of ${
        ARCHITECTURES.join(", ")
      }: ${show(architecture)}`,
    );
  }
}

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

export function show(value: unknown): string {
  if (typeof value === "bigint") return `${value}`;
  const text = oneLine(JSON.stringify(value) ?? "none");
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
