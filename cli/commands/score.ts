/**
 * `sppo score`: log-probabilities of given responses.
 *
 * @module
 */

import type { Prompt, Response } from "../../core/policy.ts";
import { loadPolicy } from "../load_policy.ts";
import { peakLine } from "../memory/words.ts";
import { openOutput } from "../output.ts";
import { scoreOptions } from "../options/tables.ts";
import { resolveValues } from "../options/parse.ts";
import { toPrompt } from "../prompts.ts";
import { fromResponseRecord } from "../records.ts";
import { readTable, type TableRecord } from "../table_file.ts";
import type { Command } from "./command.ts";

interface ScoreItem {
  readonly where: string;
  readonly fields: TableRecord["fields"];
  readonly prompt: Prompt;
  readonly response: Response;
}

/** Records scored at a time: many enough to sort by length, few enough to stream. */
const RECORDS_PER_ROUND = 64;

/** The command. */
export const scoreCommand: Command<typeof scoreOptions> = {
  name: "score",
  summary: "log-probabilities of given responses",
  description:
    `Reads {"prompt","response"} a line and adds "log_prob" (nats, summed over the response),
"token_ids" and "prompt_token_ids". A response is tokenised on its own and ends with the end-of-turn token
where the chat template is used; with "token_ids" (and "finish_reason") in the input these are used.`,
  options: scoreOptions,
  async prepare(context) {
    const values = resolveValues(scoreOptions, context.layers);
    const { progress, signal, resources } = context;
    const items: ScoreItem[] = [];
    for await (const record of readTable(values.input)) {
      items.push(toItem(record, values.promptColumn));
    }
    if (items.length === 0) {
      throw new RangeError(
        `Cannot read ${values.input} as it must hold at least one record: it holds none`,
      );
    }
    const output = resources.use(await openOutput(values.output));
    const policy = await loadPolicy(values, context, {
      kind: "scoring",
      prompts: items.map((item) => item.prompt),
      responses: items.map((item) => item.response),
    });
    const { model } = policy;
    const maxLength = Math.min(values.maxLength ?? Infinity, model.config.maxPositions);
    const encoded = items.map(({ prompt, response, fields, where }) => {
      const foreign = response.tokenIds?.find((id) => id >= model.config.vocabSize);
      if (foreign !== undefined) {
        throw new RangeError(
          `Cannot score ${where} as its token_ids must be below ${model.config.vocabSize}: ${foreign}`,
        );
      }
      const promptIds = model.encodePrompt(prompt);
      const tokenIds = [...model.encodeResponse(response)];
      if (promptIds.length + tokenIds.length > maxLength) {
        throw new RangeError(
          `Cannot score ${where} as it must be at most ${maxLength} tokens with its prompt: ${
            promptIds.length + tokenIds.length
          }`,
        );
      }
      return { fields, prompt, promptIds, response: { ...response, tokenIds } };
    });
    return {
      async run() {
        let done = 0;
        const tell = () => progress.update("scores", done, encoded.length, "responses");
        tell();
        for (let start = 0; start < encoded.length; start += RECORDS_PER_ROUND) {
          const round = encoded.slice(start, start + RECORDS_PER_ROUND);
          const groups = round.map(({ prompt, response }) => ({ prompt, responses: [response] }));
          let index = 0;
          for await (const [logProbs] of policy.logProbs(groups, { signal })) {
            const { fields, promptIds, response } = round[index++]!;
            await output.write({
              ...fields,
              log_prob: logProbs!.reduce((sum, value) => sum + value, 0),
              token_ids: response.tokenIds,
              prompt_token_ids: promptIds,
            });
            done++;
            tell();
          }
        }
        progress.line(peakLine(values.memory));
      },
      kept: () =>
        `the scores so far are in ${values.output === "-" ? "the output" : values.output}`,
    };
  },
};

function toItem(record: TableRecord, column: string): ScoreItem {
  const { fields, where } = record;
  const { response, token_ids, finish_reason } = fields;
  const given = typeof response === "object" && response !== null
    ? response
    : { text: response ?? undefined, token_ids, finish_reason };
  return {
    where,
    fields,
    prompt: toPrompt(record, column),
    response: fromResponseRecord(given, `the response at ${where}`),
  };
}
