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

/** Names that stand for models. */
export const MODEL_NAMES: readonly string[] = [...Object.keys(MODEL_OPTIONS), "llm"];

/** Reads the rest of a model judge, once its name is read. */
export function readModelJudge(
  reader: Reader,
  name: string,
  start: number,
): ModelJudge | ServerJudge {
  return name === "llm"
    ? readServer(reader, start)
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

function readServer(reader: Reader, start: number): ServerJudge {
  if (!reader.take(":")) reader.fail('":" and the name of a model after llm');
  const model = readPath(reader, "the name of a model");
  const texts: Record<string, string> = {};
  const options = readOptions(reader, SERVER_OPTIONS, { known: SERVER_TEXTS, read: texts });
  if (texts.url === undefined) reader.fail("the server of the model, as in @url=URL", start);
  return { kind: "llm", model, options, texts };
}
