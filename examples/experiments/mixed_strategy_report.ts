/**
 * What mixed_strategy.ts writes: a summary of its runs as JSON, and pictures.
 *
 * @module
 */

import { linePlot, type PlotSeries } from "../../cli/plots/line_plot.ts";
import { type Mixture3, simplexPlot } from "../../cli/plots/simplex_plot.ts";
import { exploitability } from "../../core/mod.ts";
import { vonNeumannWinner } from "../../games/mod.ts";
import { type ChoiceGame, OTHER_LOSES } from "./choices.ts";
import { mean, say, writeFigures, writePicture } from "./output.ts";

/** What is compared. */
export type Method = "sppo" | "sppo-scores" | "sppo-hard" | "dpo";

/** Names for people. */
export const TITLES: Readonly<Record<Method, string>> = {
  sppo: "SPPO",
  "sppo-scores": "SPPO, transitive estimator",
  "sppo-hard": "SPPO, hard labels",
  dpo: "iterative DPO",
};

/** What was measured of an iterate. */
export interface Step {
  readonly iteration: number;
  /** Exploitability per prompt, averaged: of π_t, and of the mean of π_0 … π_t. */
  readonly last: number;
  readonly average: number;
  /** Mean over prompts, of π_t and of the average. */
  readonly mixture: readonly number[];
  readonly average_mixture: readonly number[];
}

/** A run of one method from one seed. */
export interface Run {
  readonly method: Method;
  readonly seed: number;
  readonly steps: readonly Step[];
  /** The average's exploitability once more, by asking mixturePolicy of all iterates. */
  readonly mixture_policy: number;
  readonly seconds: number;
}

/** Mean over seeds of one figure by iteration, with the lowest and the highest. */
function curve(runs: readonly Run[], method: Method, key: "last" | "average"): PlotSeries {
  const own = runs.filter((run) => run.method === method);
  const points = own[0]!.steps.map(({ iteration }) => {
    const all = own.map(({ steps }) => steps[iteration]![key]);
    return { x: iteration, y: mean(all), low: Math.min(...all), high: Math.max(...all) };
  });
  return { name: TITLES[method], points };
}

/** The three choices' shares of what named one. */
function ofThree(mixture: readonly number[]): Mixture3 {
  const total = mixture[0]! + mixture[1]! + mixture[2]!;
  return [mixture[0]! / total, mixture[1]! / total, mixture[2]! / total];
}

/** Writes mixed_strategy_NAME.json and its three pictures. */
export async function writeReport(
  name: string,
  game: ChoiceGame,
  options: Readonly<Record<string, string>>,
  methods: readonly Method[],
  runs: readonly Run[],
): Promise<void> {
  const { mixture: equilibrium } = await vonNeumannWinner(game.matrix);
  const summary = methods.map((method) => {
    const own = runs.filter((run) => run.method === method);
    const ends = (key: "last" | "average") => own.map(({ steps }) => steps.at(-1)![key]);
    return {
      method,
      average: { mean: mean(ends("average")), by_seed: ends("average") },
      last: { mean: mean(ends("last")), by_seed: ends("last") },
      average_mixture: [0, 1, 2, 3].map((k) =>
        mean(own.map(({ steps }) => steps.at(-1)!.average_mixture[k]!))
      ),
    };
  });
  const pure = [0, 1, 2].map((k) =>
    exploitability(game.matrix, [0, 1, 2, 3].map((j) => j === k ? 1 : 0))
  );
  const settings = {
    ...options,
    strengths: game.strengths,
    other_loses: OTHER_LOSES,
    equilibrium: [...equilibrium],
    pure,
  };
  const file = `mixed_strategy_${name}`;
  await writeFigures(file, { settings, summary, runs });

  for (const key of ["average", "last"] as const) {
    const what = key === "average" ? "the average" : "the last iterate";
    const spec = linePlot({
      title: `Exploitability of ${what}`,
      subtitle: `${name}: mean over prompts and ${options.seeds} seeds, lowest to highest seed`,
      x: { title: "iteration" },
      y: { title: "exploitability", include: [0] },
      dots: false,
      series: methods.map((method) => curve(runs, method, key)),
    });
    await writePicture(`${file}_${key}`, spec);
  }
  const paths = methods.map((method) => ({
    name: TITLES[method],
    mixtures: runs.find((run) => run.method === method)!.steps
      .map((step) => ofThree(step.average_mixture)),
  }));
  const simplex = simplexPlot({
    title: "Mean mixture of the average",
    subtitle: `${name}, seed 0, mean over prompts`,
    corners: ["first", "second", "third"],
    paths,
    marks: [{ name: "equilibrium", mixture: ofThree([...equilibrium]) }],
  });
  await writePicture(`${file}_simplex`, simplex);
  for (const { method, average, last } of summary) {
    say(`${method}: average ${average.mean.toFixed(4)}, last ${last.mean.toFixed(4)}`);
  }
}
