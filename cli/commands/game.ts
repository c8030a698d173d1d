/**
 * `sppo game`: what a preference game is like, and how algorithms of self-play do on it.
 *
 * @module
 */

import { join } from "node:path";
import { type AlgorithmName, algorithms, type MatrixGame } from "../../games/mod.ts";
import { type PromptGames, readGameFile, type WholeGame } from "../game_file.ts";
import {
  type AlgorithmRun,
  type GameFacts,
  gameFacts,
  horizonsTo,
  promptCycles,
  type PromptFacts,
  promptFacts,
  runAlgorithm,
  simplexPaths,
} from "../game_report.ts";
import { gameOptions } from "../options/tables.ts";
import { resolveValues } from "../options/parse.ts";
import { linePlot } from "../plots/line_plot.ts";
import { type PlotSpec, renderSvg } from "../plots/render.ts";
import { type Mixture3, simplexPlot } from "../plots/simplex_plot.ts";
import { writeWhole } from "../whole_file.ts";
import type { Command } from "./command.ts";

/** Answers that are listed by name. */
const LISTED = 8;
const names = Object.keys(algorithms) as AlgorithmName[];

/** The command. */
export const gameCommand: Command<typeof gameOptions> = {
  name: "game",
  summary: "equilibrium, winners and cycles of a preference game; algorithms on it",
  description: `Reads a game: a .txt file of n lines of n preferences or payoffs, or of lines
"row, column, payoff"; or records with "preferences" (preferences.jsonl of a run: a game per prompt),
"verdicts" (K rows of K: 1 row wins, 2 column wins, 3 tie), or "model_a", "model_b" and "winner" (votes).
Finds the von Neumann winner by linear programming, other winners and cycles, plays algorithms of self-play
and measures how far their average and last mixtures are from unbeatable.`,
  epilogue: () =>
    `Algorithms:\n${
      names.map((name) => `  ${name.padEnd(18)}${algorithms[name].title}`).join("\n")
    }`,
  options: gameOptions,
  async prepare({ layers, progress, signal, print }) {
    const values = resolveValues(gameOptions, layers);
    const { file, win, prior, rounds, samples, votes, seed, eta, plots } = values;
    const chosen = values.algorithms.map(algorithmOf);
    const start = values.start?.map(Number);
    const read = await readGameFile(file, { prior, ...(win === undefined ? {} : { win }) });
    if (read.kind === "game" && start !== undefined) checkStart(start, read.game);
    return {
      async run() {
        if (read.kind === "prompts") {
          const facts = await promptFacts(read.prompts);
          sayPrompts(facts, read, print);
          if (values.json !== undefined) await writeJson(values.json, { prompts: facts });
          return;
        }
        const { game } = read;
        const facts = await gameFacts(game, read.votes);
        sayFacts(facts, read, print);
        const perPrompt = read.prompts.length === 0 ? undefined : promptCycles(read.prompts);
        if (perPrompt !== undefined) {
          print(
            `single prompts     ${perPrompt.cyclic} of ${perPrompt.triads} triads cyclic, in ` +
              `${perPrompt.complete} prompts with every pair`,
          );
        }
        const options = {
          samples,
          seed,
          ...(votes === undefined ? {} : { votes }),
          ...(eta === undefined ? {} : { eta }),
          ...(start === undefined ? {} : { start }),
        };
        const runs: AlgorithmRun[] = [];
        for (const algorithm of chosen) {
          progress.update("algorithms", runs.length, chosen.length, "played");
          await new Promise((resolve) => setTimeout(resolve)); // lets Ctrl-C be heard
          signal.throwIfAborted();
          runs.push(runAlgorithm(game, algorithm, horizonsTo(rounds), options));
        }
        progress.update("algorithms", runs.length, chosen.length, "played");
        sayRuns(runs, rounds, print);
        if (plots !== undefined) {
          for (const [name, spec] of Object.entries(pictures(file, game, facts, runs, values))) {
            const path = join(plots, `${name}.svg`);
            await writeWhole(path, new TextEncoder().encode(await renderSvg(spec)));
            print(`wrote ${path}`);
          }
        }
        if (values.json !== undefined) {
          await writeJson(values.json, {
            game: facts,
            ...(read.orders === undefined ? {} : { orders: read.orders }),
            ...(perPrompt === undefined ? {} : { prompts: perPrompt }),
            runs,
          });
        }
      },
    };
  },
};

function algorithmOf(name: string): AlgorithmName {
  if ((names as readonly string[]).includes(name)) return name as AlgorithmName;
  throw new RangeError(`Cannot use --algorithms as they must be of ${names.join(", ")}: ${name}`);
}

function checkStart(start: readonly number[], game: MatrixGame): void {
  const sum = start.reduce((total, p) => total + p, 0);
  if (start.length === game.size && start.every((p) => p > 0) && Math.abs(sum - 1) < 1e-9) return;
  throw new RangeError(
    `Cannot use --start as it must be ${game.size} positive numbers with sum 1: ${start}`,
  );
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeWhole(path, new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`));
}

type Print = (text: string) => void;

const row = (name: string, value: string) => `${name.padEnd(19)}${value}`;
const few = (items: readonly string[]) =>
  items.slice(0, LISTED).join(", ") +
  (items.length > LISTED ? `, and ${items.length - LISTED} more` : "");

function sayFacts(facts: GameFacts, { orders }: WholeGame, print: Print): void {
  print(row("answers", `${facts.answers}`));
  const shares = facts.von_neumann.map(({ answer, share }) => `${answer} ${share.toFixed(4)}`);
  print(row("von Neumann winner", few(shares)));
  print(row("Condorcet winner", facts.condorcet ?? "none"));
  print(row("Copeland winner", few(facts.copeland)));
  print(row("Borda winner", few(facts.borda)));
  print(row("cyclic triads", `${facts.cyclic_triads} of ${facts.triads}`));
  if (facts.votes !== undefined) {
    const { significant_cycles: cycles, transitivity } = facts.votes;
    print(row(
      "cycles at 5 %",
      cycles.length === 0
        ? "none, by sign tests with Holm's correction"
        : few(cycles.map((cycle) => cycle.join(" > "))),
    ));
    print(row(
      "transitive?",
      `noise on a Bradley–Terry model makes ${transitivity.expected.toFixed(1)} cyclic triads, ` +
        `p = ${transitivity.p.toPrecision(2)}`,
    ));
  }
  if (orders !== undefined && orders.both > 0) {
    print(row(
      "order",
      `${(100 * orders.inconsistent / orders.both).toFixed(1)} % of ${orders.both} pairs judged ` +
        `otherwise when swapped`,
    ));
  }
}

function sayPrompts(facts: PromptFacts, { incomplete }: PromptGames, print: Print): void {
  const left = incomplete === 0 ? "" : `; ${incomplete} left out, without every pair`;
  print(row("prompts", `${facts.prompts}${left}`));
  print(row("gap, as sampled", facts.uniform_gap.toFixed(4)));
  print(row("gap, best answer", facts.borda_gap.toFixed(4)));
  print(row("Condorcet winner", `in ${(100 * facts.condorcet_share).toFixed(1)} % of prompts`));
  print(row("winner's support", `${facts.von_neumann_support.toFixed(2)} responses`));
  print(row("cyclic triads", `${facts.cyclic_triads} of ${facts.triads}`));
}

function sayRuns(runs: readonly AlgorithmRun[], rounds: number, print: Print): void {
  if (runs.length === 0) return;
  print("");
  print(
    `${`after ${rounds} rounds`.padEnd(19)}${"gap of average".padStart(15)}` +
      `${"of last".padStart(12)}${"slope".padStart(9)}`,
  );
  for (const { algorithm, gaps, slope, refused } of runs) {
    const end = gaps.at(-1);
    print(
      end === undefined ? row(algorithm, refused!) : row(
        algorithm,
        `${end.average.toPrecision(3).padStart(15)}${end.last.toPrecision(3).padStart(12)}` +
          `${(slope === null ? "-" : slope.toFixed(3)).padStart(9)}`,
      ),
    );
  }
}

function pictures(
  file: string,
  game: MatrixGame,
  facts: GameFacts,
  runs: readonly AlgorithmRun[],
  { rounds, eta, start }: {
    readonly rounds: number;
    readonly eta: number | undefined;
    readonly start: readonly string[] | undefined;
  },
): Record<string, PlotSpec> {
  const shown: Record<string, PlotSpec> = {};
  const series = runs.flatMap(({ algorithm, gaps }) => {
    const points = gaps.flatMap(({ rounds, average }) =>
      average > 0 ? [{ x: rounds, y: average }] : []
    );
    return points.length === 0 ? [] : [{ name: algorithm, points }];
  });
  const name = file.split("/").at(-1)!;
  if (series.length > 0) {
    shown.gap = linePlot({
      title: "Gap of the average mixture",
      subtitle: `${name}, ${game.size} answers; each T with its own eta`,
      x: { title: "rounds T", scale: "log", base: 2 },
      y: { title: "gap", scale: "log" },
      series,
    });
  }
  if (game.size === 3) {
    const paths = simplexPaths(game, rounds, {
      ...(eta === undefined ? {} : { eta }),
      ...(start === undefined ? {} : { start: start.map(Number) }),
    });
    const share = (answer: string) =>
      facts.von_neumann.find((one) => one.answer === answer)?.share ?? 0;
    shown.simplex = simplexPlot({
      title: "Multiplicative weights",
      subtitle: `${name}, ${rounds} rounds`,
      corners: game.answers as [string, string, string],
      paths: [
        { name: "mixture played", mixtures: paths.last },
        { name: "average so far", mixtures: paths.average },
      ],
      marks: [{ name: "equilibrium", mixture: game.answers.map(share) as unknown as Mixture3 }],
    });
  }
  return shown;
}
