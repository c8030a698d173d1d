/**
 * The options of a judge: what follows its @.
 *
 * @module
 */

import { NUMBER, type Reader, readPath } from "./reader.ts";

/** Options that every scripted judge has. */
export const SHARED_OPTIONS: readonly string[] = ["sharpness", "cap", "noise", "seed"];

/** Options of one number each. */
export function single(
  options: { readonly [key: string]: readonly number[] },
): Record<string, number> {
  return Object.fromEntries(Object.entries(options).map(([key, [value]]) => [key, value!]));
}

/** Options whose value is several numbers. */
const SEVERAL = ["strengths", "weights", "price"];

/**
 * Options after an @, if there is one: numbers by key.
 *
 * @param known Keys of numbers.
 * @param texts Keys of texts, and where those are put.
 */
export function readOptions(
  reader: Reader,
  known: readonly string[],
  texts: { readonly known: readonly string[]; readonly read: Record<string, string> } = {
    known: [],
    read: {},
  },
): { [key: string]: readonly number[] } {
  const options: { [key: string]: readonly number[] } = {};
  if (!reader.take("@")) return options;
  do {
    reader.skip();
    const start = reader.position();
    const key = reader.match(/[a-z]+/y) ?? "";
    const isText = texts.known.includes(key);
    if (!isText && !known.includes(key)) {
      reader.fail(`an option, one of ${[...texts.known, ...known].join(", ")}`, start);
    }
    if (key in options || key in texts.read) reader.fail(`each option once`, start);
    if (!reader.take("=")) reader.fail(`"=" after ${key}`);
    if (isText) {
      texts.read[key] = readPath(reader, `a text for ${key}`);
      continue;
    }
    const values: number[] = [];
    do values.push(Number(reader.expect(NUMBER, `a number for ${key}`))); while (
      SEVERAL.includes(key) && reader.take("/")
    );
    options[key] = values;
  } while (reader.take(","));
  return options;
}
