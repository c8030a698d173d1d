/**
 * Rankings of K responses from a table of logits, as LLM-Blender has them.
 *
 * Source: yuchenlin/LLM-Blender `llm_blender/gpt_eval/utils.py` (`get_scores_from_cmps`,
 * `get_ranks_from_cmps`) and `llm_blender/blender/blender.py` (`_bubble_predict`).
 *
 * @module
 */

/** How a table of logits becomes one number for each response. */
export type RankPolicy =
  /** mean_j (L_ij − L_ji), the diagonal counting as 0: LLM-Blender's scores. */
  | "max_logits"
  /** How often a response wins, in either order: |{j : L_ij > 0}| + |{j : L_ji < 0}|. */
  | "max_wins";

/**
 * One number for each response; the higher, the better. LLM-Blender's own `max_wins` *scores* add a
 * count to a mean; these are the counts by which it ranks.
 *
 * @param logits L [K, K], (left, right) at left · K + right.
 * @throws {RangeError} When the table is not square.
 *
 * @example
 * ```ts
 * import { rankScores } from "./ranking.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(rankScores([0, 3, -1, 0], "max_logits"), [2, -2]);
 * assert.deepEqual(rankScores([0, 3, -1, 0], "max_wins"), [2, 0]);
 * ```
 */
export function rankScores(logits: ArrayLike<number>, policy: RankPolicy = "max_logits"): number[] {
  const size = Math.sqrt(logits.length);
  if (!Number.isInteger(size)) {
    throw new RangeError(`Cannot rank as the logits must be K×K: there are ${logits.length}`);
  }
  const at = (i: number, j: number) => logits[i * size + j]!;
  const indices = Array.from({ length: size }, (_, index) => index);
  const sum = (each: (j: number) => number) => indices.reduce((total, j) => total + each(j), 0);
  switch (policy) {
    case "max_logits":
      return indices.map((i) => sum((j) => at(i, j) - at(j, i)) / size);
    case "max_wins":
      return indices.map((i) => sum((j) => (at(i, j) > 0 ? 1 : 0) + (at(j, i) < 0 ? 1 : 0)));
    default:
      return policy satisfies never;
  }
}

/**
 * Ranks, from 1 for the best; equal scores share the better rank.
 *
 * @example
 * ```ts
 * import { ranksOf } from "./ranking.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(ranksOf([0.5, 2, 0.5]), [2, 1, 2]);
 * ```
 */
export function ranksOf(scores: readonly number[]): number[] {
  const sorted = scores.toSorted((a, b) => b - a);
  return scores.map((score) => sorted.indexOf(score) + 1);
}

/**
 * The best response by one pass of comparisons: whoever stands goes on against the next, K − 1 pairs in
 * place of K (K − 1) / 2. A tie takes the next, as LLM-Blender's does. On a cycle the answer depends on
 * the order, which there is random and here is the caller's.
 *
 * @param order The responses, each once.
 * @param margin L_ij − L_ji: above 0 where i is better than j.
 *
 * @example
 * ```ts
 * import { bubbleBest } from "./ranking.ts";
 * import assert from "node:assert/strict";
 * const quality = [1, 3, 2];
 * const margin = (i: number, j: number) => Promise.resolve(quality[i]! - quality[j]!);
 * assert.equal(await bubbleBest([0, 1, 2], margin), 1);
 * ```
 */
export async function bubbleBest(
  order: readonly number[],
  margin: (i: number, j: number) => Promise<number>,
): Promise<number> {
  const [first, ...others] = order;
  if (first === undefined) {
    throw new RangeError("Cannot find the best response as there must be one at least: none");
  }
  let best = first;
  for (const next of others) if (!(await margin(best, next) > 0)) best = next;
  return best;
}

/**
 * Indices of the best N responses, best first; of equals the first.
 *
 * @example
 * ```ts
 * import { bestOf } from "./ranking.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(bestOf([1, 4, 2, 4], 3), [1, 3, 2]);
 * ```
 */
export function bestOf(scores: readonly number[], count = 1): number[] {
  return scores.map((_, index) => index)
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, count);
}
