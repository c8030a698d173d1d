/**
 * Labelled groups from records.
 *
 * @module
 */

import type { Message } from "../../core/policy.ts";
import type { LabelledGroup } from "./labelled_group.ts";

/**
 * A group from a record of one of three forms, beside its `prompt`:
 *
 * - `responses`, K texts or objects with `text`, and `preferences`, K×K numbers in [0, 1] or null, as
 *   `sppo judge` writes them;
 * - `responses` and `verdicts`, K×K, of row i shown first and column j second: 1 the first is better,
 *   2 the second, 3 a tie, null nothing;
 * - `chosen` and `rejected`, two texts, or messages of which the last is the response; and
 *   `chosen_probs`, how far chosen was preferred, 1 when absent.
 *
 * @param where What to call the record in messages.
 * @throws {TypeError} When it has none of these forms.
 * @throws {RangeError} When a verdict is none of these.
 */
export function labelledGroup(
  fields: Readonly<Record<string, unknown>>,
  prompt: string | readonly Message[],
  where: string,
): LabelledGroup {
  const { responses, preferences, verdicts, chosen, rejected } = fields;
  if (Array.isArray(responses)) {
    const texts = responses.map((response, index) =>
      textOf(response, `response ${index + 1} at ${where}`)
    );
    const size = texts.length;
    if (preferences !== undefined) {
      const labels = table(preferences, size, `preferences at ${where}`, (value) => value);
      return { prompt, responses: texts, labels: labels.map(withoutDiagonal) };
    }
    if (verdicts !== undefined) {
      const labels = table(verdicts, size, `verdicts at ${where}`, (value) => {
        const label = { 1: 1, 2: 0, 3: 0.5 }[value];
        if (label !== undefined) return label;
        throw new RangeError(`Cannot read ${where} as a verdict must be 1, 2, 3 or null: ${value}`);
      });
      return { prompt, responses: texts, labels: labels.map(withoutDiagonal) };
    }
  }
  if (chosen !== undefined && rejected !== undefined) {
    const sure = fields["chosen_probs"] ?? 1;
    if (typeof sure !== "number") {
      throw new TypeError(`Cannot read ${where} as chosen_probs must be a number: ${typeof sure}`);
    }
    const texts = [textOf(chosen, `chosen at ${where}`), textOf(rejected, `rejected at ${where}`)];
    return { prompt, responses: texts, labels: [[null, sure], [null, null]] };
  }
  throw new TypeError(
    `Cannot read ${where} as it must have responses with preferences or verdicts, or chosen and rejected: ` +
      `it has ${Object.keys(fields).join(", ") || "nothing"}`,
  );
}

function withoutDiagonal(
  row: readonly (number | null)[],
  index: number,
): readonly (number | null)[] {
  return row.with(index, null);
}

function table(
  value: unknown,
  size: number,
  where: string,
  read: (value: number) => number,
): (number | null)[][] {
  const square = Array.isArray(value) && value.length === size &&
    value.every((row) =>
      Array.isArray(row) && row.length === size &&
      row.every((cell) => cell === null || typeof cell === "number")
    );
  if (!square) {
    throw new TypeError(`Cannot read ${where} as they must be ${size}×${size} numbers or null`);
  }
  return (value as (number | null)[][]).map((row) =>
    row.map((cell) => cell === null ? null : read(cell))
  );
}

/** A text, an object with one, or the last of some messages. */
function textOf(value: unknown, where: string): string {
  if (typeof value === "string") return value;
  const last: unknown = Array.isArray(value) ? value.at(-1) : value;
  if (typeof last === "object" && last !== null) {
    for (const key of ["text", "content"]) {
      const text = (last as Record<string, unknown>)[key];
      if (typeof text === "string") return text;
    }
  }
  throw new TypeError(`Cannot read ${where} as it must be a text: ${typeof value}`);
}
