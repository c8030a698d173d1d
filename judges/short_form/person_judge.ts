/**
 * People as judges in the short form: read as data, and made by whoever can ask them.
 *
 * @module
 */

import { readOptions } from "./read_options.ts";
import type { Reader } from "./reader.ts";

/** A person, as it was read. */
export interface PersonJudge {
  /** A person. */
  readonly kind: "human";
  /** Who, where that was said. */
  readonly name?: string;
  /** Seed of the order in which responses are shown. */
  readonly seed?: number;
  /** Port of the page on which to ask, 0 for any; in the terminal when absent. */
  readonly page?: number;
  /** File of the votes. */
  readonly votes?: string;
}

/** Reads the rest of a person, once `human` is read. */
export function readPerson(reader: Reader): PersonJudge {
  let name: string | undefined;
  if (reader.take(":")) {
    name = reader.expect(/[\p{L}\p{N}_']+/uy, "a name, of letters, digits, ' and _");
  }
  const texts: Record<string, string> = {};
  const start = reader.position();
  const { page, seed } = readOptions(reader, ["page", "seed"], { known: ["votes"], read: texts });
  const port = page?.[0];
  if (port !== undefined && !(Number.isInteger(port) && port < 65536)) {
    reader.fail("a port as page, a whole number up to 65535, 0 for any", start);
  }
  return {
    kind: "human",
    ...(name === undefined ? {} : { name }),
    ...(seed === undefined ? {} : { seed: seed[0]! }),
    ...(port === undefined ? {} : { page: port }),
    ...texts,
  };
}
