// deno-lint-ignore-file no-console -- a script that prints
/**
 * SPPO, iterative DPO and IPO, SPIN, RLHF and the best of 16 from the embedded policy: the same prompts,
 * judge, samples and number of steps, each at the best of the β tried; scored on held-out questions by
 * a judge that no policy was trained with.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-env --allow-sys \
 *       examples/experiments/objectives_compared.ts [--seeds 3]
 *
 * The β of an objective is the one whose last iterate the *training* judge likes best, seed 0. Writes
 * docs/experiments/objectives_compared.json and pictures, prints tables.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { linePlot } from "../../cli/plots/line_plot.ts";
import type { ObjectiveName } from "../../core/mod.ts";
import { type Measured, type ObjectiveResult, openBench, SHARED } from "./objective_runs.ts";
import { markdownTable, mean, percent, say, writeFigures, writePicture } from "./output.ts";

const TRIED: readonly (readonly [ObjectiveName, name: string, betas: readonly number[]])[] = [
  ["sppo", "SPPO", [1, 0.1, 0.01]],
  ["dpo", "iterative DPO", [1, 0.1, 0.01]],
  ["ipo", "iterative IPO", [1, 0.1, 0.01]],
  ["spin", "SPIN", [1, 0.1, 0.01]],
  ["rlhf", "RLHF", [1, 0.2, 0.05]],
];
const BEST_OF = 16;

const { values } = parseArgs({ options: { seeds: { type: "string", default: "3" } } });
const seeds = Number(values.seeds);
if (!(Number.isSafeInteger(seeds) && seeds >= 1)) {
  throw new RangeError(`Cannot run as --seeds must be a whole number from 1 on: ${values.seeds}`);
}

const last = ({ iterations }: ObjectiveResult) => iterations.at(-1)!;
const sweep: ObjectiveResult[] = [];
const chosen: { name: string; beta: number; runs: ObjectiveResult[] }[] = [];
let bestOf: Measured;
{
  await using bench = await openBench(say);
  bestOf = await bench.bestOf(BEST_OF);
  for (const [objective, name, betas] of TRIED) {
    const tried: ObjectiveResult[] = [];
    for (const beta of betas) tried.push(await bench.run({ objective, beta, seed: 0 }));
    sweep.push(...tried);
    const best = tried.reduce((a, b) => last(b).win_rate > last(a).win_rate ? b : a);
    chosen.push({ name, beta: best.run.beta, runs: [best] });
  }
  for (let seed = 1; seed < seeds; seed++) {
    for (const [index, [objective]] of TRIED.entries()) {
      const { beta, runs } = chosen[index]!;
      runs.push(await bench.run({ objective, beta, seed }));
    }
  }
}

const settings = { ...SHARED, seeds };
await writeFigures("objectives_compared", {
  settings,
  best_of: { count: BEST_OF, ...bestOf },
  sweep: sweep.map(({ run, iterations }) => ({ ...run, iterations })),
  chosen: chosen.map(({ name, beta, runs }) => ({
    ...{ name, beta, runs: runs.map(({ run, iterations }) => ({ seed: run.seed, iterations })) },
  })),
});

const PICTURES = [
  ["scored", "scored_win_rate", "Wins against the start, by a judge not trained with"],
  ["training", "win_rate", "Wins against the start, by the judge that trained"],
] as const;
for (const [end, key, title] of PICTURES) {
  const picture = linePlot({
    title,
    subtitle: `embedded policy, held-out questions, ${seeds} seeds, lowest to highest`,
    x: { title: "iteration" },
    y: { title: "win rate", include: [0.5] },
    levels: [{ y: bestOf[key], name: `best of ${BEST_OF} of the start` }],
    series: chosen.map(({ name, runs }) => ({
      name,
      points: [
        { x: 0, y: 0.5 },
        ...runs[0]!.iterations.map(({ iteration }, at) => {
          const all = runs.map(({ iterations }) => iterations[at]![key]);
          return { x: iteration, y: mean(all), low: Math.min(...all), high: Math.max(...all) };
        }),
      ],
    })),
  });
  await writePicture(`objectives_compared_${end}`, picture);
}

type Figure = Exclude<keyof Measured, "iteration">;
const over = (runs: readonly ObjectiveResult[], at: number, key: Figure) =>
  mean(runs.map(({ iterations }) => iterations.at(at)![key]));
const nats = (value: number) => value.toFixed(2);
console.log(markdownTable(
  [
    ...["", "β", "scored, 1", "2", "3", "lowest to highest seed", "training judge, 3", "words"],
    ...["own answers under the start", "start's answers"],
  ],
  [
    ...chosen.map(({ name, beta, runs }) => {
      const ends = runs.map((run) => last(run).scored_win_rate);
      return [
        name,
        `${beta}`,
        ...[0, 1, 2].map((at) => percent(over(runs, at, "scored_win_rate"))),
        `${percent(Math.min(...ends))}–${percent(Math.max(...ends))}`,
        percent(over(runs, -1, "win_rate")),
        over(runs, -1, "words").toFixed(1),
        nats(over(runs, -1, "own_under_start")),
        nats(over(runs, -1, "start_answers")),
      ];
    }),
    [
      ...[`best of ${BEST_OF}`, "", percent(bestOf.scored_win_rate), "", "", ""],
      ...[percent(bestOf.win_rate), bestOf.words.toFixed(1)],
      ...[nats(bestOf.own_under_start), nats(bestOf.start_answers)],
    ],
  ],
));
console.log(markdownTable(
  ["", "β", "training judge, 1", "2", "3", "scored, 3", "words", "start's answers"],
  sweep.map(({ run, iterations }) => [
    run.objective,
    `${run.beta}`,
    ...iterations.map(({ win_rate }) => percent(win_rate)),
    percent(iterations.at(-1)!.scored_win_rate),
    iterations.at(-1)!.words.toFixed(1),
    nats(iterations.at(-1)!.start_answers),
  ]),
));
