/**
 * `sppo bench`: how fast the backends of this machine are, and which one to choose.
 *
 * @module
 */

import { join } from "node:path";
import { openContestants } from "../bench/contestants.ts";
import { least, type Measured } from "../bench/measure.ts";
import { questionNames, questions } from "../bench/questions.ts";
import {
  adviceLines,
  advise,
  asRecords,
  leftOutLines,
  startTable,
  timesTable,
} from "../bench/report.ts";
import { runQuestions } from "../bench/run.ts";
import { benchOptions } from "../options/bench_options.ts";
import { resolveValues } from "../options/parse.ts";
import { BACKENDS } from "../options/shared.ts";
import { dotPlot } from "../plots/dot_plot.ts";
import { renderSvg } from "../plots/render.ts";
import { writeWhole } from "../whole_file.ts";
import type { Command } from "./command.ts";

/** Runs that count, whatever the budget. */
const RUNS = { fewest: 3, most: 50 };

/** The command. */
export const benchCommand: Command<typeof benchOptions> = {
  name: "bench",
  summary: "how fast the backends of this machine are, and which one to choose",
  description: `Measures products, attention, norms, a decoding step, a training step and a judge's
reading on each backend, prints the times with GFLOP/s, GB/s and tokens/s, and says which backend is best
for generation, training and judging. Random weights; nothing is read. Leave the machine alone meanwhile.`,
  epilogue: () =>
    `Questions:\n${
      questionNames.map((name) => `  ${name.padEnd(12)}${questions[name].asks}`).join("\n")
    }`,
  options: benchOptions,
  prepare({ layers, progress, signal, resources, print }) {
    const values = resolveValues(benchOptions, layers);
    const names = values.backends?.map((name) => oneOf("--backends", BACKENDS, name));
    const asked = (values.questions ?? questionNames)
      .map((name) => oneOf("--questions", questionNames, name));
    return Promise.resolve({
      async run() {
        const { contestants, leftOut } = await openContestants({
          ...(names === undefined ? {} : { names }),
          threads: values.threads,
          resources,
          onOpening: (name, index, total) =>
            progress.update("opening backends", index, total, "backends", name),
        });
        progress.finish();
        const found = await runQuestions(asked, contestants, {
          budgetMs: values.budget * 1000,
          fewestRuns: RUNS.fewest,
          mostRuns: RUNS.most,
          mostRunMs: values.longest * 1000,
          signal,
          onCase: (done, total, what) => progress.update("measuring", done, total, "cases", what),
        });
        progress.finish();
        const { measured } = found;
        const allLeftOut = [...leftOut, ...found.leftOut];
        const advice = advise(measured);
        const parts = [
          ...asked.map((name) =>
            timesTable(name, measured.filter(({ question }) => question === name))
          ),
          startTable(contestants, measured),
          leftOutLines(allLeftOut),
          adviceLines(advice),
        ];
        print(
          parts.filter((lines) => lines.length > 0).map((lines) => lines.join("\n")).join("\n\n"),
        );
        if (values.plots !== undefined && measured.length > 0) {
          const path = join(values.plots, "bench.svg");
          await writeWhole(path, new TextEncoder().encode(await renderSvg(picture(measured))));
          print(`wrote ${path}`);
        }
        if (values.json !== undefined) {
          const record = {
            machine: machine(),
            backends: contestants.map(({ name, backend, openMs }) => ({
              name,
              versions: backend.versions,
              threads: backend.limits.threads,
              open_ms: openMs,
            })),
            measured: asRecords(measured),
            left_out: allLeftOut,
            advice,
          };
          const text = `${JSON.stringify(record, null, 2)}\n`;
          await writeWhole(values.json, new TextEncoder().encode(text));
          print(`wrote ${values.json}`);
        }
      },
    });
  },
};

function oneOf<T extends string>(flag: string, names: readonly T[], given: string): T {
  const found = names.find((name) => name === given);
  if (found !== undefined) return found;
  throw new RangeError(`Cannot use ${flag} as they must be of ${names.join(", ")}: ${given}`);
}

function machine() {
  return {
    os: Deno.build.os,
    arch: Deno.build.arch,
    cores: navigator.hardwareConcurrency,
    deno: Deno.version.deno,
  };
}

/** Every case a line, every backend a dot. */
function picture(measured: readonly Measured[]) {
  const { os, arch, cores, deno } = machine();
  const order: readonly string[] = [...BACKENDS, "host"];
  const dots = measured.map(({ question, case: what, backend, times }) => ({
    row: `${question}: ${what.name}`,
    name: backend,
    value: least(times),
  }));
  return dotPlot({
    title: "Least time of a run on each backend",
    subtitle: `${os} ${arch}, ${cores} cores, deno ${deno}; further left is faster`,
    axis: "milliseconds",
    dots: dots.toSorted((a, b) => order.indexOf(a.name) - order.indexOf(b.name)),
  });
}
