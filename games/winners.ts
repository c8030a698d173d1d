/**
 * Winners of a preference game by other rules than the equilibrium.
 *
 * @module
 */

import type { PreferenceMatrix } from "../core/exploitability.ts";

/**
 * Copeland's scores: answers that i beats (P > ½), ties counting ½.
 *
 * @example
 * ```ts
 * import { copelandScores } from "./winners.ts";
 * import assert from "node:assert/strict";
 * const game = { size: 3, preferences: [0.5, 0.9, 0.5, 0.1, 0.5, 0.6, 0.5, 0.4, 0.5] };
 * assert.deepEqual([...copelandScores(game)], [1.5, 1, 0.5]);
 * ```
 */
export function copelandScores({ size, preferences }: PreferenceMatrix): Float64Array {
  return Float64Array.from({ length: size }, (_, i) => {
    let score = 0;
    for (let j = 0; j < size; j++) {
      const p = preferences[i * size + j]!;
      if (i !== j) score += p > 0.5 ? 1 : p === 0.5 ? 0.5 : 0;
    }
    return score;
  });
}

/**
 * Borda's scores: mean preference of i to the other answers; ½ where there are none.
 *
 * @example
 * ```ts
 * import { bordaScores } from "./winners.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual([...bordaScores({ size: 2, preferences: [0.5, 0.75, 0.25, 0.5] })], [0.75, 0.25]);
 * ```
 */
export function bordaScores({ size, preferences }: PreferenceMatrix): Float64Array {
  return Float64Array.from({ length: size }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < size; j++) if (i !== j) sum += preferences[i * size + j]!;
    return size === 1 ? 0.5 : sum / (size - 1);
  });
}

/**
 * Indexes of the highest score, in their order.
 *
 * @example
 * ```ts
 * import { bestOf } from "./winners.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(bestOf([1, 2, 2]), [1, 2]);
 * ```
 */
export function bestOf(scores: ArrayLike<number>): number[] {
  const values = Array.from(scores);
  const best = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return values.flatMap((score, index) => score === best ? [index] : []);
}

/**
 * The Condorcet winner: the answer that beats every other one. Most cyclic games have none.
 *
 * @returns Its index; undefined where there is none.
 *
 * @example
 * ```ts
 * import { condorcetWinner } from "./winners.ts";
 * import assert from "node:assert/strict";
 * assert.equal(condorcetWinner({ size: 2, preferences: [0.5, 0.25, 0.75, 0.5] }), 1);
 * const rockPaperScissors = { size: 3, preferences: [0.5, 0, 1, 1, 0.5, 0, 0, 1, 0.5] };
 * assert.equal(condorcetWinner(rockPaperScissors), undefined);
 * ```
 */
export function condorcetWinner(game: PreferenceMatrix): number | undefined {
  const scores = copelandScores(game);
  const index = scores.findIndex((score) => score === game.size - 1);
  return index < 0 ? undefined : index;
}
