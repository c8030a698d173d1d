/**
 * Judges that are language models on servers, named on the command line.
 *
 * @module
 */

import { join } from "node:path";
import type { PreferenceOracle } from "../../core/oracle.ts";
import {
  type LanguageJudge,
  languageModelJudge,
  type LanguageModelJudgeOptions,
} from "../../judges/mod.ts";
import { openAiChat } from "../../models/remote/openai_chat.ts";
import { fileJournal } from "../file_journal.ts";
import { questionOf, readText } from "./judge_question.ts";
import type { LoadContext } from "../load_model.ts";

/**
 * Makes the judge. Its answers are kept in a folder of the user's cache, or the one it names; what it
 * used is told at the end.
 *
 * @throws {Error} When a file it names cannot be read, or an option is out of range.
 */
export async function loadServerJudge(
  judge: LanguageJudge,
  { resources, progress }: LoadContext,
): Promise<PreferenceOracle> {
  const { model, options, texts } = judge;
  const number = (name: string) => options[name]?.[0];
  const { url = "" } = texts;
  if (!URL.canParse(url) || !/^https?:/.test(url)) {
    throw new TypeError(
      `Cannot use the judge llm:${model} as url must be one of http or https: ${url}`,
    );
  }
  const [timeout, retries] = [number("timeout"), number("retries")];
  const chat = openAiChat({
    baseUrl: url,
    model,
    ...(texts.key === undefined ? {} : { apiKey: (await readText(texts.key)).trim() }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }),
    ...(retries === undefined ? {} : { maxRetries: retries }),
  });
  const [concurrency, tokenBudget] = [number("concurrency"), number("budget")];
  const oracle = languageModelJudge(chat, {
    ...await questionOf(judge),
    answers: fileJournal(texts.cache ?? answersFolder()),
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(tokenBudget === undefined ? {} : { tokenBudget }),
    ...priceOf(options.price),
  });
  resources.defer(() => {
    const { requests, promptTokens, responseTokens, currency } = oracle.meter();
    if (requests === 0) return;
    progress.line(
      `llm:${model}: ${requests} requests, ${promptTokens} tokens read, ${responseTokens} written` +
        (currency > 0 ? `, at a price of ${currency.toPrecision(3)}` : ""),
    );
  });
  return oracle;
}

function priceOf(
  price: readonly number[] | undefined,
): Pick<LanguageModelJudgeOptions, "price"> {
  if (price === undefined) return {};
  const [prompt, response] = price;
  if (price.length !== 2) {
    throw new RangeError(
      `Cannot use the judge as price must be two numbers, of tokens read and written: ${
        price.join("/")
      }`,
    );
  }
  return { price: { prompt: prompt!, response: response! } };
}

function answersFolder(): string {
  const person = Deno.env.get(Deno.build.os === "windows" ? "USERPROFILE" : "HOME") || ".";
  return join(Deno.env.get("XDG_CACHE_HOME") || join(person, ".cache"), "sppo", "answers");
}
