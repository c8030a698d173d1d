/**
 * Features of a text in the short form.
 *
 * @module
 */

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
import { type Reader, readString } from "./reader.ts";

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
];

/** A feature as it was read, to be made once its options are known. */
export interface ReadFeature {
  /** One of the names. */
  readonly name: string;
  /** Makes it; `count` only where it is counted. */
  make(count: number | undefined): Feature;
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
