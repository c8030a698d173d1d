/**
 * The short form of judges, as the command line takes it.
 *
 * @module
 */

import type { PreferenceOracle } from "../core/oracle.ts";
import { cyclicJudge } from "./cyclic_judge.ts";
import { featureJudge, type SharpnessOptions } from "./feature_judge.ts";
import {
  endsFeature,
  type Feature,
  jsonFeature,
  lengthFeature,
  lexiconFeature,
  lexicons,
  regexFeature,
  startsFeature,
} from "./features.ts";
import { mixtureJudge, type MixtureTerm } from "./mixture_judge.ts";

/** What the command line prints about judges. */
export const judgeGrammarHelp = `\
A judge is a feature, a cycle of features, or a weighted sum of judges:

  length:30-60            30 to 60 words (also 30- and -60)
  characters:200-400      200 to 400 characters
  lexicon:great|"of course"   one of these words or phrases
  example                 gives an example ("for example", "such as" ...)
  regex:/^\\d+\\./m         a regular expression
  json                    is valid JSON
  starts:"Yes" ends:"?"   how it starts, how it ends
  cycle:A,B,C             feature A beats B, B beats C, C beats A; none of them loses
  0.7*A + 0.3*B           a mixture; A*0.7 + B*0.3 is the same

or a model, by its folder or its name on the Hugging Face hub:

  pair-rm:PATH            PairRM                 temperature=1   2 is what it is calibrated for
  reward:PATH             a reward model         temperature=1   penalty=0   reward less, a character
  reward:PATH|PATH        several, averaged      weights=1/1     how much each counts
  gpm:PATH                a general preference   tau=0.1         normalize=0 (1: embeddings of length 1)
                          model

or a language model of an OpenAI-compatible server, which is asked about each pair in both orders:

  llm:MODEL@url=http://localhost:8080/v1

  template=short        short, alpaca (AlpacaEval 2), mt-bench (pair-v2), or a Jinja file of your own, with
                        prompt, messages, first and second
  labels=A/B/C          how answers to your template begin (first, second, tie; without: [[A]], [[B]], [[C]])
  logprobs=1            0: labels are read from the text alone        tokens=N      longest answer
  unparsable=throw      pair, prompt: what is masked where an answer has no verdict
  concurrency=4         requests at once       retries=3 timeout=120  of a request, times and seconds
  budget=N              tokens after which nothing is asked           price=2.5/10  of a million tokens
  key=FILE              holds the API key      cache=FOLDER           where answers are kept

A path with white space or one of @ | + * , stands in quotes. Options follow an @: length:30-60@sharpness=3,cap=0.9

  sharpness=6   logit of a full difference of scores     noise=0   noise of the logit
  cap=0.95      bound of every preference                seed=0    seed of the noise
  count=1       occurrences wanted (lexicon, example)
  strengths=.9/.6/.7   how often A beats B, B beats C, C beats A (cycle)
  none=.9              how often any of them beats none of them (cycle)

Example: --judge '0.7*length:30-60 + 0.3*example'`;

const featureNames = [
  "length",
  "characters",
  "lexicon",
  "example",
  "regex",
  "json",
  "starts",
  "ends",
];

/** Kinds of judges that are models, and the options of each. */
const MODEL_OPTIONS: Readonly<Record<ModelJudge["kind"], readonly string[]>> = {
  "pair-rm": ["temperature"],
  "reward": ["temperature", "penalty", "weights"],
  "gpm": ["tau", "normalize"],
};

/** Options of a judge on a server that are numbers, and those that are texts. */
const SERVER_OPTIONS = [
  "logprobs",
  "tokens",
  "concurrency",
  "retries",
  "timeout",
  "budget",
  "price",
];
const SERVER_TEXTS = ["url", "template", "labels", "unparsable", "key", "cache"];

/** A language model on a server, as it was read; whoever can reach it makes the judge. */
export interface ServerJudge {
  /** A language model. */
  readonly kind: "llm";
  /** The model's name on the server. */
  readonly model: string;
  /** Numbers by the names of options; `price` has two. */
  readonly options: Readonly<Record<string, readonly number[]>>;
  /** Texts by the names of options; `url` is there. */
  readonly texts: Readonly<Record<string, string>>;
}

/** A judge that is a model, as it was read; whoever can open models makes it. */
export interface ModelJudge {
  /** What kind of model. */
  readonly kind: "pair-rm" | "reward" | "gpm";
  /** Where it is; several only of reward models. */
  readonly paths: readonly string[];
  /** Numbers by the names of options; `weights` has one for each path. */
  readonly options: Readonly<Record<string, readonly number[]>>;
}

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

/** A feature as it was read, to be made once its options are known. */
interface ReadFeature {
  readonly name: string;
  make(count: number | undefined): Feature;
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
 * import { readJudge } from "./grammar.ts";
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
 * import { parseJudge } from "./grammar.ts";
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
  if (name !== undefined && Object.hasOwn(MODEL_OPTIONS, name)) {
    return readModel(reader, name as ModelJudge["kind"], start);
  }
  if (name === "llm") return readServer(reader, start);
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
  const feature = readFeature(reader);
  const counted = feature.name === "lexicon" || feature.name === "example";
  const { count, ...options } = readOptions(
    reader,
    counted ? [...SHARED_OPTIONS, "count"] : SHARED_OPTIONS,
  );
  return reader.build(start, () => featureJudge(feature.make(count?.[0]), sharedOptions(options)));
}

function readModel(reader: Reader, kind: ModelJudge["kind"], start: number): ModelJudge {
  const what = "a folder, or a name on the Hugging Face hub";
  if (!reader.take(":")) reader.fail(`":" and ${what} after ${kind}`);
  const paths: string[] = [];
  do {
    reader.skip();
    paths.push(readPath(reader, what));
  } while (kind === "reward" && reader.take("|"));
  const options = readOptions(reader, MODEL_OPTIONS[kind]);
  const weights = options.weights?.length ?? paths.length;
  if (weights !== paths.length) {
    reader.fail(`one weight for each of ${paths.length} models`, start);
  }
  return { kind, paths, options };
}

function readServer(reader: Reader, start: number): ServerJudge {
  if (!reader.take(":")) reader.fail('":" and the name of a model after llm');
  const model = readPath(reader, "the name of a model");
  const texts: Record<string, string> = {};
  const options = readOptions(reader, SERVER_OPTIONS, { known: SERVER_TEXTS, read: texts });
  if (texts.url === undefined) reader.fail("the server of the model, as in @url=URL", start);
  return { kind: "llm", model, options, texts };
}

function readPath(reader: Reader, what: string): string {
  reader.skip();
  return readString(reader) ?? reader.expect(/[^\s@|+*,"]+/uy, what);
}

const NUMBER = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y;
const SHARED_OPTIONS = ["sharpness", "cap", "noise", "seed"];

function readFeature(reader: Reader): ReadFeature {
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
        `one of ${featureNames.join(", ")}, cycle, ${Object.keys(MODEL_OPTIONS).join(", ")}, llm`,
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

function readString(reader: Reader): string | undefined {
  const start = reader.position();
  if (!reader.takeHere('"')) return undefined;
  reader.rewind(start);
  const literal = reader.match(/"(?:[^"\\]|\\[^])*"/y);
  if (literal === undefined) return reader.fail("a closing quote", start);
  try {
    return JSON.parse(literal) as string;
  } catch {
    return reader.fail('a string as in JSON, with \\" and \\\\ for quotes and backslashes', start);
  }
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

function readOptions(
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
      ["strengths", "weights", "price"].includes(key) && reader.take("/")
    );
    options[key] = values;
  } while (reader.take(","));
  return options;
}

function sharedOptions(options: { [key: string]: readonly number[] }): SharpnessOptions {
  return Object.fromEntries(Object.entries(options).map(([key, [value]]) => [key, value]));
}

interface Reader {
  position(): number;
  rewind(position: number): void;
  atEnd(): boolean;
  /** Passes over white space. */
  skip(): void;
  /** Takes a text after white space, if it is there. */
  take(text: string): boolean;
  /** Takes a text right here, if it is there. */
  takeHere(text: string): boolean;
  /** Takes what a sticky expression matches right here. */
  match(pattern: RegExp): string | undefined;
  /** Takes what it matches after white space, or fails. */
  expect(pattern: RegExp, what: string): string;
  fail(what: string, position?: number): never;
  /** What `make` makes; its error becomes one of this place. */
  build<T>(position: number, make: () => T): T;
}

function createReader(text: string): Reader {
  let at = 0;
  const message = (position: number, reason: string): string =>
    `Cannot read the judge ${JSON.stringify(text)} as ${reason}`.concat(
      ` at position ${position + 1}`,
    );
  const reader: Reader = {
    position: () => at,
    rewind(position) {
      at = position;
    },
    atEnd: () => at >= text.length,
    skip() {
      while (/\s/u.test(text.charAt(at))) at++;
    },
    take(wanted) {
      const before = at;
      reader.skip();
      if (reader.takeHere(wanted)) return true;
      at = before;
      return false;
    },
    takeHere(wanted) {
      if (!text.startsWith(wanted, at)) return false;
      at += wanted.length;
      return true;
    },
    match(pattern) {
      pattern.lastIndex = at;
      const found = pattern.exec(text)?.[0];
      if (found !== undefined) at += found.length;
      return found;
    },
    expect(pattern, what) {
      reader.skip();
      return reader.match(pattern) ?? reader.fail(what);
    },
    fail(what, position) {
      if (position === undefined) {
        reader.skip();
        position = at;
      }
      const rest = text.slice(position);
      const found = rest === ""
        ? "the end"
        : JSON.stringify(rest.length > 20 ? `${rest.slice(0, 20)}…` : rest);
      throw new SyntaxError(message(position, `there must be ${what}: ${found}`));
    },
    build(position, make) {
      try {
        return make();
      } catch (error) {
        if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
        const reason = error.message.replace(/^Cannot .*? as /, "");
        throw new SyntaxError(message(position, reason), { cause: error });
      }
    },
  };
  return reader;
}
