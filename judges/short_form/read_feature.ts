/**
 * Features of a text in the short form.
 *
 * @module
 */

import { containsFeature, notFeature, valueFeature } from "../checks.ts";
import { refusalFeature, repetitionFeature } from "../detectors.ts";
import {
  endsFeature,
  type Feature,
  jsonFeature,
  lengthFeature,
  lexiconFeature,
  lexicons,
  regexFeature,
  startsFeature,
} from "../features.ts";
import { readOptions } from "./read_options.ts";
import { createReader, type Reader, readString } from "./reader.ts";

/** Names that stand for features. */
export const FEATURE_NAMES = [
  "length",
  "characters",
  "lexicon",
  "example",
  "regex",
  "json",
  "starts",
  "ends",
  "contains",
  "value",
  "refusal",
  "repetition",
  "not",
];

/** Those of them whose occurrences may be counted. */
export const COUNTED: readonly string[] = ["lexicon", "example"];

/** A feature as it was read, to be made once its options are known. */
export interface ReadFeature {
  /** One of the names. */
  readonly name: string;
  /** Makes it; `count` only where it is counted. */
  make(count: number | undefined): Feature;
}

/**
 * Makes the feature of a short form.
 *
 * @throws {SyntaxError} When the text is none: what must stand where, and what does.
 *
 * @example
 * ```ts
 * import { parseFeature } from "./read_feature.ts";
 * import assert from "node:assert/strict";
 * assert.equal(parseFeature("not:length:-3").score("one two"), 0);
 * ```
 */
export function parseFeature(text: string): Feature {
  const reader = createReader(text, "feature");
  const { name, make } = readFeature(reader);
  const { count } = readOptions(reader, COUNTED.includes(name) ? ["count"] : []);
  reader.skip();
  if (!reader.atEnd()) reader.fail("the end");
  return reader.build(0, () => make(count?.[0]));
}

/** Reads a feature; `others` are the names that may stand there too, for the error. */
export function readFeature(reader: Reader, others: readonly string[] = []): ReadFeature {
  reader.skip();
  const start = reader.position();
  const name = reader.match(/[a-z]+/y) ?? "";
  const argument = (what: string): void => {
    if (!reader.take(":")) reader.fail(`":" and ${what} after ${name}`);
    reader.skip();
  };
  const made = (feature: (count: number | undefined) => Feature): ReadFeature => {
    // Made once here, so that an error names the feature's place.
    reader.build(start, () => feature(undefined));
    return { name, make: feature };
  };
  switch (name) {
    case "length":
    case "characters": {
      argument("a range such as 30-60");
      const range = readRange(reader);
      return made(() =>
        lengthFeature({ ...range, unit: name === "length" ? "words" : "characters" })
      );
    }
    case "lexicon": {
      argument("a word or phrase");
      const phrases: string[] = [];
      do phrases.push(readPhrase(reader)); while (reader.take("|"));
      return made((count) =>
        lexiconFeature({ phrases, ...(count === undefined ? {} : { count }) })
      );
    }
    case "example":
      return made((count) =>
        lexiconFeature({ phrases: lexicons.example, ...(count === undefined ? {} : { count }) })
      );
    case "regex": {
      argument("a regular expression such as /^a/i");
      const [source, flags] = readPattern(reader);
      return made(() => regexFeature(new RegExp(source, flags)));
    }
    case "json":
      return made(jsonFeature);
    case "starts":
    case "ends": {
      argument("a word or phrase");
      const edge = readPhrase(reader);
      return made(() => name === "starts" ? startsFeature(edge) : endsFeature(edge));
    }
    case "contains": {
      argument("a word or phrase");
      const part = readPhrase(reader);
      return made(() => containsFeature(part));
    }
    case "value": {
      argument("a range such as 1..5");
      const range = readValues(reader);
      return made(() => valueFeature(range));
    }
    case "refusal":
      return made(refusalFeature);
    case "repetition": {
      const size = reader.take(":") ? Number(reader.expect(/\d+/y, "the words of an n-gram")) : 4;
      return made(() => repetitionFeature(size));
    }
    case "not": {
      const what = "a feature other than not";
      argument(what);
      const before = reader.position();
      if (reader.match(/not\b/y) !== undefined) reader.fail(what, before);
      const { name, make } = readFeature(reader);
      return { name, make: (count) => notFeature(make(count)) };
    }
    default:
      return reader.fail(
        `one of ${[...FEATURE_NAMES, ...others].join(", ")}`,
        start,
      );
  }
}

function readRange(reader: Reader): { min?: number; max?: number } {
  const what = "a range such as 30-60, 30- or -60";
  const start = reader.position();
  const min = reader.match(/\d+/y);
  if (!reader.take("-")) reader.fail(what, start);
  reader.skip();
  const max = reader.match(/\d+/y);
  if (min === undefined && max === undefined) reader.fail(what, start);
  return {
    ...(min === undefined ? {} : { min: Number(min) }),
    ...(max === undefined ? {} : { max: Number(max) }),
  };
}

function readValues(reader: Reader): { min?: number; max?: number } {
  const what = "a range such as 1..5, 1.. or ..5";
  const start = reader.position();
  const number = /[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?/y;
  const min = reader.match(number);
  if (!reader.take("..")) reader.fail(what, start);
  reader.skip();
  const max = reader.match(number);
  return {
    ...(min === undefined ? {} : { min: Number(min) }),
    ...(max === undefined ? {} : { max: Number(max) }),
  };
}

function readPhrase(reader: Reader): string {
  reader.skip();
  return readString(reader) ?? reader.expect(/[\p{L}\p{N}_']+/uy, "a word, or a phrase in quotes");
}

function readPattern(reader: Reader): [string, string] {
  const start = reader.position();
  const quoted = readString(reader);
  if (quoted !== undefined) return [quoted, ""];
  const literal = reader.match(/\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y);
  if (literal === undefined) {
    return reader.fail('a regular expression between two "/", or in quotes', start);
  }
  const end = literal.lastIndexOf("/");
  return [literal.slice(1, end), literal.slice(end + 1)];
}
