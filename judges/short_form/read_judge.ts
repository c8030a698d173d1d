/**
 * The short form of judges, as the command line takes it.
 *
 * @module
 */

import type { PreferenceOracle } from "../../core/oracle.ts";
import { cyclicJudge } from "../cyclic_judge.ts";
import { featureJudge } from "../feature_judge.ts";
import { combineTerms, type JudgeTerm, type WrappedJudge } from "./judge_terms.ts";
import { MODEL_NAMES, readModelJudge } from "./model_judges.ts";
import { readPerson } from "./person_judge.ts";
import { ANSWER_NAMES, readAnswerJudge } from "./read_answer.ts";
import { COUNTED, type ReadFeature, readFeature } from "./read_feature.ts";
import { readOptions, SHARED_OPTIONS, single } from "./read_options.ts";
import { createReader, NUMBER, type Reader, readPath } from "./reader.ts";
import { type WrapperName, wrappers } from "./wrappers.ts";

/**
 * Reads the short form of a judge, models and wrappers among them.
 *
 * Grammar (white space may stand between any two parts):
 *
 * ```text
 * judge    = term { "+" term }
 * term     = [ number "*" ] atom | atom "*" number
 * atom     = ( feature | answer | "cycle:" feature "," feature "," feature { "," feature } | model
 *            | person | wrapper ) [ options ]
 * model    = "pair-rm:" path | "reward:" path { "|" path } | "gpm:" path | "llm:" path | "module:" path
 * person   = "human" [ ":" word ]
 * wrapper  = ( "swap" | "cached" | "noisy" | "tempered" ) "(" judge ")"
 *          | ( "majority" | "share" ) "(" judge { ";" judge } ")"
 * path     = string | characters but white space and @ | + * , ; ( ) "
 * feature  = "length:" range | "characters:" range | "lexicon:" phrase { "|" phrase } | "example"
 *          | "regex:" ( "/" pattern "/" flags | string ) | "json"
 *          | "starts:" phrase | "ends:" phrase | "contains:" phrase | "value:" values
 *          | "refusal" | "repetition" [ ":" whole ] | "not:" feature
 * answer   = "number" | "exact" | "rouge" | "chrf" | "schema" [ ":" JSON object ] | "checks"
 * values   = number ".." number | number ".." | ".." number       with a sign or without
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
  const terms = readTerms(reader, 0);
  reader.skip();
  if (!reader.atEnd()) reader.fail('"+" or the end');
  return terms;
}

function readTerms(reader: Reader, depth: number): JudgeTerm[] {
  const terms: JudgeTerm[] = [];
  do terms.push(readTerm(reader, depth)); while (reader.take("+"));
  return terms;
}

/**
 * Makes the judge of a short form without what must be opened; see {@linkcode readJudge} for the form.
 *
 * @throws {SyntaxError} When the text is no judge: what must stand where, and what does.
 * @throws {TypeError} When something in it must be opened first: a model, a module, a file.
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
  const refuse = (what: string) => {
    throw new TypeError(
      `Cannot make the judge ${JSON.stringify(text)} as ${what} must be opened first`,
    );
  };
  return combineTerms(readJudge(text), {
    opened: ({ kind }) => refuse(`a ${kind}`),
    store: (file) => refuse(file),
  });
}

/** How deep wrappers may stand in each other. */
const MOST_WRAPPERS = 16;

function readTerm(reader: Reader, depth: number): JudgeTerm {
  reader.skip();
  const start = reader.position();
  const before = reader.match(NUMBER);
  if (before !== undefined && !reader.take("*")) reader.fail('"*" after a weight');
  const judge = readAtom(reader, depth);
  const after = reader.take("*") ? reader.expect(NUMBER, 'a weight after "*"') : undefined;
  if (before !== undefined && after !== undefined) {
    reader.fail("one weight for each judge", start);
  }
  const weight = Number(before ?? after ?? 1);
  if (!(weight > 0)) reader.fail("a positive weight", start);
  return { judge, weight };
}

function readAtom(reader: Reader, depth: number): JudgeTerm["judge"] {
  reader.skip();
  const start = reader.position();
  const name = reader.match(/[a-z]+(?:-[a-z]+)*/y);
  if (name !== undefined && MODEL_NAMES.includes(name)) return readModelJudge(reader, name, start);
  if (name !== undefined && ANSWER_NAMES.includes(name)) {
    return readAnswerJudge(reader, name, start);
  }
  if (name !== undefined && isWrapper(name)) return readWrapped(reader, name, start, depth);
  if (name === "human") return readPerson(reader);
  if (name === "module") {
    if (!reader.take(":")) reader.fail('":" and the path of a module after module');
    return { kind: "module", path: readPath(reader, "the path of a module") };
  }
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
        ...single(options),
        ...(strengths === undefined ? {} : { strengths }),
        ...(none === undefined ? {} : { none: none[0]! }),
      }));
  }
  reader.rewind(start);
  const feature = readFeature(reader, [
    ...ANSWER_NAMES,
    "cycle",
    ...MODEL_NAMES,
    "human",
    "module",
    ...Object.keys(wrappers),
  ]);
  const { count, ...options } = readOptions(
    reader,
    COUNTED.includes(feature.name) ? [...SHARED_OPTIONS, "count"] : SHARED_OPTIONS,
  );
  return reader.build(start, () => featureJudge(feature.make(count?.[0]), single(options)));
}

function isWrapper(name: string): name is WrapperName {
  return Object.hasOwn(wrappers, name);
}

/** What stands for a judge that is not made yet. */
const NOBODY: PreferenceOracle = { id: "", async *compare() {} };

function readWrapped(
  reader: Reader,
  kind: WrapperName,
  start: number,
  depth: number,
): WrappedJudge {
  if (depth === MOST_WRAPPERS) {
    reader.fail(`at most ${MOST_WRAPPERS} wrappers in each other`, start);
  }
  const { several, options: known, needs, file, make } = wrappers[kind];
  if (!reader.take("(")) reader.fail(`"(" and a judge after ${kind}`);
  const judges: JudgeTerm[][] = [];
  do judges.push(readTerms(reader, depth + 1)); while (several && reader.take(";"));
  if (!reader.take(")")) reader.fail(`"+", ${several ? '";"' : "options"} or ")"`);
  const texts: Record<string, string> = {};
  const given = file || known.length > 0
    ? readOptions(reader, known, { known: file ? ["file"] : [], read: texts })
    : {};
  const options = single(given);
  if (needs.length > 0 && !needs.some((key) => key in options)) {
    reader.fail(`${needs.join(" or ")} after ${kind}(…), as in @${needs[0]}=0.5`);
  }
  // Made once here, so that an error names the wrapper's place.
  reader.build(start, () => make(judges.map(() => NOBODY), options, undefined));
  return { kind, judges, options, ...texts };
}
