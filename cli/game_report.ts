/**
 * What `sppo game` says of a game.
 *
 * @module
 */

import { exploitability, type PreferenceMatrix } from "../core/exploitability.ts";
import {
  type AlgorithmName,
  type AlgorithmOptions,
  algorithms,
  bestOf,
  bordaScores,
  condorcetWinner,
  copelandScores,
  cyclicTriads,
  hedge,
  hedgeEta,
  logLogSlope,
  type MatrixGame,
  play,
  testTransitivity,
  testTriads,
  type TransitivityTest,
  vonNeumannWinner,
  type VoteTable,
} from "../games/mod.ts";
import type { Mixture3 } from "./plots/simplex_plot.ts";

/** What is said of a game before anything is played on it. */
export interface GameFacts {
  readonly answers: number;
  /** Answers of the von Neumann winner with their shares, the most played first. */
  readonly von_neumann: readonly { readonly answer: string; readonly share: number }[];
  /** Its gap: rounding of the solver. */
  readonly von_neumann_gap: number;
  /** Null where no answer beats all others. */
  readonly condorcet: string | null;
  readonly copeland: readonly string[];
  readonly borda: readonly string[];
  readonly triads: number;
  readonly cyclic_triads: number;
  /** Of votes: cyclic triads that stand at 5 % after Holm's correction, and noise as the other reason. */
  readonly votes?: {
    readonly significant_cycles: readonly (readonly string[])[];
    readonly transitivity: TransitivityTest;
  };
}

/** Level of the tests. */
const LEVEL = 0.05;

/** Looks at a game. */
export async function gameFacts(game: MatrixGame, votes?: VoteTable): Promise<GameFacts> {
  const { size, answers } = game;
  const name = (index: number) => answers[index]!;
  const { mixture, support, gap } = await vonNeumannWinner(game);
  const condorcet = condorcetWinner(game);
  return {
    answers: size,
    von_neumann: support.map((index) => ({ answer: name(index), share: mixture[index]! })),
    von_neumann_gap: gap,
    condorcet: condorcet === undefined ? null : name(condorcet),
    copeland: bestOf(copelandScores(game)).map(name),
    borda: bestOf(bordaScores(game)).map(name),
    triads: size * (size - 1) * (size - 2) / 6,
    cyclic_triads: cyclicTriads(game).length,
    ...(votes === undefined ? {} : {
      votes: {
        significant_cycles: testTriads(votes).filter(({ adjusted }) => adjusted < LEVEL)
          .map(({ cycle }) => cycle.map(name)),
        transitivity: testTransitivity(votes),
      },
    }),
  };
}

/** An algorithm played for several T, each with its own η. */
export interface AlgorithmRun {
  readonly algorithm: AlgorithmName;
  /** Gaps after T rounds played with the η for T, by T ascending. */
  readonly gaps: readonly {
    readonly rounds: number;
    readonly average: number;
    readonly last: number;
  }[];
  /** Slope of log gap over log T, of the average; null where a gap is 0. */
  readonly slope: number | null;
  /** Average mixture of the longest run. */
  readonly average: readonly number[];
  /** Why it could not be played, in place of the above. */
  readonly refused?: string;
}

/** Plays an algorithm. A game that it cannot be played on is reported, not skipped. */
export function runAlgorithm(
  game: PreferenceMatrix,
  algorithm: AlgorithmName,
  horizons: readonly number[],
  options: Omit<AlgorithmOptions, "rounds">,
): AlgorithmRun {
  try {
    const played = horizons.map((rounds) =>
      play(game, algorithms[algorithm].iterates(game, { ...options, rounds }), { rounds })
    );
    const gaps = played.map((one) => one.gaps[0]!);
    const points = gaps.map(({ rounds, average }) => ({ x: rounds, y: average }));
    const slope = points.length > 1 && points.every(({ y }) => y > 0) ? logLogSlope(points) : null;
    return { algorithm, gaps, slope, average: [...played.at(-1)!.average] };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { algorithm, gaps: [], slope: null, average: [], refused: error.message };
  }
}

/** Powers of two up to T, from 2⁶ or T where that is smaller. */
export function horizonsTo(rounds: number): number[] {
  const horizons: number[] = [];
  for (let T = rounds; T >= Math.min(64, rounds); T = Math.floor(T / 2)) horizons.unshift(T);
  return horizons;
}

/** Most points of a path that is drawn. */
const PATH_POINTS = 600;

/** Multiplicative weights on a game of three answers: where it is, and where its average is. */
export function simplexPaths(
  game: PreferenceMatrix,
  rounds: number,
  options: { readonly eta?: number; readonly start?: ArrayLike<number> },
): { readonly last: Mixture3[]; readonly average: Mixture3[] } {
  const every = Math.ceil(rounds / PATH_POINTS);
  const last: Mixture3[] = [], average: Mixture3[] = [];
  const sum = [0, 0, 0];
  const { eta = hedgeEta(3, rounds), start } = options;
  play(game, hedge(game, { eta, ...(start === undefined ? {} : { start }) }), {
    rounds,
    onRound(t, mixture) {
      for (let i = 0; i < 3; i++) sum[i]! += mixture[i]!;
      if (t % every !== 0 && t !== rounds - 1) return;
      last.push([mixture[0]!, mixture[1]!, mixture[2]!]);
      average.push(sum.map((total) => total / (t + 1)) as unknown as Mixture3);
    },
  });
  return { last, average };
}

/** What is said of games of prompts, whose responses differ. Means are over prompts. */
export interface PromptFacts {
  readonly prompts: number;
  /** Exploitability of playing each response equally often: of the policy that gave them, as sampled. */
  readonly uniform_gap: number;
  /** Share of prompts in which one response beats all others. */
  readonly condorcet_share: number;
  /** Responses that the von Neumann winner plays. */
  readonly von_neumann_support: number;
  /** Exploitability of always giving the response with the highest mean preference. */
  readonly borda_gap: number;
  readonly triads: number;
  readonly cyclic_triads: number;
}

/** Looks at the game of each prompt. */
export async function promptFacts(games: readonly PreferenceMatrix[]): Promise<PromptFacts> {
  const sums = { uniform: 0, borda: 0, condorcet: 0, support: 0, triads: 0, cyclic: 0 };
  for (const game of games) {
    const { size } = game;
    const [best] = bestOf(bordaScores(game));
    sums.uniform += exploitability(game, new Float64Array(size).fill(1 / size));
    sums.borda += exploitability(game, new Float64Array(size).fill(1, best, best! + 1));
    sums.condorcet += condorcetWinner(game) === undefined ? 0 : 1;
    sums.support += (await vonNeumannWinner(game)).support.length;
    sums.triads += size * (size - 1) * (size - 2) / 6;
    sums.cyclic += cyclicTriads(game).length;
  }
  const prompts = games.length;
  return {
    prompts,
    uniform_gap: sums.uniform / prompts,
    condorcet_share: sums.condorcet / prompts,
    von_neumann_support: sums.support / prompts,
    borda_gap: sums.borda / prompts,
    triads: sums.triads,
    cyclic_triads: sums.cyclic,
  };
}

/** Cycles of single prompts that have every verdict. */
export function promptCycles(
  prompts: readonly VoteTable[],
): { readonly complete: number; readonly triads: number; readonly cyclic: number } {
  let complete = 0, triads = 0, cyclic = 0;
  for (const votes of prompts) {
    const { size } = votes;
    const voted = (i: number, j: number) =>
      votes.wins[i * size + j]! + votes.wins[j * size + i]! + votes.ties[i * size + j]! > 0;
    const beats = (i: number, j: number) => votes.wins[i * size + j]! > votes.wins[j * size + i]!;
    const pairs = Array.from(
      { length: size * size },
      (_, at) => [Math.floor(at / size), at % size],
    );
    if (!pairs.every(([i, j]) => i === j || voted(i!, j!))) continue;
    complete++;
    for (let a = 0; a < size; a++) {
      for (let b = a + 1; b < size; b++) {
        for (let c = b + 1; c < size; c++) {
          triads++;
          if (beats(a, b) && beats(b, c) && beats(c, a)) cyclic++;
          if (beats(a, c) && beats(c, b) && beats(b, a)) cyclic++;
        }
      }
    }
  }
  return { complete, triads, cyclic };
}
