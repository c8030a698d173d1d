/**
 * Which of K responses train.
 *
 * @module
 */

/**
 * Name of a rule.
 *
 * - `best-worst`: the responses of the highest and the lowest win rate, for objectives that compare or
 *   that have targets of both signs.
 * - `all`: every response that has a win rate, likewise.
 * - `best`: the response of the highest win rate alone, for objectives that raise the likelihood of
 *   whatever they are given (`sft`): a rejected response does not belong there.
 */
export type Selection = "best-worst" | "all" | "best";

/** How far apart win rates must be to differ: means of the same numbers in another order may not be. */
const TIE_TOLERANCE = 1e-12;

/** What was selected. */
export interface Selected {
  /** Indexes of the responses that train; of a pair the chosen one first. Empty when tied or dropped. */
  readonly indexes: readonly number[];
  /** Index of the highest win rate, the first of equal ones; −1 when no response has one. */
  readonly best: number;
  /** Index of the lowest win rate, the first of equal ones; −1 when no response has one. */
  readonly worst: number;
  /** All win rates are equal: the group trains nothing. */
  readonly tied: boolean;
  /** Fewer than two responses have a win rate: the group trains nothing. */
  readonly dropped: boolean;
}

/**
 * Selects responses by their win rates.
 *
 * The first index wins ties, as NumPy's argmax and argmin in the released code.
 * Source: uclaml/SPPO 5e61c4e `scripts/compute_prob.py`.
 *
 * @param winRates P̂ of K responses, NaN where dropped.
 * @param selection `best-worst` by default.
 *
 * @example
 * ```ts
 * import { select } from "./selection.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(select([0.5, 0.2, 0.8, 0.8, NaN]).indexes, [2, 1]);
 * assert.deepEqual(select([0.5, 0.2, NaN], "all").indexes, [0, 1]);
 * assert.deepEqual(select([0.5, 0.2, 0.8, 0.8, NaN], "best").indexes, [2]);
 * assert.equal(select([0.5, 0.5]).tied, true);
 * ```
 */
export function select(
  winRates: ArrayLike<number>,
  selection: Selection = "best-worst",
): Selected {
  let best = -1, worst = -1;
  const present: number[] = [];
  for (let k = 0; k < winRates.length; k++) {
    const winRate = winRates[k]!;
    if (Number.isNaN(winRate)) continue;
    present.push(k);
    if (best < 0 || winRate > winRates[best]!) best = k;
    if (worst < 0 || winRate < winRates[worst]!) worst = k;
  }
  const dropped = present.length < 2;
  const tied = !dropped && winRates[best]! - winRates[worst]! <= TIE_TOLERANCE;
  const rules = { "best-worst": [best, worst], all: present, best: [best] } satisfies Record<
    Selection,
    readonly number[]
  >;
  return { indexes: dropped || tied ? [] : rules[selection], best, worst, tied, dropped };
}
