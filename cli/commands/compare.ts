/**
 * `sppo compare`: the curves of several training runs in one picture.
 *
 * @module
 */

import { compareOptions } from "../options/tables.ts";
import { resolveValues } from "../options/parse.ts";
import { linePlot } from "../plots/line_plot.ts";
import { type PlotSpec, renderSvg } from "../plots/render.ts";
import { shortNumber, textTable } from "../progress.ts";
import {
  curveOf,
  metricNames,
  perIteration,
  readRun,
  type RunCurves,
  WIN_RATE,
} from "../run_curves.ts";
import { writeWhole } from "../whole_file.ts";
import type { Command } from "./command.ts";

/** What is drawn if nothing else is said, where some run has measured it. */
const DEFAULT_METRICS = [
  WIN_RATE,
  "log_ratios/chosen",
  "log_ratios/rejected",
  "logps/chosen",
  "logps/rejected",
  "rewards/margins",
];

/** The command. */
export const compareCommand: Command<typeof compareOptions> = {
  name: "compare",
  summary: "curves of training runs in one picture",
  description:
    `Reads the folders of runs of sppo train and draws each metric, a panel for each and a curve for
each run, by optimizer step or by iteration; prints where the curves end.`,
  options: compareOptions,
  async prepare({ layers, print }) {
    const { runs: folders, metrics, output } = resolveValues(compareOptions, layers);
    const repeated = folders.find((folder, index) => folders.indexOf(folder) !== index);
    if (repeated !== undefined) {
      throw new RangeError(
        `Cannot compare runs as each must be another: ${repeated} is given twice`,
      );
    }
    const runs: RunCurves[] = [];
    for (const folder of folders) runs.push(await readRun(folder));
    const known = metricNames(runs);
    const unknown = metrics?.find((name) => !known.includes(name));
    if (unknown !== undefined) {
      throw new RangeError(
        `Cannot use --metrics as a run must have measured each: ${unknown}; there are ${
          known.join(", ")
        }`,
      );
    }
    const shown = metrics ?? DEFAULT_METRICS.filter((name) => known.includes(name));
    if (shown.length === 0) {
      throw new RangeError(
        `Cannot compare runs as they must have measured something: ${
          known.join(", ") || "nothing"
        }`,
      );
    }
    return {
      async run() {
        const picture = await renderSvg(panels(runs, shown));
        await writeWhole(output, new TextEncoder().encode(picture));
        print(endsTable(runs, shown));
        print(`\nwrote ${output}`);
      },
    };
  },
};

/** A run's name in the legend: its objective, with the folder where that is not the same. */
function nameOf({ folder, loss }: RunCurves): string {
  const last = folder.replace(/\/+$/, "").split("/").at(-1)!;
  return last === loss ? loss : `${loss} (${folder})`;
}

function panels(runs: readonly RunCurves[], metrics: readonly string[]): PlotSpec {
  return {
    columns: 2,
    concat: metrics.map((metric) => {
      const iterations = perIteration(runs, metric);
      return linePlot({
        title: metric,
        x: { title: iterations ? "iteration" : "step" },
        y: { title: metric },
        series: runs.flatMap((run) => {
          const points = curveOf(run, metric);
          return points.length === 0 ? [] : [{ name: nameOf(run), points }];
        }),
        ...(metric === WIN_RATE ? { levels: [{ y: 0.5, name: "the start" }] } : {}),
        dots: iterations,
      });
    }),
    resolve: { scale: { color: "shared" } },
  };
}

/** Where the curves end. */
function endsTable(runs: readonly RunCurves[], metrics: readonly string[]): string {
  const rows = runs.map((run) => [
    nameOf(run),
    ...metrics.map((metric) => {
      const end = curveOf(run, metric).at(-1);
      return end === undefined ? "-" : shortNumber(end.y);
    }),
  ]);
  return textTable(["run", ...metrics], rows);
}
