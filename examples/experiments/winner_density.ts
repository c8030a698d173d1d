// deno-lint-ignore-file no-console -- a script that prints
/**
 * Does the winner's likelihood rise? SPPO, DPO and IPO fit the same pairs of the embedded policy's
 * answers (best and worst of K by one judge); over their steps, log π_θ/π_0 of both.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-env --allow-sys \
 *       examples/experiments/winner_density.ts
 *
 * Writes docs/experiments/winner_density.json and two pictures, prints a table. That SPPO raises the
 * winner where DPO lets both sink is a claim of Wu et al. 2024, arXiv:2405.00675.
 *
 * @module
 */

import { linePlot, type PlotSeries } from "../../cli/plots/line_plot.ts";
import { type ObjectiveRun, openBench, SHARED, type StepRecord } from "./objective_runs.ts";
import { markdownTable, mean, say, writeFigures, writePicture } from "./output.ts";

const EPOCHS = 4;
const FITS: readonly (readonly [name: string, run: ObjectiveRun])[] = [
  ["SPPO, η = 10", { objective: "sppo", beta: 0.1 }],
  ["SPPO, η = 100", { objective: "sppo", beta: 0.01 }],
  ["DPO, β = 0.1", { objective: "dpo", beta: 0.1 }],
  ["DPO, β = 0.01", { objective: "dpo", beta: 0.01 }],
  ["IPO, β = 0.1", { objective: "ipo", beta: 0.1 }],
  ["IPO, β = 0.01", { objective: "ipo", beta: 0.01 }],
];
const SIDES = ["chosen", "rejected"] as const;

/** Means of a metric over half epochs. */
function halves(steps: readonly StepRecord[], metric: string): PlotSeries["points"] {
  const width = steps.length / (2 * EPOCHS);
  return Array.from({ length: 2 * EPOCHS }, (_, half) => {
    const own = steps.slice(Math.round(half * width), Math.round((half + 1) * width));
    return { x: (half + 1) / 2, y: mean(own.map((step) => step[metric]!)) };
  });
}

const fits: { name: string; steps: readonly StepRecord[] }[] = [];
{
  await using bench = await openBench(say);
  for (const [name, run] of FITS) fits.push({ name, steps: await bench.fitPairs(run, EPOCHS) });
}
await writeFigures("winner_density", {
  settings: { ...SHARED, epochs: EPOCHS },
  fits: fits.map(({ name, steps }) => ({
    name,
    ...Object.fromEntries(
      SIDES.map((side) => [side, steps.map((step) => step[`log_ratios/${side}`])]),
    ),
  })),
});
for (const side of SIDES) {
  const picture = linePlot({
    title: `Log-ratio of the ${side} responses`,
    subtitle: "log π_θ/π_0 in nats, mean over the pairs of half an epoch",
    x: { title: "epoch" },
    y: { title: "nats", include: [0] },
    levels: [{ y: 0, name: "the start" }],
    series: fits.map(({ name, steps }) => ({ name, points: halves(steps, `log_ratios/${side}`) })),
  });
  await writePicture(`winner_density_${side}`, picture);
}
const shown = [0, 1, 3, 5, 7];
console.log(markdownTable(
  ["", "", ...shown.map((half) => `epoch ${(half + 1) / 2}`)],
  fits.flatMap(({ name, steps }) =>
    SIDES.map((side) => {
      const points = halves(steps, `log_ratios/${side}`);
      return [name, side, ...shown.map((half) => points[half]!.y.toFixed(2))];
    })
  ),
));
