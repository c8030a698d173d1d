/**
 * Judges that look at a field of the prompt, in the short form.
 *
 * @module
 */

import type { Json } from "../../core/journal.ts";
import type { PreferenceOracle } from "../../core/oracle.ts";
import { type AnswerFeature, answerJudge } from "../answers/answer_feature.ts";
import {
  chrfFeature,
  exactFeature,
  type FieldOptions,
  numberFeature,
  rougeFeature,
} from "../answers/references.ts";
import { checksFeature, schemaFeature } from "../answers/requirements.ts";
import { parseFeature } from "./read_feature.ts";
import { readOptions, SHARED_OPTIONS, single } from "./read_options.ts";
import type { Reader } from "./reader.ts";

/** Features by name, those that are made of a field alone. */
const FEATURES = {
  number: numberFeature,
  exact: exactFeature,
  rouge: rougeFeature,
  chrf: chrfFeature,
  schema: schemaFeature,
  checks: (options: FieldOptions) => checksFeature({ ...options, read: parseFeature }),
} as const satisfies { readonly [name: string]: (options: FieldOptions) => AnswerFeature };

/** Names that stand for features of an answer. */
export const ANSWER_NAMES: readonly string[] = Object.keys(FEATURES);

/** Reads the rest of a judge of an answer, once its name is read. */
export function readAnswerJudge(reader: Reader, name: string, start: number): PreferenceOracle {
  const schema = name === "schema" && reader.take(":") ? readJson(reader) : undefined;
  const texts: { field?: string } = {};
  const { tolerance, ...shared } = readOptions(
    reader,
    name === "number" ? [...SHARED_OPTIONS, "tolerance"] : SHARED_OPTIONS,
    { known: schema === undefined ? ["field"] : [], read: texts },
  );
  return reader.build(start, () => {
    const feature = schema !== undefined
      ? schemaFeature({ schema })
      : tolerance !== undefined
      ? numberFeature({ ...texts, tolerance: tolerance[0]! })
      : FEATURES[name as keyof typeof FEATURES](texts);
    return answerJudge(feature, single(shared));
  });
}

/** A JSON object that begins here. */
function readJson(reader: Reader): Json {
  const what = "a JSON object";
  reader.skip();
  const start = reader.position();
  let depth = 0, text = "";
  do {
    const part = reader.match(/"(?:[^"\\]|\\[^])*"|[{}[\]]|[^"{}[\]]/y);
    if (part === undefined || (text === "" && part !== "{")) return reader.fail(what, start);
    if (part === "{" || part === "[") depth++;
    if (part === "}" || part === "]") depth--;
    text += part;
  } while (depth > 0);
  try {
    return JSON.parse(text);
  } catch {
    return reader.fail(what, start);
  }
}
