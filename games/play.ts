/**
 * Playing an algorithm on a game, and what comes of it.
 *
 * @module
 */

import { exploitability, type PreferenceMatrix } from "../core/exploitability.ts";
import type { Iterates } from "./dynamics/iterates.ts";

/** Options of {@linkcode play}. */
export interface PlayOptions {
  /** T ≥ 1. */
  readonly rounds: number;
  /** Rounds after which gaps are measured, ascending; T alone by default. */
  readonly at?: readonly number[];
  /** Called with each mixture as it is played; it must not keep it. */
  readonly onRound?: (t: number, mixture: Float64Array) => void;
}

/** Gaps after some rounds. */
export interface Gaps {
  /** T. */
  readonly rounds: number;
  /** Of the average (π_0 + … + π_{T−1}) / T, which the theorem is about. */
  readonly average: number;
  /** Of π_{T−1}. */
  readonly last: number;
}

/** A game that was played. */
export interface Play {
  /** (π_0 + … + π_{T−1}) / T. */
  readonly average: Float64Array;
  /** π_{T−1}. */
  readonly last: Float64Array;
  /** By round, as asked. */
  readonly gaps: readonly Gaps[];
}

/**
 * Takes T mixtures of an algorithm and measures their average.
 *
 * @throws {RangeError} When rounds are not ascending whole numbers from 1 to T.
 *
 * @example
 * ```ts
 * import { play } from "./play.ts";
 * import { hedge, hedgeEta } from "./dynamics/hedge.ts";
 * import { cycleGame } from "./random_games.ts";
 * import assert from "node:assert/strict";
 * const game = cycleGame([0.9, 0.6, 0.7]), rounds = 4096;
 * const { gaps } = play(game, hedge(game, { eta: hedgeEta(3, rounds) }), { rounds });
 * // The bound is √(ln 3 / 2T) = 0.0116.
 * assert.ok(gaps[0]!.average < 0.0116);
 * ```
 */
export function play(game: PreferenceMatrix, iterates: Iterates, options: PlayOptions): Play {
  const { rounds, at = [rounds], onRound } = options;
  const whole = (value: number) => Number.isSafeInteger(value) && value >= 1 && value <= rounds;
  if (!whole(rounds) || !at.every((T, index) => whole(T) && !(at[index - 1]! >= T))) {
    throw new RangeError(
      `Cannot play as rounds must be whole and ascending, from 1 to the last: ${at}; ${rounds}`,
    );
  }
  const sum = new Float64Array(game.size);
  const mean = (T: number) => sum.map((value) => value / T);
  const gaps: Gaps[] = [];
  let t = 0, next = 0;
  for (const mixture of iterates) {
    onRound?.(t, mixture);
    for (let i = 0; i < sum.length; i++) sum[i]! += mixture[i]!;
    t++;
    if (t === at[next]) {
      next++;
      gaps.push({
        rounds: t,
        average: exploitability(game, mean(t)),
        last: exploitability(game, mixture),
      });
    }
    if (t === rounds) return { average: mean(t), last: mixture.slice(), gaps };
  }
  throw new RangeError(`Cannot play ${rounds} rounds as there must be as many mixtures: ${t}`);
}

/**
 * Slope of log y over log x by least squares: the exponent of a rate.
 *
 * @throws {RangeError} When there are fewer than two points, or a number is not positive.
 *
 * @example
 * ```ts
 * import { logLogSlope } from "./play.ts";
 * import assert from "node:assert/strict";
 * const points = [1, 4, 16].map((x) => ({ x, y: 3 / Math.sqrt(x) }));
 * assert.ok(Math.abs(logLogSlope(points) + 0.5) < 1e-12);
 * ```
 */
export function logLogSlope(
  points: readonly { readonly x: number; readonly y: number }[],
): number {
  if (points.length < 2 || !points.every(({ x, y }) => x > 0 && y > 0)) {
    throw new RangeError(
      `Cannot fit a rate as there must be two points with positive numbers: ${
        points.map(({ x, y }) => `(${x}, ${y})`).join(" ") || "none"
      }`,
    );
  }
  const logs = points.map(({ x, y }) => [Math.log(x), Math.log(y)] as const);
  const mean = (index: 0 | 1) => logs.reduce((sum, log) => sum + log[index], 0) / logs.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  let products = 0, squares = 0;
  for (const [x, y] of logs) {
    products += (x - meanX) * (y - meanY);
    squares += (x - meanX) ** 2;
  }
  return products / squares;
}
