/**
 * Games to try things on.
 *
 * @module
 */

import { randomStream } from "../core/random.ts";
import { type MatrixGame, matrixGame } from "./matrix_game.ts";

/**
 * A game whose preferences P_ij, i < j, are uniform in [0, 1] and independent.
 *
 * @param size n.
 * @param seed Of the random stream; equal seeds give equal games.
 *
 * @example
 * ```ts
 * import { randomGame } from "./random_games.ts";
 * import assert from "node:assert/strict";
 * const { preferences } = randomGame(3, 7);
 * assert.equal(preferences[1]! + preferences[3]!, 1);
 * assert.deepEqual(randomGame(3, 7).preferences, preferences);
 * ```
 */
export function randomGame(size: number, seed: number): MatrixGame {
  const stream = randomStream(seed, "random-game", size);
  const rows = Array.from({ length: size }, () => new Array<number>(size).fill(0.5));
  for (let i = 0; i < size; i++) {
    for (let j = i + 1; j < size; j++) {
      rows[i]![j] = stream.next();
      rows[j]![i] = 1 - rows[i]![j]!;
    }
  }
  return matrixGame(rows);
}

/**
 * A cycle of three answers: each is preferred to the next, the last to the first.
 *
 * With margins a, b, c (strengths less ½) the equilibrium plays b : c : a, each answer in proportion
 * to the margin of the two others. Equal strengths give rock–paper–scissors.
 *
 * @param strengths P(0 ≻ 1), P(1 ≻ 2), P(2 ≻ 0), above ½.
 *
 * @example
 * ```ts
 * import { cycleGame } from "./random_games.ts";
 * import assert from "node:assert/strict";
 * const game = cycleGame([0.9, 0.6, 0.7]);
 * assert.ok(Math.abs(game.gap([1 / 7, 2 / 7, 4 / 7])) < 1e-12);
 * ```
 */
export function cycleGame(
  [first, second, third]: readonly [number, number, number],
  answers?: readonly [string, string, string],
): MatrixGame {
  return matrixGame([
    [0.5, first, 1 - third],
    [1 - first, 0.5, second],
    [third, 1 - second, 0.5],
  ], answers);
}
