/**
 * `sppo judge compare`: agreement of judges with each other and with labels, and their biases.
 *
 * @module
 */

import { checkJudgement } from "../../core/judgements.ts";
import type { ComparisonGroup, PreferenceOracle } from "../../core/oracle.ts";
import { preferenceRows } from "../../core/records.ts";
import {
  commonPairs,
  fitTemperature,
  type OrderReport,
  orderSwapJudge,
  type RatedGroup,
  type RaterAgreement,
  raterAgreement,
  type RaterFacts,
  raterFacts,
} from "../../judges/mod.ts";
import { fileJournal } from "../file_journal.ts";
import { journaledJudge } from "../judges/journaled_judge.ts";
import { loadJudge } from "../judges/load_judge.ts";
import { judgeCompareOptions } from "../options/tables.ts";
import { resolveValues } from "../options/parse.ts";
import { shortNumber, textTable } from "../progress.ts";
import { checkNeeds } from "../prompts.ts";
import { characters, readRatedFile } from "../rated_file.ts";
import { writeWhole } from "../whole_file.ts";
import type { Command } from "./command.ts";

/** Groups given to a judge at a time. */
const GROUPS_PER_ROUND = 16;

/** A judge, or the labels, with its ratings. */
interface Rater {
  readonly name: string;
  readonly groups: readonly RatedGroup[];
  readonly orders?: OrderReport;
}

/** The command. */
export const judgeCompareCommand: Command<typeof judgeCompareOptions> = {
  name: "judge compare",
  summary: "how judges agree with each other and with labels, and what biases they have",
  description:
    `Reads {"prompt","responses"} a line, with labels "preferences" (as sppo judge writes them) or "verdicts" (K×K:
row shown first, column second; 1 the first is better, 2 the second, 3 a tie), or {"prompt","chosen","rejected"},
and asks each of JUDGES. Prints accuracy and Cohen's kappa of each two of them and the labels; and of each the
pairs that the order decided, the triads that go round, and how often it prefers the longer response.
Without JUDGES the labels alone are looked at, and "verdicts" or "preferences" are enough.`,
  options: judgeCompareOptions,
  async prepare(context) {
    const values = resolveValues(judgeCompareOptions, context.layers);
    const { progress, signal, print } = context;
    const names = values.judges ?? [];
    const oracles: PreferenceOracle[] = [];
    for (const name of names) oracles.push(await loadJudge(name, values, context));
    const { asked, labels, orders } = await readRatedFile(values.input, {
      judged: names.length > 0,
      column: values.promptColumn,
      fields: oracles.flatMap(({ needs }) => needs?.fields ?? []),
    });
    for (const oracle of oracles) await checkNeeds(oracle, asked.map(({ prompt }) => prompt));
    return {
      async run() {
        const raters: Rater[] = [];
        const journal = values.journal === undefined ? undefined : fileJournal(values.journal);
        for (const [index, oracle] of oracles.entries()) {
          const name = names[index]!;
          const asking = journal === undefined ? oracle : journaledJudge(oracle, journal);
          const swapped = values.swap ? orderSwapJudge(asking) : undefined;
          const groups = await rate(
            swapped ?? asking,
            asked,
            signal,
            (done) => progress.update(name, done, asked.length, "prompts"),
          );
          raters.push({ name, groups, ...(swapped ? { orders: swapped.report() } : {}) });
        }
        progress.finish();
        if (labels) raters.push({ name: "labels", groups: labels, ...(orders ? { orders } : {}) });
        const facts = raters.map(({ name, groups, orders }) => ({
          name,
          ...raterFacts(groups),
          ...(orders ? { orders } : {}),
        }));
        const agreements = raters.flatMap((one, index) =>
          raters.slice(index + 1).map((other) => ({
            one: one.name,
            other: other.name,
            ...raterAgreement(one.groups, other.groups),
            ...(other.groups === labels ? { temperature: temperatureOf(one, other) } : {}),
          }))
        );
        print(ratersText(facts));
        if (agreements.length > 0) print(`\n${agreementsText(agreements)}`);
        if (values.json !== undefined) {
          const figures = { prompts: raters[0]!.groups.length, raters: facts, agreements };
          const text = `${JSON.stringify(figures, null, 2)}\n`;
          await writeWhole(values.json, new TextEncoder().encode(text));
        }
      },
      ...(values.journal === undefined ? {} : {
        kept: () => `the judgements so far are in ${values.journal}; the same command goes on`,
      }),
    };
  },
};

/** What a judge says of all groups. */
async function rate(
  oracle: PreferenceOracle,
  asked: readonly ComparisonGroup[],
  signal: AbortSignal,
  tell: (done: number) => void,
): Promise<RatedGroup[]> {
  const rated: RatedGroup[] = [];
  tell(0);
  for (let start = 0; start < asked.length; start += GROUPS_PER_ROUND) {
    const round = asked.slice(start, start + GROUPS_PER_ROUND);
    const later = asked.length - start - round.length;
    for await (const judgement of oracle.compare(round, { signal, later })) {
      const group = asked[rated.length];
      if (group === undefined) break;
      rated.push({
        preferences: preferenceRows(checkJudgement(judgement, group, oracle.id)),
        lengths: group.responses.map(({ text }) => characters(text)),
      });
      tell(rated.length);
    }
    if (rated.length !== start + round.length) {
      throw new RangeError(
        `Cannot use the judge ${oracle.id} as it must give one judgement per group: ` +
          `${rated.length - start} for ${round.length}`,
      );
    }
  }
  return rated;
}

/** The temperature that suits the labels best; null where none does, such as without an error. */
function temperatureOf(judge: Rater, labels: Rater): number | null {
  try {
    return fitTemperature(commonPairs(judge.groups, labels.groups));
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

const percent = (share: number) => Number.isNaN(share) ? "-" : `${(100 * share).toFixed(1)} %`;

function ratersText(
  facts: readonly (RaterFacts & { readonly name: string; readonly orders?: OrderReport })[],
): string {
  return textTable(
    ["", "pairs", "ties", "order decides", "first wins", "cyclic triads", "prompts", "longer wins"],
    facts.map(({ name, pairs, ties, orders, complete, triads, cyclic, longer }) => [
      name,
      `${pairs}`,
      percent(ties / pairs),
      orders ? percent(orders.inconsistent / orders.pairs) : "-",
      orders ? percent(orders.first) : "-",
      `${cyclic} of ${triads}`,
      `${complete}`,
      percent(longer),
    ]),
  );
}

function agreementsText(
  agreements: readonly (RaterAgreement & {
    readonly one: string;
    readonly other: string;
    readonly temperature?: number | null;
  })[],
): string {
  return textTable(
    ["", "against", "pairs", "decided", "accuracy", "same verdict", "kappa", "temperature"],
    agreements.map(({ one, other, pairs, decided, accuracy, same, kappa, temperature }) => [
      one,
      other,
      `${pairs}`,
      `${decided}`,
      percent(accuracy),
      percent(same),
      Number.isNaN(kappa) ? "-" : kappa.toFixed(3),
      temperature == null ? "-" : shortNumber(temperature),
    ]),
  );
}
