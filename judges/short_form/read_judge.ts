/**
 * The short form of judges, as the command line takes it.
 *
 * @module
 */

import type { PreferenceOracle } from "../../core/oracle.ts";
import { cyclicJudge } from "../cyclic_judge.ts";
import { featureJudge, type SharpnessOptions } from "../feature_judge.ts";
import { mixtureJudge, type MixtureTerm } from "../mixture_judge.ts";
import { MODEL_NAMES, type ModelJudge, readModelJudge, type ServerJudge } from "./model_judges.ts";
import { type ReadFeature, readFeature } from "./read_feature.ts";
import { readOptions } from "./read_options.ts";
import { createReader, NUMBER, type Reader } from "./reader.ts";

/** A term of a mixture as it was read. */
export interface JudgeTerm {
  /** A scripted judge, or a model that is to be opened or reached. */
  readonly judge: PreferenceOracle | ModelJudge | ServerJudge;
  /** Positive. */
  readonly weight: number;
}

/** Whether a judge is a model that is to be opened or reached. */
export function isModelJudge(judge: JudgeTerm["judge"]): judge is ModelJudge | ServerJudge {
  return "kind" in judge;
}

/**
 * Reads the short form of a judge, models among them.
 *
 * Grammar (white space may stand between any two parts):
 *
 * ```text
 * judge    = term { "+" term }
 * term     = [ number "*" ] atom | atom "*" number
 * atom     = ( feature | "cycle:" feature "," feature "," feature { "," feature } | model ) [ options ]
 * model    = "pair-rm:" path | "reward:" path { "|" path } | "gpm:" path | "llm:" path
 * path     = string | characters but white space and @ | + * , "
 * feature  = "length:" range | "characters:" range | "lexicon:" phrase { "|" phrase } | "example"
 *          | "regex:" ( "/" pattern "/" flags | string ) | "json"
 *          | "starts:" phrase | "ends:" phrase
 * range    = whole "-" whole | whole "-" | "-" whole
 * phrase   = string | word                 word: letters, digits, ' and _
 * string   = '"' characters '"'            as in JSON: \" and \\ for " and \, \n for a new line
 * options  = "@" key "=" value { "," key "=" value }
 * value    = number | path                 numbers with "/" between them for strengths, weights, price
 * ```
 *
 * A term without a weight has weight 1, and weights are divided by their sum.
 *
 * @throws {SyntaxError} When the text is no judge: what must stand where, and what does.
 *
 * @example
 * ```ts
 * import { readJudge } from "./read_judge.ts";
 * import assert from "node:assert/strict";
 * const [term] = readJudge('0.5*pair-rm:"my models/pairrm"@temperature=2');
 * assert.deepEqual(term, {
 *   weight: 0.5,
 *   judge: { kind: "pair-rm", paths: ["my models/pairrm"], options: { temperature: [2] } },
 * });
 * ```
 */
export function readJudge(text: string): JudgeTerm[] {
  const reader = createReader(text);
  const terms: JudgeTerm[] = [];
  do terms.push(readTerm(reader)); while (reader.take("+"));
  reader.skip();
  if (!reader.atEnd()) reader.fail('"+" or the end');
  return terms;
}

/**
 * The oracle of some terms: the one there is, or their mixture.
 *
 * @param terms At least one; weights are divided by their sum.
 */
export function combineTerms(terms: readonly MixtureTerm[]): PreferenceOracle {
  return terms.length === 1 ? terms[0]!.oracle : mixtureJudge(terms);
}

/**
 * Makes the judge of a short form without models; see {@linkcode readJudge} for the form.
 *
 * @throws {SyntaxError} When the text is no judge: what must stand where, and what does.
 * @throws {TypeError} When a judge in it is a model, which must be opened.
 *
 * @example
 * ```ts
 * import { parseJudge } from "./read_judge.ts";
 * import assert from "node:assert/strict";
 * assert.equal(parseJudge("length:30-60@sharpness=3").id, "length:30-60@sharpness=3,cap=0.95");
 * assert.throws(() => parseJudge("length:30"), SyntaxError);
 * ```
 */
export function parseJudge(text: string): PreferenceOracle {
  return combineTerms(
    readJudge(text).map(({ judge, weight }) => {
      if (isModelJudge(judge)) {
        throw new TypeError(
          `Cannot make the judge ${
            JSON.stringify(text)
          } as a model must be opened first: ${judge.kind}`,
        );
      }
      return { oracle: judge, weight };
    }),
  );
}

const SHARED_OPTIONS = ["sharpness", "cap", "noise", "seed"];

function readTerm(reader: Reader): JudgeTerm {
  reader.skip();
  const start = reader.position();
  const before = reader.match(NUMBER);
  if (before !== undefined && !reader.take("*")) reader.fail('"*" after a weight');
  const judge = readAtom(reader);
  const after = reader.take("*") ? reader.expect(NUMBER, 'a weight after "*"') : undefined;
  if (before !== undefined && after !== undefined) {
    reader.fail("one weight for each judge", start);
  }
  const weight = Number(before ?? after ?? 1);
  if (!(weight > 0)) reader.fail("a positive weight", start);
  return { judge, weight };
}

function readAtom(reader: Reader): JudgeTerm["judge"] {
  reader.skip();
  const start = reader.position();
  const name = reader.match(/[a-z]+(?:-[a-z]+)*/y);
  if (name !== undefined && MODEL_NAMES.includes(name)) return readModelJudge(reader, name, start);
  if (name === "cycle") {
    if (!reader.take(":")) reader.fail('":" after cycle');
    const features: ReadFeature[] = [];
    do features.push(readFeature(reader)); while (reader.take(","));
    if (features.length < 3) reader.fail("three features or more in a cycle, with commas between");
    const { strengths, none, ...options } = readOptions(
      reader,
      [...SHARED_OPTIONS, "strengths", "none"],
    );
    return reader.build(start, () =>
      cyclicJudge({
        features: features.map(({ make }) => make(undefined)),
        ...sharedOptions(options),
        ...(strengths === undefined ? {} : { strengths }),
        ...(none === undefined ? {} : { none: none[0]! }),
      }));
  }
  reader.rewind(start);
  const feature = readFeature(reader, ["cycle", ...MODEL_NAMES]);
  const counted = feature.name === "lexicon" || feature.name === "example";
  const { count, ...options } = readOptions(
    reader,
    counted ? [...SHARED_OPTIONS, "count"] : SHARED_OPTIONS,
  );
  return reader.build(start, () => featureJudge(feature.make(count?.[0]), sharedOptions(options)));
}

function sharedOptions(options: { [key: string]: readonly number[] }): SharpnessOptions {
  return Object.fromEntries(Object.entries(options).map(([key, [value]]) => [key, value]));
}
