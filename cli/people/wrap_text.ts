/**
 * Text of unknown origin in columns of a terminal.
 *
 * @module
 */

/** Columns that a text takes. */
export type Measure = (text: string) => number;

/**
 * A text without what a terminal would obey and not show: control characters (C0 but line breaks, C1),
 * so that escape sequences lie there as plain letters; marks that turn the direction of what follows;
 * lone surrogates. Tabs become two spaces.
 *
 * @example
 * ```ts
 * import { plainText } from "./wrap_text.ts";
 * import assert from "node:assert/strict";
 * assert.equal(plainText("a\x1b[31mb\r\n\tc\u202e\ud800"), "a[31mb\n  c\ufffd");
 * ```
 */
export function plainText(text: string): string {
  return text.toWellFormed()
    .replace(/\r\n?|[\u0085\u2028\u2029\v\f]/g, "\n")
    .replaceAll("\t", "  ")
    // deno-lint-ignore no-control-regex
    .replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "");
}

/**
 * Breaks a plain text into lines of at most `width` columns, between words where there is a place, else
 * between characters (grapheme clusters). A line's indentation stays.
 *
 * @param width A character that is wider than this has a line of its own.
 *
 * @example
 * ```ts
 * import { wrapText } from "./wrap_text.ts";
 * import assert from "node:assert/strict";
 * const lines = wrapText("one two  three\n\n  incomprehensible", 8, (text) => text.length);
 * assert.deepEqual(lines, ["one two", "three", "", "  incomp", "rehensib", "le"]);
 * ```
 */
export function wrapText(text: string, width: number, measure: Measure): string[] {
  return text.split("\n").flatMap((line) => wrapLine(line, width, measure));
}

const characters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

function wrapLine(line: string, width: number, measure: Measure): string[] {
  const lines: string[] = [];
  let current = "", used = 0;
  const end = () => {
    lines.push(current.trimEnd());
    current = "";
    used = 0;
  };
  for (const [piece] of line.matchAll(/\s+|\S+/g)) {
    const columns = measure(piece);
    if (used + columns <= width) {
      current += piece;
      used += columns;
      continue;
    }
    const isSpace = piece.trim() === "";
    if (isSpace && lines.length + used > 0) {
      if (used > 0) end();
      continue;
    }
    if (used > 0 && columns <= width && current.trim() !== "") end();
    for (const { segment } of characters.segment(piece)) {
      const more = measure(segment);
      if (used > 0 && used + more > width) end();
      current += segment;
      used += more;
    }
  }
  if (used > 0 || lines.length === 0) end();
  return lines;
}
