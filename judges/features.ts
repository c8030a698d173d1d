/**
 * Features of a response that scripted judges look at.
 *
 * @module
 */

import { countCharacters, countWords } from "../core/evaluate.ts";

/** Something a response has more or less of. */
export interface Feature {
  /** Covers everything the score depends on, in the grammar of `parseJudge` where it has a form there. */
  readonly id: string;
  /** In [0, 1]. The feature *holds* where it is 1. Depends on the text alone. */
  score(text: string): number;
}

/** Options of {@linkcode lengthFeature}. */
export interface LengthFeatureOptions {
  /** Shortest length inside the window; 0 by default. */
  readonly min?: number;
  /** Longest length inside the window; no bound by default. */
  readonly max?: number;
  /** Words are runs of characters that are not white space; characters are code points. Words by default. */
  readonly unit?: "words" | "characters";
}

/**
 * A window of length: 1 inside (bounds with it), n/min below, max/n above, where n is the length. So
 * half and twice the length come to ½, and no length but 0 to 0.
 *
 * @throws {RangeError} When the bounds are not whole numbers with 0 ≤ min ≤ max, max ≥ 1, or neither is
 * given.
 *
 * @example
 * ```ts
 * import { lengthFeature } from "./features.ts";
 * import assert from "node:assert/strict";
 * const { score } = lengthFeature({ min: 2, max: 3 });
 * assert.deepEqual(["one", "one two", "a b c d e f"].map(score), [0.5, 1, 0.5]);
 * ```
 */
export function lengthFeature(options: LengthFeatureOptions): Feature {
  const { min = 0, max = Infinity, unit = "words" } = options;
  const whole = (value: number) => Number.isSafeInteger(value) || value === Infinity;
  const bounded = options.min !== undefined || options.max !== undefined;
  if (
    !bounded || !whole(min) || !whole(max) || min < 0 || max < 1 || min > max || min === Infinity
  ) {
    throw new RangeError(
      `Cannot make a window of length as its bounds must be whole numbers, the first at most the ` +
        `second: ${min} and ${max}`,
    );
  }
  const count = unit === "words" ? countWords : countCharacters;
  return {
    id: `${unit === "words" ? "length" : "characters"}:${options.min ?? ""}-${options.max ?? ""}`,
    score(text) {
      const length = count(text);
      return length < min ? length / min : length > max ? max / length : 1;
    },
  };
}

/** Lists of phrases by name. */
export const lexicons = {
  /** "Gives an example". */
  example: [
    "for example",
    "for instance",
    "as an example",
    "an example",
    "example of",
    "e.g.",
    "such as",
    "to illustrate",
  ],
} as const;

/** Options of {@linkcode lexiconFeature}. */
export interface LexiconFeatureOptions {
  /** Phrases, at least one, not blank. */
  readonly phrases: readonly string[];
  /** Occurrences that make 1; 1 by default. */
  readonly count?: number;
}

/**
 * Phrases: min(1, occurrences/count). A phrase matches whatever its case, with any white space where it
 * has some, and not inside a longer word. Occurrences of all phrases count together, without overlap;
 * the longest phrase that matches at a place is taken.
 *
 * @throws {RangeError} When there is no phrase, a blank one, or count is not a whole number ≥ 1.
 *
 * @example
 * ```ts
 * import { lexiconFeature, lexicons } from "./features.ts";
 * import assert from "node:assert/strict";
 * const { score } = lexiconFeature({ phrases: lexicons.example, count: 2 });
 * assert.equal(score("Eat fruit, for\nexample apples."), 0.5);
 * assert.equal(score("Counterexample of none"), 0);
 * ```
 */
export function lexiconFeature(options: LexiconFeatureOptions): Feature {
  const { phrases, count = 1 } = options;
  const words = phrases.map((phrase) => phrase.trim());
  if (words.length === 0 || words.includes("")) {
    throw new RangeError(
      `Cannot make a lexicon as it must have phrases, none of them blank: ${
        JSON.stringify(phrases)
      }`,
    );
  }
  if (!(Number.isSafeInteger(count) && count >= 1)) {
    throw new RangeError(
      `Cannot make a lexicon as its count must be a whole number of at least 1: ${count}`,
    );
  }
  const alternatives = [...words].sort((a, b) => b.length - a.length).map(phrasePattern);
  const pattern = new RegExp(alternatives.join("|"), "giu");
  return {
    id: `lexicon:${words.map((phrase) => JSON.stringify(phrase)).join("|")}` +
      (count === 1 ? "" : `@count=${count}`),
    score: (text) => Math.min(1, (text.match(pattern)?.length ?? 0) / count),
  };
}

function phrasePattern(phrase: string): string {
  const letter = "[\\p{L}\\p{N}]";
  const before = /^[\p{L}\p{N}]/u.test(phrase) ? `(?<!${letter})` : "";
  const after = /[\p{L}\p{N}]$/u.test(phrase) ? `(?!${letter})` : "";
  const words = phrase.split(/\s+/u).map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return before + words.join("\\s+") + after;
}

/**
 * A regular expression: 1 where it matches anywhere, else 0.
 *
 * @throws {RangeError} When it has the flag g or y, which would make it remember where it was.
 *
 * @example
 * ```ts
 * import { regexFeature } from "./features.ts";
 * import assert from "node:assert/strict";
 * const { score } = regexFeature(/^\d/);
 * assert.deepEqual(["1 of", "one of"].map(score), [1, 0]);
 * ```
 */
export function regexFeature(pattern: RegExp): Feature {
  if (pattern.global || pattern.sticky) {
    throw new RangeError(
      `Cannot use a regular expression as it must not have the flags g or y: ${pattern}`,
    );
  }
  return { id: `regex:${pattern}`, score: (text) => pattern.test(text) ? 1 : 0 };
}

/**
 * JSON: 1 where the text, white space around it aside, is one JSON value, else 0.
 *
 * @example
 * ```ts
 * import { jsonFeature } from "./features.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual([' {"a": [1]} ', "{a: 1}", ""].map(jsonFeature().score), [1, 0, 0]);
 * ```
 */
export function jsonFeature(): Feature {
  return {
    id: "json",
    score(text) {
      try {
        JSON.parse(text);
        return 1;
      } catch {
        return 0;
      }
    },
  };
}

/**
 * How a text starts: 1 where it has the given start after white space, whatever its case, else 0.
 *
 * @throws {RangeError} When the start is empty.
 *
 * @example
 * ```ts
 * import { startsFeature } from "./features.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual([" Yes, sir", "No"].map(startsFeature("yes").score), [1, 0]);
 * ```
 */
export function startsFeature(start: string): Feature {
  return edgeFeature("starts", start, (text, edge) => text.trimStart().startsWith(edge));
}

/**
 * How a text ends: 1 where it has the given end before white space, whatever its case, else 0.
 *
 * @throws {RangeError} When the end is empty.
 *
 * @example
 * ```ts
 * import { endsFeature } from "./features.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(["Is it? ", "It is."].map(endsFeature("?").score), [1, 0]);
 * ```
 */
export function endsFeature(end: string): Feature {
  return edgeFeature("ends", end, (text, edge) => text.trimEnd().endsWith(edge));
}

function edgeFeature(
  name: string,
  edge: string,
  holds: (text: string, edge: string) => boolean,
): Feature {
  if (edge === "") throw new RangeError(`Cannot look how a text ${name} as it must be given: ""`);
  const lower = edge.toLowerCase();
  return {
    id: `${name}:${JSON.stringify(edge)}`,
    score: (text) => holds(text.toLowerCase(), lower) ? 1 : 0,
  };
}
