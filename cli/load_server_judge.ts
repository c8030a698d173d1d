/**
 * Judges that are language models on servers, named on the command line.
 *
 * @module
 */

import { join } from "node:path";
import type { PreferenceOracle } from "../core/oracle.ts";
import {
  type AnswerForm,
  languageModelJudge,
  type LanguageModelJudgeOptions,
  ownTemplate,
  type PairwiseTemplate,
  pairwiseTemplates,
  type ServerJudge,
} from "../judges/mod.ts";
import { openAiChat } from "../models/remote/openai_chat.ts";
import { textTemplateParser } from "../models/text/text_template.ts";
import { fileError } from "./errors.ts";
import { fileJournal } from "./file_journal.ts";
import type { LoadContext } from "./load_model.ts";

const UNPARSABLE = { throw: "throw", pair: "mask-pair", prompt: "mask-prompt" } as const;

/**
 * Makes the judge. Its answers are kept in a folder of the user's cache, or the one it names; what it
 * used is told at the end.
 *
 * @throws {Error} When a file it names cannot be read, or an option is out of range.
 */
export async function loadServerJudge(
  { model, options, texts }: ServerJudge,
  { resources, progress }: LoadContext,
): Promise<PreferenceOracle> {
  const number = (name: string) => options[name]?.[0];
  const { url = "", unparsable = "throw" } = texts;
  if (!URL.canParse(url) || !/^https?:/.test(url)) {
    throw new TypeError(
      `Cannot use the judge llm:${model} as url must be one of http or https: ${url}`,
    );
  }
  if (!Object.hasOwn(UNPARSABLE, unparsable)) {
    throw new RangeError(
      `Cannot use the judge llm:${model} as unparsable must be one of ${
        Object.keys(UNPARSABLE).join(", ")
      }: ${unparsable}`,
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
    template: await templateOf(texts, number("tokens")),
    logProbs: number("logprobs") !== 0,
    unparsable: UNPARSABLE[unparsable as keyof typeof UNPARSABLE],
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

async function templateOf(
  { template: name = "short", labels }: ServerJudge["texts"],
  maxTokens: number | undefined,
): Promise<PairwiseTemplate> {
  if (Object.hasOwn(pairwiseTemplates, name)) {
    if (labels !== undefined) {
      throw new TypeError(
        `Cannot use the template ${name} as labels must be given for one of your own: ${labels}`,
      );
    }
    const template = pairwiseTemplates[name as keyof typeof pairwiseTemplates];
    return maxTokens === undefined ? template : { ...template, maxTokens };
  }
  const source = await readText(name);
  return ownTemplate({
    source,
    render: (await textTemplateParser())(source),
    ...(labels === undefined ? {} : { form: labelForm(labels) }),
    ...(maxTokens === undefined ? {} : { maxTokens }),
  });
}

function labelForm(labels: string): AnswerForm {
  const [first, second, tie, ...more] = labels.split("/");
  if (first === undefined || second === undefined || more.length > 0) {
    throw new RangeError(
      `Cannot read labels as they must be two or three with "/" between them: ${labels}`,
    );
  }
  return { kind: "label", first, second, ...(tie === undefined ? {} : { tie }) };
}

function answersFolder(): string {
  const person = Deno.env.get(Deno.build.os === "windows" ? "USERPROFILE" : "HOME") || ".";
  return join(Deno.env.get("XDG_CACHE_HOME") || join(person, ".cache"), "sppo", "answers");
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw fileError(error, `read ${path}`);
  }
}
