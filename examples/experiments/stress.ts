// deno-lint-ignore-file no-console -- a script that prints
/**
 * SPPO where it is hard: a judge that is sure of differences that are not there, few samples, and η from
 * small to the paper's. On the embedded policy, beside DPO, IPO and hard labels.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-env --allow-sys \
 *       examples/experiments/stress.ts
 *
 * Writes docs/experiments/stress.json and a picture, prints tables.
 *
 * @module
 */

import { linePlot } from "../../cli/plots/line_plot.ts";
import { type ObjectiveResult, type ObjectiveRun, openBench, SHARED } from "./objective_runs.ts";
import { markdownTable, mean, percent, say, writeFigures, writePicture } from "./output.ts";

/** What the coin judge trains: nothing is to be learnt, and nothing should move. */
const COINS: readonly (readonly [name: string, run: ObjectiveRun])[] = [
  ["SPPO, best and worst of 2", { objective: "sppo", beta: 0.1, samples: 2 }],
  ["SPPO, best and worst of 5", { objective: "sppo", beta: 0.1, samples: 5 }],
  ["SPPO, best and worst of 8", { objective: "sppo", beta: 0.1 }],
  ["SPPO, all of 8", { objective: "sppo", beta: 0.1, selection: "all" }],
  ["SPPO, hard labels", { objective: "sppo-hard", beta: 0.1 }],
  ["DPO", { objective: "dpo", beta: 0.1 }],
  ["IPO", { objective: "ipo", beta: 0.1 }],
];
/** The judge that knows something: K, and η. */
const SAMPLES = [2, 5, 8];
const ETAS = [1, 10, 100, 1000];

const coins: { name: string; result: ObjectiveResult }[] = [];
const sweeps = [
  {
    title: "K",
    runs: SAMPLES.map((samples): ObjectiveRun => ({ objective: "sppo", beta: 0.1, samples })),
    results: [] as ObjectiveResult[],
  },
  {
    title: "η",
    runs: ETAS.map((eta): ObjectiveRun => ({ objective: "sppo", beta: 1 / eta })),
    results: [] as ObjectiveResult[],
  },
];
{
  await using bench = await openBench(say);
  for (const [name, run] of COINS) {
    coins.push({ name, result: await bench.run({ ...run, judge: "overconfident" }) });
  }
  for (const { runs, results } of sweeps) {
    for (const run of runs) results.push(await bench.run(run));
  }
}
/** Mean log-ratio of a side in the last iteration's second epoch. */
function lastRatio({ steps }: ObjectiveResult, side: "chosen" | "rejected"): number {
  const own = steps.filter(({ iteration }) => iteration === SHARED.iterations);
  return mean(own.slice(own.length / 2).map((step) => step[`log_ratios/${side}`]!));
}

/** What is written of a run. */
const figuresOf = (result: ObjectiveResult) => ({
  run: result.run,
  iterations: result.iterations,
  last_log_ratios: { chosen: lastRatio(result, "chosen"), rejected: lastRatio(result, "rejected") },
});
await writeFigures("stress", {
  settings: SHARED,
  coins: coins.map(({ name, result }) => ({ name, ...figuresOf(result) })),
  sweeps: sweeps.map(({ title, results }) => ({ title, runs: results.map(figuresOf) })),
});
await writePicture(
  "stress_coins",
  linePlot({
    title: "What a sure judge of nothing does to the start's answers",
    subtitle: "embedded policy: nats per token of π_0's held-out answers under π_t",
    x: { title: "iteration" },
    y: { title: "nats per token" },
    series: coins.map(({ name, result: { iterations } }) => ({
      name,
      points: iterations.map(({ iteration, start_answers }) => ({
        x: iteration,
        y: start_answers,
      })),
    })),
  }),
);

const nats = (value: number) => value.toFixed(3);
console.log(markdownTable(
  [
    ...["", "log-ratio of chosen", "of rejected", "start's answers, 1", "2", "3"],
    ...["scored against the start", "words"],
  ],
  coins.map(({ name, result }) => [
    name,
    lastRatio(result, "chosen").toFixed(2),
    lastRatio(result, "rejected").toFixed(2),
    ...result.iterations.map(({ start_answers }) => nats(start_answers)),
    percent(result.iterations.at(-1)!.scored_win_rate),
    result.iterations.at(-1)!.words.toFixed(1),
  ]),
));
for (const { title, results } of sweeps) {
  const header = ["training judge, 1", "2", "3", "scored, 3", "words"];
  console.log(`\n${title}\n`);
  console.log(markdownTable(
    ["", ...header, "own answers under the start", "start's answers"],
    results.map(({ run, iterations }) => [
      title === "K" ? `${run.samples}` : `${1 / run.beta}`,
      ...iterations.map(({ win_rate }) => percent(win_rate)),
      percent(iterations.at(-1)!.scored_win_rate),
      iterations.at(-1)!.words.toFixed(1),
      nats(iterations.at(-1)!.own_under_start),
      nats(iterations.at(-1)!.start_answers),
    ]),
  ));
}
