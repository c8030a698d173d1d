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

/** What an encoder's program needs to know of distances, for one length. */
export interface DistanceInputs {
  /**
   * int32 [blocks, window], window = (blocks + 1) · rows + 1: rows of the table that each block of
   * queries meets. Column c of block I stands for position I·rows + r of the block and position
   * r + c − rows of the keys, whatever r is: the distance is (I + 1)·rows − c.
   */
  readonly query_windows: HostTensor;
  /** The same for blocks of keys: the distance is c − (I + 1)·rows. */
  readonly key_windows: HostTensor;
  /**
   * int32 [rows, blocks]: row r of a block's products [rows, window] read from its column rows − r on
   * is, of the same numbers cut into pieces of `rows`, pieces r · (blocks + 1) + 1 + k. The window's
   * last column, which nobody reads, makes it come out even.
   */
  readonly pieces: HostTensor;
  /** int32 [1]: window, the pieces of a block. */
  readonly window: HostTensor;
}

/** The distances of a sequence of blocks; see {@linkcode DistanceInputs}. */
export function distanceInputs(
  distances: Distances,
  { blocks, rows }: Blocks,
): DistanceInputs & Record<string, HostTensor> {
  const window = (blocks + 1) * rows + 1;
  const windows = (sign: number): HostTensor => ({
    shape: [blocks, window],
    data: Int32Array.from({ length: blocks * window }, (_, at) => {
      const [block, column] = [Math.floor(at / window), at % window];
      return distanceRow(distances, sign * ((block + 1) * rows - column));
    }),
  });
  return {
    query_windows: windows(1),
    key_windows: windows(-1),
    pieces: {
      shape: [rows, blocks],
      data: Int32Array.from({ length: rows * blocks }, (_, at) => {
        const [row, piece] = [Math.floor(at / blocks), at % blocks];
        return row * (blocks + 1) + 1 + piece;
      }),
    },
    window: { shape: [1], data: Int32Array.of(window) },
  };
}

/**
 * Rows of the table for the distances of chosen places to every position, int32 [places, time].
 *
 * @param places Positions in their sequences.
 */
export function placeDistances(
  distances: Distances,
  places: readonly number[],
  time: number,
): HostTensor {
  return {
    shape: [places.length, time],
    data: Int32Array.from(
      { length: places.length * time },
      (_, at) => distanceRow(distances, places[Math.floor(at / time)]! - at % time),
    ),
  };
}
