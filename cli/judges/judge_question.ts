/**
 * What a language model that judges is asked, as the command line has it.
 *
 * @module
 */

import {
  type AnswerForm,
  type LanguageJudge,
  type LanguageModelJudgeOptions,
  ownTemplate,
  type PairwiseTemplate,
  pairwiseTemplates,
} from "../../judges/mod.ts";
import { textTemplateParser } from "../../models/text/text_template.ts";
import { fileError } from "../errors.ts";

const UNPARSABLE = { throw: "throw", pair: "mask-pair", prompt: "mask-prompt" } as const;

/**
 * The question, how its answers are read, and what one without a verdict does.
 *
 * @throws {Error} When a file it names cannot be read, or an option is out of range.
 */
export async function questionOf(
  { model, options, texts }: LanguageJudge,
): Promise<Required<Pick<LanguageModelJudgeOptions, "template" | "logProbs" | "unparsable">>> {
  const { unparsable = "throw" } = texts;
  if (!Object.hasOwn(UNPARSABLE, unparsable)) {
    throw new RangeError(
      `Cannot use the judge llm:${model} as unparsable must be one of ${
        Object.keys(UNPARSABLE).join(", ")
      }: ${unparsable}`,
    );
  }
  return {
    template: await templateOf(texts, options.tokens?.[0]),
    logProbs: options.logprobs?.[0] !== 0,
    unparsable: UNPARSABLE[unparsable as keyof typeof UNPARSABLE],
  };
}

async function templateOf(
  { template: name = "short", labels }: LanguageJudge["texts"],
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

/** A file's text. */
export async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw fileError(error, `read ${path}`);
  }
}
