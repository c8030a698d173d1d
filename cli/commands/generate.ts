/**
 * `sppo generate`: responses to prompts.
 *
 * @module
 */

import type { Prompt, Sampler } from "../../core/policy.ts";
import { loadPolicy } from "../load_policy.ts";
import { peakLine } from "../memory/words.ts";
import { openOutput } from "../output.ts";
import { generateOptions } from "../options/tables.ts";
import { resolveValues } from "../options/parse.ts";
import { flagName, type Values } from "../options/spec.ts";
import { contentId, notBlank, readPrompts } from "../prompts.ts";
import { toResponseRecord } from "../records.ts";
import { fileError } from "../errors.ts";
import type { Command, CommandContext } from "./command.ts";

type Options = typeof generateOptions;

/** The command. */
export const generateCommand: Command<Options> = {
  name: "generate",
  summary: "answer prompts",
  description: `Answers prompts, one line each:
{"prompt_id","prompt","responses":[{"text","token_ids","log_prob","finish_reason"}]}
log_prob is the model's own log-probability of the response in nats, at temperature 1; with --precision
fast, that of the 8-bit arithmetic it was sampled with (sppo score computes it in float32).`,
  options: generateOptions,
  async prepare(context) {
    const values = resolveValues(generateOptions, context.layers);
    const { progress, signal, resources } = context;
    if (values.server !== undefined) refuseLocalOptions(context.layers);
    const prompts = await givenPrompts(values, progress.line);
    const output = resources.use(await openOutput(values.output));
    const sampler = await givenSampler(values, prompts, context);
    const { samples, temperature, topP, topK, minP, maxTokens, seed, stop } = values;
    return {
      async run() {
        let done = 0;
        const tell = () => progress.update("responses", done, prompts.length, "prompts");
        tell();
        const options = { samples, temperature, topP, topK, minP, maxTokens, seed, signal };
        for await (
          const { prompt, responses } of sampler.sample(
            prompts,
            stop === undefined ? options : { ...options, stop },
          )
        ) {
          await output.write({
            prompt_id: prompt.id,
            prompt: prompt.content,
            ...prompt.fields,
            responses: responses.map(toResponseRecord),
          });
          done++;
          tell();
        }
        if (values.server === undefined) progress.line(peakLine(values.memory));
      },
      kept: () =>
        `the responses so far are in ${values.output === "-" ? "the output" : values.output}`,
    };
  },
};

/** Options of what runs here, which a server would never see. */
const LOCAL_OPTIONS = [
  "adapter",
  "tokenizer",
  "template",
  "precision",
  "sampledAdapter",
  "backend",
  "threads",
  "slots",
  "keepEncoded",
  "memory",
] as const;

/** @throws {TypeError} When one of them is given, naming it. */
function refuseLocalOptions(layers: CommandContext<Options>["layers"]): void {
  for (const key of LOCAL_OPTIONS) {
    const given = layers.find((layer) => layer[key] !== undefined)?.[key];
    if (given === undefined) continue;
    throw new TypeError(
      `Cannot use ${flagName(key)} with --server as it must be the server's own business: ${given}`,
    );
  }
}

/** Columns that are written in any case. */
const WRITTEN = ["prompt_id", "prompt", "responses"];

async function givenPrompts(
  { prompt, input, promptColumn, keep }: Values<Options>,
  note: (text: string) => void,
): Promise<readonly Prompt[]> {
  if ((prompt === undefined) === (input === undefined)) {
    throw new TypeError(
      `Cannot start as one of --input and --prompt must be given: ${
        prompt === undefined ? "neither" : "both"
      } is`,
    );
  }
  if (prompt !== undefined) {
    const content = notBlank(prompt, "--prompt");
    return [{ id: contentId(content), content }];
  }
  const { prompts, duplicates } = await readPrompts(input ?? "", {
    column: promptColumn,
    fields: (keep ?? []).filter((column) => !WRITTEN.includes(column)),
  });
  if (duplicates > 0) note(`${input}: ${duplicates} repeated prompts left out`);
  return prompts;
}

async function givenSampler(
  values: Values<Options>,
  prompts: readonly Prompt[],
  context: CommandContext<Options>,
): Promise<Sampler> {
  if (values.server !== undefined) {
    const apiKey = values.apiKeyFile === undefined ? undefined : await readKey(values.apiKeyFile);
    const { openAiSampler } = await import("../../models/remote/openai_sampler.ts");
    return openAiSampler({
      baseUrl: values.server,
      model: values.model,
      ...(apiKey === undefined ? {} : { apiKey }),
    });
  }
  const { samples, maxTokens } = values;
  return await loadPolicy(values, context, { kind: "sampling", prompts, samples, maxTokens });
}

async function readKey(path: string): Promise<string> {
  try {
    return (await Deno.readTextFile(path)).trim();
  } catch (error) {
    throw fileError(error, `read ${path}`);
  }
}
