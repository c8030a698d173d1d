/**
 * Theorem 4.1, measured: how the gap of the average of T iterates falls with T, what the last iterate
 * does meanwhile, and what few samples, noise, hard labels and a transitive estimator change.
 *
 *     deno run --allow-read --allow-write=docs/experiments examples/experiments/theorem.ts \
 *       [--games ../shared/data/games]
 *
 * Writes docs/experiments/theorem.json and the pictures theorem_*.svg. The folder of games holds
 * soccer.txt and rrps_bots.txt of google-deepmind/open_spiel. Takes about a minute.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { standardError } from "../../cli/progress.ts";
import { linePlot, type PlotSeries } from "../../cli/plots/line_plot.ts";
import { type PlotSpec, renderSvg } from "../../cli/plots/render.ts";
import { simplexPlot } from "../../cli/plots/simplex_plot.ts";
import { simplexPaths } from "../../cli/game_report.ts";
import { averagedIterate, multiplicativeWeights, selfPlay, tabularPolicy } from "../../core/mod.ts";
import {
  bradleyTerryPolicy,
  cycleGame,
  hedge,
  hedgeEta,
  logLogSlope,
  type MatrixGame,
  optimisticHedge,
  parseGame,
  play,
  randomGame,
  regression,
  type RegressionOptions,
  vonNeumannWinner,
} from "../../games/mod.ts";

const OUT = new URL("../../docs/experiments/", import.meta.url);
const HORIZONS = [10, 11, 12, 13, 14, 15, 16].map((power) => 2 ** power);
/** Numbers of answers, and how many random games of each. */
const RANDOM = [[3, 100], [5, 100], [10, 100], [20, 60], [50, 20]] as const;
const STRENGTHS = [0.9, 0.6, 0.7] as const;
/** A start far from the equilibrium 1/7, 2/7, 4/7. */
const BIASED = [0.8, 0.1, 0.1] as const;
const SEEDS = 5;

const say = (text: string) => standardError.write(`${text}\n`);

/** Gaps after T rounds, each T with η = √(8 ln n / T). */
function gapsByHorizon(game: MatrixGame, start?: readonly number[]) {
  return HORIZONS.map((rounds) => {
    const eta = hedgeEta(game.size, rounds);
    const iterates = hedge(game, { eta, ...(start === undefined ? {} : { start }) });
    return play(game, iterates, { rounds }).gaps[0]!;
  });
}

type GapsByHorizon = ReturnType<typeof gapsByHorizon>;

const slopeOf = (gaps: GapsByHorizon) =>
  logLogSlope(gaps.map(({ rounds, average }) => ({ x: rounds, y: average })));

/** Mean with its 95 % interval, normal approximation. */
function interval(values: readonly number[]) {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (values.length - 1);
  const half = 1.96 * Math.sqrt(variance / values.length);
  return { mean, low: mean - half, high: mean + half, games: values.length };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.round(share * (sorted.length - 1))]!;
}

function randomGames() {
  const slopes: number[] = [];
  const bySize = RANDOM.map(([size, count]) => {
    say(`${count} random games of ${size} answers`);
    const played = Array.from(
      { length: count },
      (_, seed) => gapsByHorizon(randomGame(size, seed)),
    );
    const own = played.map(slopeOf);
    slopes.push(...own);
    return {
      answers: size,
      slope: interval(own),
      steepest: Math.min(...own),
      flattest: Math.max(...own),
      gaps: HORIZONS.map((rounds, k) => {
        const gaps = played.map((one) => one[k]!.average);
        return {
          rounds,
          median: quantile(gaps, 0.5),
          low: quantile(gaps, 0.1),
          high: quantile(gaps, 0.9),
          bound: Math.sqrt(Math.log(size) / (2 * rounds)),
        };
      }),
      largest_share_of_bound: Math.max(
        ...played.flat().map(({ rounds, average }) =>
          average / Math.sqrt(Math.log(size) / (2 * rounds))
        ),
      ),
    };
  });
  return { slope: interval(slopes), by_size: bySize };
}

/** The loop that trains language models, on every answer of a game. */
async function bySelfPlay(game: MatrixGame, iterations: number, eta: number) {
  const policy = tabularPolicy({ answers: { game: game.answers }, exhaustive: true });
  const average = averagedIterate();
  average.add(policy);
  let last = policy;
  const run = selfPlay({
    policy,
    oracle: game.oracle,
    trainer: multiplicativeWeights(),
    prompts: [{ id: "game", content: "?" }],
    promptsPerIteration: "repeat",
    sampling: { samples: 2, temperature: 1, topP: 1, maxTokens: 1 },
    selection: "all",
    iterations,
    eta,
  });
  for await (const event of run) {
    if (event.type !== "policy") continue;
    last = event.policy;
    if (event.iteration < iterations) average.add(event.policy);
  }
  return {
    iterations,
    eta,
    gap_of_average: game.gap(average.probabilities("game")),
    gap_of_last: game.gap(last.probabilities("game")),
  };
}

/** Gaps of the averages of SPPO with estimates, over seeds. */
function estimated(game: MatrixGame, rounds: number, options: Partial<RegressionOptions>) {
  const gaps = Array.from({ length: SEEDS }, (_, seed) => {
    const iterates = regression(game, {
      eta: hedgeEta(game.size, rounds),
      seed,
      ...(game.size === 3 ? { start: BIASED } : {}),
      ...options,
    });
    return play(game, iterates, { rounds }).gaps[0]!;
  });
  const mean = (key: "average" | "last") => gaps.reduce((sum, gap) => sum + gap[key], 0) / SEEDS;
  return {
    average: mean("average"),
    last: mean("last"),
    low: Math.min(...gaps.map(({ average }) => average)),
    high: Math.max(...gaps.map(({ average }) => average)),
  };
}

const SETTINGS: Readonly<Record<string, Partial<RegressionOptions>>> = {
  "all answers": {},
  "K = 2": { samples: 2 },
  "K = 5": { samples: 5 },
  "K = 16": { samples: 16 },
  "K = 5, one vote a pair": { samples: 5, votes: 1 },
  "K = 5, hard labels": { samples: 5, labels: "hard", selection: "best-worst" },
  "K = 5, scores": { samples: 5, estimator: "scores" },
  "all answers, scores": { estimator: "scores" },
};
const SAMPLED_HORIZONS = [8, 9, 10, 11, 12, 13].map((power) => 2 ** power);

function settingsOn(game: MatrixGame) {
  return Object.entries(SETTINGS).map(([name, options]) => {
    say(`SPPO with ${name}`);
    return {
      name,
      gaps: SAMPLED_HORIZONS.map((rounds) => ({ rounds, ...estimated(game, rounds, options) })),
    };
  });
}

function settingsPlot(title: string, runs: ReturnType<typeof settingsOn>): PlotSpec {
  return linePlot({
    title,
    subtitle: `gap of the average, mean over ${SEEDS} seeds; each T with its own eta`,
    x: { title: "rounds T", scale: "log", base: 2 },
    y: { title: "gap", scale: "log" },
    series: runs.map(({ name, gaps }) => ({
      name,
      points: gaps.map(({ rounds, average }) => ({ x: rounds, y: average })),
    })),
  });
}

const { values } = parseArgs({
  options: { games: { type: "string", default: "../shared/data/games" } },
});
const read = async (name: string, win?: number) =>
  parseGame(await Deno.readTextFile(`${values.games}/${name}`), {
    name,
    ...(win === undefined ? {} : { win }),
  });
const soccer = await read("soccer.txt");
const bots = await read("rrps_bots.txt", 1000);
const cycle = cycleGame(STRENGTHS, ["first", "second", "third"]);
const rockPaperScissors = cycleGame([1, 1, 1], ["rock", "scissors", "paper"]);
const named = {
  "soccer": { game: soccer, start: undefined },
  "43 bots": { game: bots, start: undefined },
  "rock-paper-scissors": { game: rockPaperScissors, start: BIASED },
  "cycle .9/.6/.7": { game: cycle, start: BIASED },
  "cycle .6/.6/.6": { game: cycleGame([0.6, 0.6, 0.6]), start: BIASED },
};

const random = randomGames();
const games = Object.entries(named).map(([name, { game, start }]) => {
  say(name);
  const gaps = gapsByHorizon(game, start);
  return { name, answers: game.size, slope: slopeOf(gaps), gaps };
});
const loop = [];
for (const [name, game] of [["soccer", soccer], ["43 bots", bots]] as const) {
  say(`selfPlay on ${name}`);
  loop.push({ name, ...await bySelfPlay(game, 16384, hedgeEta(game.size, 16384)) });
}
const cycleRuns = settingsOn(cycle), soccerRuns = settingsOn(soccer);

// What the last iterate does in one long run, beside its average and the optimistic variant.
const LONG = 2 ** 14;
const at = Array.from({ length: 400 }, (_, k) => Math.round(LONG ** ((k + 1) / 400)))
  .filter((T, k, all) => T !== all[k - 1]);
const plain = play(cycle, hedge(cycle, { eta: hedgeEta(3, LONG), start: BIASED }), {
  rounds: LONG,
  at,
});
const optimistic = play(cycle, optimisticHedge(cycle, { eta: 0.5, start: BIASED }), {
  rounds: LONG,
  at,
});
const positive = (points: { x: number; y: number }[]) => points.filter(({ y }) => y > 1e-12);
const along = (gaps: typeof plain.gaps, key: "average" | "last") =>
  positive(gaps.map((gap) => ({ x: gap.rounds, y: gap[key] })));

const { mixture } = await vonNeumannWinner(cycle);
const fitted = bradleyTerryPolicy(cycle, 0.05);
const figures = {
  horizons: HORIZONS,
  random,
  games,
  self_play: loop,
  cycle: {
    strengths: STRENGTHS,
    start: BIASED,
    equilibrium: [...mixture],
    bradley_terry: { beta: 0.05, policy: [...fitted], gap: cycle.gap(fitted) },
    last_iterate: {
      rounds: LONG,
      smallest_gap_in_last_half: Math.min(
        ...plain.gaps.filter(({ rounds }) => rounds > LONG / 2).map(({ last }) => last),
      ),
      largest_gap_in_last_half: Math.max(
        ...plain.gaps.filter(({ rounds }) => rounds > LONG / 2).map(({ last }) => last),
      ),
      optimistic_gap_at_end: optimistic.gaps.at(-1)!.last,
    },
    settings: cycleRuns,
  },
  soccer: { settings: soccerRuns },
};
const rate: PlotSeries[] = [
  ...random.by_size.filter(({ answers }) => [3, 10, 50].includes(answers)).map(
    ({ answers, gaps }) => ({
      name: `random, ${answers} answers`,
      points: gaps.map(({ rounds, median, low, high }) => ({ x: rounds, y: median, low, high })),
    }),
  ),
  ...games.filter(({ name }) => !name.includes(".6/.6")).map(({ name, gaps }) => ({
    name,
    points: gaps.map(({ rounds, average }) => ({ x: rounds, y: average })),
  })),
];
const paths = simplexPaths(cycle, 2048, { start: BIASED });
const pictures: Record<string, PlotSpec> = {
  theorem_rate: linePlot({
    title: "Gap of the average of T iterates, eta = sqrt(8 ln n / T)",
    subtitle: "random games: median, 10th to 90th percentile",
    x: { title: "rounds T", scale: "log", base: 2 },
    y: { title: "gap", scale: "log" },
    series: rate,
    levels: [{ y: 0.005, name: "0.005" }],
  }),
  theorem_last: linePlot({
    title: "One run of 16384 rounds on a cycle of .9, .6, .7",
    x: { title: "round", scale: "log", base: 2 },
    y: { title: "gap", scale: "log" },
    dots: false,
    series: [
      { name: "last iterate", points: along(plain.gaps, "last") },
      { name: "average", points: along(plain.gaps, "average") },
      { name: "optimistic, last iterate", points: along(optimistic.gaps, "last") },
      { name: "optimistic, average", points: along(optimistic.gaps, "average") },
    ],
  }),
  theorem_simplex: simplexPlot({
    title: "Multiplicative weights on a cycle of .9, .6, .7",
    subtitle: "2048 rounds from .8, .1, .1",
    corners: ["first", "second", "third"],
    paths: [
      { name: "mixture played", mixtures: paths.last },
      { name: "average so far", mixtures: paths.average },
    ],
    marks: [{ name: "equilibrium", mixture: [mixture[0]!, mixture[1]!, mixture[2]!] }],
  }),
  theorem_cycle: settingsPlot("SPPO on a cycle of .9, .6, .7", cycleRuns),
  theorem_soccer: settingsPlot("SPPO on the soccer game", soccerRuns),
};
for (const [name, spec] of Object.entries(pictures)) {
  await Deno.writeTextFile(new URL(`${name}.svg`, OUT), await renderSvg(spec));
}
await Deno.writeTextFile(
  new URL("theorem.json", OUT),
  `${JSON.stringify(figures, (_, x) => typeof x === "number" ? Number(x.toPrecision(6)) : x, 1)}\n`,
);
say(
  `slope ${random.slope.mean.toFixed(3)} (${random.slope.low.toFixed(3)} to ` +
    `${random.slope.high.toFixed(3)}) over ${random.slope.games} random games`,
);
