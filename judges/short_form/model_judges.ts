/**
 * Judges that are models in the short form: read as data, and made by whoever can open or reach models.
 *
 * @module
 */

import { type Reader, readPath } from "./reader.ts";
import { readOptions } from "./read_options.ts";

/** Kinds of judges that are models, and the options of each. */
const MODEL_OPTIONS: Readonly<Record<ModelJudge["kind"], readonly string[]>> = {
  "pair-rm": ["temperature"],
  "reward": ["temperature", "penalty", "weights"],
  "gpm": ["tau", "normalize"],
};

/** Options of a language model as a judge that are numbers, and those that are texts. */
const LANGUAGE_OPTIONS = ["logprobs", "tokens"];
const LANGUAGE_TEXTS = ["template", "labels", "unparsable"];
/** Options of one on a server beside them. */
const SERVER_OPTIONS = ["concurrency", "retries", "timeout", "budget", "price"];
const SERVER_TEXTS = ["url", "key", "cache"];

/** A language model, as it was read; whoever can open or reach it makes the judge. */
export interface LanguageJudge {
  /** A language model. */
  readonly kind: "llm";
  /** Where it is, or its name on the server. */
  readonly model: string;
  /** Numbers by the names of options; `price` has two. */
  readonly options: Readonly<Record<string, readonly number[]>>;
  /** Texts by the names of options; with `url`, the model is on a server. */
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

/** Names that stand for models. */
export const MODEL_NAMES: readonly string[] = [...Object.keys(MODEL_OPTIONS), "llm"];

/** Reads the rest of a model judge, once its name is read. */
export function readModelJudge(
  reader: Reader,
  name: string,
  start: number,
): ModelJudge | LanguageJudge {
  return name === "llm"
    ? readLanguageModel(reader, start)
    : readModel(reader, name as ModelJudge["kind"], start);
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

function readLanguageModel(reader: Reader, start: number): LanguageJudge {
  if (!reader.take(":")) reader.fail('":" and a model after llm');
  const model = readPath(
    reader,
    "a folder or a file, or a name on the Hugging Face hub or a server",
  );
  const texts: Record<string, string> = {};
  const options = readOptions(reader, [...LANGUAGE_OPTIONS, ...SERVER_OPTIONS], {
    known: [...SERVER_TEXTS, ...LANGUAGE_TEXTS],
    read: texts,
  });
  const beside = Object.keys({ ...texts, ...options })
    .find((key) => SERVER_OPTIONS.includes(key) || SERVER_TEXTS.includes(key));
  if (texts.url === undefined && beside !== undefined) {
    reader.fail(`the server of the model beside ${beside}, as in url=URL`, start);
  }
  return { kind: "llm", model, options, texts };
}
