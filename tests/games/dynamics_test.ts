import assert from "node:assert/strict";
import type { PreferenceMatrix } from "../../core/exploitability.ts";
import { winRatesAgainst } from "../../core/exploitability.ts";
import { selfPlay, type SelfPlayOptions } from "../../core/self_play.ts";
import { type TabularPolicy, tabularPolicy } from "../../core/tabular.ts";
import { multiplicativeWeights } from "../../core/tabular_trainers.ts";
import { bradleyTerryGame, bradleyTerryScores } from "../../games/bradley_terry.ts";
import { decayingHedge, hedge, hedgeEta, optimisticHedge } from "../../games/dynamics/hedge.ts";
import type { Iterates } from "../../games/dynamics/iterates.ts";
import { regression } from "../../games/dynamics/regression.ts";
import { sparring } from "../../games/dynamics/sparring.ts";
import { bradleyTerryPolicy, nashMirrorDescent } from "../../games/dynamics/with_reference.ts";
import type { MatrixGame } from "../../games/matrix_game.ts";
import { logLogSlope, play } from "../../games/play.ts";
import { cycleGame, randomGame } from "../../games/random_games.ts";
import { soccer } from "./_games.ts";

/** Two ways to the same sums of tens of numbers in float64. */
const ROUNDING = 1e-11;

function take(iterates: Iterates, count: number): Float64Array[] {
  return [...Iterator.from(iterates).take(count).map((mixture) => mixture.slice())];
}

function close(one: ArrayLike<number>, other: ArrayLike<number>, tolerance: number): void {
  assert.equal(one.length, other.length);
  for (const [i, p] of Array.from(one).entries()) {
    assert.ok(Math.abs(p - other[i]!) <= tolerance, `${p} and ${other[i]} at ${i}`);
  }
}

/** π_0 … π_T of the loop that trains language models. */
async function loop(
  game: MatrixGame,
  options: Pick<SelfPlayOptions<TabularPolicy>, "eta" | "selection" | "iterations"> & {
    readonly samples?: number;
    readonly seed?: number;
  },
): Promise<Float64Array[]> {
  const { samples, ...rest } = options;
  const policy = tabularPolicy({
    answers: { game: game.answers },
    exhaustive: samples === undefined,
  });
  const played = [policy.probabilities("game")];
  const run = selfPlay({
    policy,
    oracle: game.oracle,
    trainer: multiplicativeWeights(),
    prompts: [{ id: "game", content: "?" }],
    promptsPerIteration: "repeat",
    sampling: { samples: samples ?? 2, temperature: 1, topP: 1, maxTokens: 1 },
    ...rest,
  });
  for await (const event of run) {
    if (event.type === "policy") played.push(event.policy.probabilities("game"));
  }
  return played;
}

Deno.test("hedge() and regression() play what selfPlay() plays when all answers are in the group", async () => {
  const played = await loop(soccer, { eta: 0.5, iterations: 20, selection: "all" });
  for (const iterates of [hedge(soccer, { eta: 0.5 }), regression(soccer, { eta: 0.5 })]) {
    for (const [t, mixture] of take(iterates, 21).entries()) close(mixture, played[t]!, ROUNDING);
  }
});

Deno.test("regression() draws, estimates and fits as selfPlay() does", async () => {
  for (const selection of ["all", "best-worst"] as const) {
    const options = { eta: 0.5, samples: 4, seed: 11, selection };
    const played = await loop(soccer, { ...options, iterations: 20 });
    const iterates = take(regression(soccer, options), 21);
    for (const [t, mixture] of iterates.entries()) close(mixture, played[t]!, ROUNDING);
    assert.notDeepEqual(iterates[20], iterates[0]);
  }
});

Deno.test("hedge() with η = √(8 ln n / T) keeps to its bound in random games", () => {
  for (let seed = 0; seed < 20; seed++) {
    const game = randomGame(2 + seed, seed);
    for (const rounds of [16, 256, 2048]) {
      const iterates = hedge(game, { eta: hedgeEta(game.size, rounds) });
      const { average } = play(game, iterates, { rounds }).gaps[0]!;
      const bound = Math.sqrt(Math.log(game.size) / (2 * rounds));
      assert.ok(
        average <= bound,
        `gap ${average}, bound ${bound}, n = ${game.size}, T = ${rounds}`,
      );
    }
  }
});

Deno.test("decayingHedge() keeps to its bound at every T at once", () => {
  const game = randomGame(8, 3), at = [4, 32, 256, 2048];
  const { gaps } = play(game, decayingHedge(game), { rounds: 2048, at });
  for (const { rounds, average } of gaps) {
    const bound = 2 * Math.sqrt(Math.log(8) / (2 * rounds)) + Math.sqrt(Math.log(8) / 8) / rounds;
    assert.ok(average <= bound, `gap ${average}, bound ${bound}, T = ${rounds}`);
  }
});

Deno.test("hedge() circles in a cycle while its average comes near, and optimisticHedge() comes near itself", () => {
  const game = cycleGame([0.9, 0.6, 0.7]), rounds = 8192, at = [512, 1024, 2048, 4096, 8192];
  const start = [0.6, 0.3, 0.1];
  const plain = play(game, hedge(game, { eta: hedgeEta(3, rounds), start }), { rounds, at });
  assert.ok(plain.gaps.at(-1)!.average < 0.01);
  for (const { last } of plain.gaps) assert.ok(last > 0.02, `${last}`);
  const optimistic = play(game, optimisticHedge(game, { eta: 1, start }), { rounds, at });
  assert.ok(optimistic.gaps.at(-1)!.last < 1e-6);
  const slope = logLogSlope(
    optimistic.gaps.map(({ rounds, average }) => ({ x: rounds, y: average })),
  );
  assert.ok(slope < -0.9, `${slope}`);
});

Deno.test("regression() approaches the equilibrium with few samples and noisy votes, if slower", () => {
  const game = cycleGame([0.9, 0.6, 0.7]), rounds = 4096, start = [0.8, 0.1, 0.1];
  const eta = hedgeEta(3, rounds);
  const gap = (options: { samples?: number; votes?: number }) =>
    play(game, regression(game, { eta, start, seed: 1, selfTerm: "exclude", ...options }), {
      rounds,
    }).gaps[0]!.average;
  for (const options of [{ samples: 8 }, { samples: 8, votes: 1 }]) {
    assert.ok(gap(options) < 0.05, `${gap(options)}`);
  }
});

Deno.test("regression() on scores rests in the equilibrium of another game", () => {
  // Scores are means of log-odds, so all are equal where margins' log-odds, log 9, log 3/2, log 7/3,
  // take the place of the margins .4, .1, .2: there the transitive estimator sees ½ for all.
  const game = cycleGame([0.9, 0.6, 0.7]);
  const odds = [0.6, 0.7, 0.9].map((p) => Math.log(p / (1 - p)));
  const total = odds.reduce((sum, x) => sum + x, 0), start = odds.map((x) => x / total);
  const after = (estimator: "matrix" | "scores") =>
    play(game, regression(game, { eta: 0.5, estimator, start }), { rounds: 50 }).last;
  close(after("scores"), start, 1e-9);
  assert.ok(game.gap(start) > 0.015);
  assert.ok(after("matrix").some((p, i) => Math.abs(p - start[i]!) > 0.05));
  const hard = cycleGame([1, 1, 1]);
  assert.throws(() => take(regression(hard, { eta: 0.5, estimator: "scores" }), 2), {
    name: "RangeError",
    message: /must be above 0 and below 1: 1/,
  });
});

Deno.test("sparring() learns from outcomes alone", () => {
  const game = cycleGame([0.9, 0.6, 0.7]), rounds = 30000, start = [0.8, 0.1, 0.1];
  const eta = Math.sqrt(Math.log(3) / (3 * rounds));
  const { gaps } = play(game, sparring(game, { eta, start }), { rounds, at: [100, rounds] });
  assert.ok(gaps[1]!.average < 0.05 && gaps[0]!.average > 0.1, JSON.stringify(gaps));
});

Deno.test("nashMirrorDescent() ends in the equilibrium of the regularised game", () => {
  const game = cycleGame([0.9, 0.6, 0.7]), reference = [0.6, 0.3, 0.1], tau = 0.2;
  const eta = (t: number) => 2 / (tau * (t + 2));
  const { last } = play(game, nashMirrorDescent(game, { eta, tau, reference }), { rounds: 50000 });
  // π ∝ μ exp(P π / τ): log(π/μ) − (P π)/τ is the same for every answer.
  const winRates = winRatesAgainst(game, last);
  const levels = Array.from(last, (p, i) => Math.log(p / reference[i]!) - winRates[i]! / tau);
  close(levels, levels.map(() => levels[0]!), 1e-3);
  assert.throws(
    () => take(nashMirrorDescent(game, { eta: 6, tau }), 2),
    /eta · tau must be at most 1/,
  );
});

Deno.test("bradleyTerryScores() solves its equations, also with weights", () => {
  const game = randomGame(7, 5), weights = [1, 2, 3, 1, 1, 2, 0.1];
  const scores = bradleyTerryScores(game, weights);
  const model = bradleyTerryGame(scores);
  for (let i = 0; i < 7; i++) {
    let sum = 0;
    for (let j = 0; j < 7; j++) {
      sum += weights[j]! * (game.preferences[i * 7 + j]! - model.preferences[i * 7 + j]!);
    }
    assert.ok(Math.abs(sum) < 1e-9, `${sum}`);
  }
  // A game that is one of scores gives them back.
  const known = bradleyTerryGame([1, 0.5, -1.5]);
  close(bradleyTerryScores(known), [1, 0.5, -1.5], 1e-9);
});

Deno.test("bradleyTerryScores() refuses what has no finite scores", () => {
  const above: PreferenceMatrix = {
    size: 3,
    preferences: [0.5, 0.7, 1, 0.3, 0.5, 1, 0, 0, 0.5],
  };
  assert.throws(() => bradleyTerryScores(above), /no group of answers may win always/);
  assert.throws(() => bradleyTerryScores(above, [1, 1, 0]), /3 positive weights/);
});

Deno.test("bradleyTerryPolicy() puts all on one answer where the equilibrium is mixed", () => {
  const game = cycleGame([0.9, 0.6, 0.7]);
  const policy = bradleyTerryPolicy(game, 0.01);
  assert.ok(Math.max(...policy) > 0.999);
  assert.ok(game.gap(policy) >= 0.1);
});

Deno.test("Algorithms refuse options out of their range", () => {
  const game = randomGame(3, 0);
  const wrong = (iterates: () => Iterates, message: RegExp) =>
    assert.throws(() => take(iterates(), 3), { name: "RangeError", message });
  wrong(() => hedge(game, { eta: 0 }), /eta must be a positive number: 0 at t = 0/);
  wrong(() => hedge(game, { eta: 1, start: [1, 1, 0] }), /3 entries from 0 on with sum 1/);
  wrong(
    () => regression(game, { eta: 1, samples: 1 }),
    /samples must be a whole number of at least 2/,
  );
  wrong(() => regression(game, { eta: 1, votes: 0.5 }), /votes must be a whole number/);
  assert.throws(() => play(game, hedge(game, { eta: 1 }), { rounds: 3, at: [2, 1] }), RangeError);
  assert.throws(() => play(game, [], { rounds: 3 }), /as many mixtures: 0/);
});
