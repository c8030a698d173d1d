/**
 * Sequences of about one length run together.
 *
 * @module
 */

/**
 * Batches of indices, longest sequences first, such that rows × longest ≤ `tokenBudget` (a single
 * longer sequence stands alone). Depends on the lengths alone.
 *
 * @example
 * ```ts
 * import { planBatches } from "./plan_batches.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(planBatches([3, 8, 5, 2], 10), [[1], [2, 0], [3]]);
 * ```
 */
export function planBatches(lengths: readonly number[], tokenBudget: number): number[][] {
  const order = lengths.map((_, index) => index).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const batches: number[][] = [];
  let longest = 0;
  for (const index of order) {
    const batch = batches.at(-1);
    if (batch && (batch.length + 1) * longest <= tokenBudget) {
      batch.push(index);
    } else {
      longest = lengths[index]!;
      batches.push([index]);
    }
  }
  return batches;
}
