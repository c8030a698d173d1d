/**
 * Prompts and responses as token rows, planned into batches under a token budget.
 *
 * @module
 */

import type { HostTensor } from "../graph/mod.ts";

/** A response after its prompt. */
export interface Sequence {
  /** Tokens of the prompt, at least one. */
  readonly promptIds: readonly number[];
  /** Tokens that are scored. */
  readonly responseIds: readonly number[];
}

/** Tokens a sequence feeds: all but the last, which is only predicted. */
export function fedTokens({ promptIds, responseIds }: Sequence): number {
  return promptIds.length + responseIds.length - 1;
}

/**
 * Batches of indices, longest sequences first, such that rows × longest ≤ `tokenBudget` (a single
 * longer sequence stands alone). Depends on the lengths alone.
 *
 * @example
 * ```ts
 * import { planBatches } from "./sequences.ts";
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

/** The inputs of the likelihood program for some sequences, rows padded at the end. */
export function packSequences(sequences: readonly Sequence[]): Record<string, HostTensor> {
  const batch = sequences.length;
  const time = Math.max(...sequences.map(fedTokens));
  const ids = new Int32Array(batch * time);
  const positions = new Int32Array(batch * time);
  const rows: number[] = [];
  const targets: number[] = [];
  const owner: number[] = [];
  sequences.forEach(({ promptIds, responseIds }, row) => {
    const start = row * time;
    for (let t = 0; t < time; t++) positions[start + t] = t;
    ids.set(promptIds, start);
    ids.set(responseIds.slice(0, -1), start + promptIds.length);
    responseIds.forEach((id, index) => {
      rows.push(start + promptIds.length - 1 + index);
      targets.push(id);
      owner.push(row);
    });
  });
  const vector = (values: number[]): HostTensor => ({
    shape: [values.length],
    data: Int32Array.from(values),
  });
  return {
    ids: { shape: [batch, time], data: ids },
    positions: { shape: [batch, time], data: positions },
    rows: vector(rows),
    targets: vector(targets),
    owner: vector(owner),
  };
}
