/**
 * `sppo judge`: preferences among given responses.
 *
 * @module
 */

import { estimateWinRates } from "../../core/estimators.ts";
import { checkJudgement } from "../../core/judgements.ts";
import type { Prompt, Response } from "../../core/policy.ts";
import { preferenceRows } from "../../core/records.ts";
import { judgeGrammarHelp } from "../../judges/mod.ts";
import { shortly } from "../errors.ts";
import { checkEstimator, loadJudge } from "../judges/load_judge.ts";
import { openOutput } from "../output.ts";
import { judgeOptions } from "../options/tables.ts";
import { resolveValues } from "../options/parse.ts";
import { checkNeeds, toPrompt } from "../prompts.ts";
import { fromResponseRecord } from "../records.ts";
import { readTable, type TableRecord } from "../table_file.ts";
import type { Command } from "./command.ts";

interface JudgeItem {
  readonly fields: TableRecord["fields"];
  readonly prompt: Prompt;
  readonly responses: readonly Response[];
}

/** Groups given to the judge at a time. */
const GROUPS_PER_ROUND = 16;

/** The command. */
export const judgeCommand: Command<typeof judgeOptions> = {
  name: "judge",
  summary: "compare given responses with each other",
  description:
    `Reads {"prompt","responses":[text, ...]} a line, as sppo generate writes them, and adds
"preferences" (row i, column j: how likely response i is to be preferred to j; null where not compared) and
"win_rates".`,
  epilogue: () => judgeGrammarHelp,
  options: judgeOptions,
  async prepare(context) {
    const values = resolveValues(judgeOptions, context.layers);
    const { progress, signal, resources } = context;
    const oracle = await loadJudge(values.judge, values, context);
    const output = resources.use(await openOutput(values.output));
    const items: JudgeItem[] = [];
    for await (const record of readTable(values.input)) {
      items.push(toItem(record, values.promptColumn, oracle.needs?.fields));
    }
    if (items.length === 0) {
      throw new RangeError(
        `Cannot read ${values.input} as it must hold at least one record: it holds none`,
      );
    }
    await checkNeeds(oracle, items.map(({ prompt }) => prompt));
    const { estimator, selfTerm, preferenceTemperature } = values;
    const options = {
      estimator,
      selfTerm,
      ...(preferenceTemperature === undefined ? {} : { preferenceTemperature }),
    };
    await checkEstimator(oracle, values.judge, options, items[0]!, signal);
    return {
      async run() {
        let done = 0;
        const tell = () => progress.update("judgements", done, items.length, "prompts");
        tell();
        for (let start = 0; start < items.length; start += GROUPS_PER_ROUND) {
          const round = items.slice(start, start + GROUPS_PER_ROUND);
          let index = 0;
          const later = items.length - start - round.length;
          for await (const judgement of oracle.compare(round, { signal, later })) {
            const item = round[index++];
            if (item === undefined) break;
            const { winRates } = estimateWinRates(
              checkJudgement(judgement, item, oracle.id),
              options,
            );
            await output.write({
              ...item.fields,
              preferences: preferenceRows(judgement),
              win_rates: [...winRates].map((rate) => Number.isNaN(rate) ? null : rate),
            });
            done++;
            tell();
          }
          if (index !== round.length) {
            throw new RangeError(
              `Cannot use the judge ${values.judge} as it must give one judgement per group: ${index} for ${round.length}`,
            );
          }
        }
      },
      kept: () =>
        `the judgements so far are in ${values.output === "-" ? "the output" : values.output}`,
    };
  },
};

function toItem(
  record: TableRecord,
  column: string,
  names: readonly string[] | undefined,
): JudgeItem {
  const { fields, where } = record;
  const { responses } = fields;
  if (!Array.isArray(responses)) {
    throw new TypeError(
      `Cannot read ${where} as it must have a list of responses: ${shortly(responses)}`,
    );
  }
  if (responses.length < 2) {
    throw new RangeError(
      `Cannot read ${where} as it must have at least 2 responses to compare: ${responses.length}`,
    );
  }
  return {
    fields,
    prompt: toPrompt(record, column, names),
    responses: responses.map((response, index) =>
      fromResponseRecord(response, `response ${index + 1} at ${where}`)
    ),
  };
}
