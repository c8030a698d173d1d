/**
 * Distances between positions as rows of a table, in DeBERTa's manner.
 *
 * @module
 */

import type { HostTensor } from "../../graph/mod.ts";
import type { DebertaConfig } from "./deberta_config.ts";

/** What decides which row a distance has. */
export type Distances = Pick<DebertaConfig, "span" | "logBuckets" | "maxDistance">;

/**
 * The row of a distance d = (query's position) − (key's position): its bucket b plus `span`, kept
 * within the table. Without log buckets b = d. With them, and m = ⌊span / 2⌋, b = d while |d| ≤ m, and
 * beyond
 *
 *     b = sign(d) · (⌈ln(|d|/m) / ln((maxDistance − 1)/m) · (m − 1)⌉ + m),
 *
 * computed in float32, as `make_log_bucket_position` of transformers' DeBERTa-v2 is.
 *
 * @example
 * ```ts
 * import { distanceRow } from "./relative_distances.ts";
 * import assert from "node:assert/strict";
 * const v3 = { span: 256, logBuckets: true, maxDistance: 512 };
 * assert.equal(distanceRow(v3, -3), 253);
 * assert.equal(distanceRow(v3, 511), 511);
 * assert.equal(distanceRow(v3, -100000), 0);
 * ```
 */
export function distanceRow(
  { span, logBuckets, maxDistance }: Distances,
  distance: number,
): number {
  const middle = Math.floor(span / 2);
  const far = Math.abs(distance);
  let bucket = distance;
  if (logBuckets && far > middle) {
    const f = Math.fround;
    const ratio = f(f(Math.log(f(far / middle))) / f(Math.log(f((maxDistance - 1) / middle))));
    bucket = Math.sign(distance) * (Math.ceil(f(ratio * (middle - 1))) + middle);
  }
  return Math.min(Math.max(bucket + span, 0), 2 * span - 1);
}

/** A length cut into blocks of rows, blocks · rows ≥ length. */
export interface Blocks {
  /** Number of blocks. */
  readonly blocks: number;
  /** Rows of each. */
  readonly rows: number;
}

/**
 * Rows of a block when a sequence is cut. Each block meets one vector per distance to any position,
 * length + rows of them: fewer rows save products, more rows save reading the vectors again.
 */
const BLOCK_ROWS = 128;

/**
 * Cuts a length into blocks of about equal rows.
 *
 * @example
 * ```ts
 * import { cutIntoBlocks } from "./relative_distances.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(cutIntoBlocks(509), { blocks: 4, rows: 128 });
 * assert.deepEqual(cutIntoBlocks(5), { blocks: 1, rows: 5 });
 * ```
 */
export function cutIntoBlocks(length: number): Blocks {
  const blocks = Math.ceil(length / BLOCK_ROWS);
  return { blocks, rows: Math.ceil(length / blocks) };
}

/**
 * Rows of the table that each block of positions meets, int32 [blocks, blocks · rows + rows]. Column c
 * of block I stands for position I·rows + r of the block and position r + c − rows of the other side,
 * whatever r is:
 *
 * - `query_windows`: the block holds queries, so the distance is (I + 1)·rows − c;
 * - `key_windows`: the block holds keys, so it is c − (I + 1)·rows.
 */
export function distanceWindows(
  distances: Distances,
  { blocks, rows }: Blocks,
): { readonly query_windows: HostTensor; readonly key_windows: HostTensor } {
  const columns = blocks * rows + rows;
  const fill = (sign: number): HostTensor => {
    const data = new Int32Array(blocks * columns);
    for (let block = 0; block < blocks; block++) {
      for (let column = 0; column < columns; column++) {
        const distance = sign * ((block + 1) * rows - column);
        data[block * columns + column] = distanceRow(distances, distance);
      }
    }
    return { shape: [blocks, columns], data };
  };
  return { query_windows: fill(1), key_windows: fill(-1) };
}
