/**
 * Messages that quote a file.
 *
 * @module
 */

const MAX_LENGTH = 500;

/**
 * A message as one line that a terminal can show: a file's names and another parser's words may
 * hold control characters or be very long.
 *
 * @example
 * ```ts
 * import { oneLine } from "./one_line.ts";
 * import { strict as assert } from "node:assert";
 *
 * assert.equal(oneLine("a name\nin two lines"), "a name in two lines");
 * ```
 */
export function oneLine(message: string): string {
  const line = message.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ");
  if (line.length <= MAX_LENGTH) return line;
  const half = MAX_LENGTH / 2;
  return `${line.slice(0, half)} … ${line.slice(-half)}`;
}

/** Whether a name from a file can be shown as it stands. */
export function isPlainName(name: string): boolean {
  return name.length <= 1024 && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(name);
}

/** What went wrong, in the words of whoever threw, as one line. */
export function reasonOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}
