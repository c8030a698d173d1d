/**
 * Matrices that stay in blocks, in memory of ours; see `block_formats.ts`.
 *
 * @module
 */

import { encodedByteLength, type Encoding } from "../../../graph/encodings.ts";
import { float16ToFloat32 } from "../../../graph/float16.ts";
import type { TensorSource } from "../../../graph/tensor_source.ts";
import { BLOCK, blockFormats } from "../block_formats.ts";
import { allocate, type Block, bytes, floats, partOf } from "./memory.ts";

/** A matrix [rows, columns] in blocks along its rows. */
export interface BlockWeights {
  readonly encoding: Encoding;
  readonly bits: 4 | 8;
  /** uint8 [rows, columns / 32, 32 · bits / 8]. */
  readonly quants: Block;
  /** float32 [rows, columns / 32]. */
  readonly scales: Block;
  /** float32 [rows, columns / 32]. */
  readonly offsets?: Block;
}

/** Whether a tensor can stay in its encoding: a matrix with whole blocks in a known format. */
export function staysEncoded(
  { encoding, shape }: Pick<TensorSource, "encoding" | "shape">,
): boolean {
  return blockFormats[encoding] !== undefined && shape.length === 2 && shape[1]! % BLOCK === 0;
}

/** Memory of such a tensor. */
export function blockWeightBytes({ quants, scales, offsets }: BlockWeights): number {
  return quants.bytes + scales.bytes + (offsets?.bytes ?? 0);
}

/** Memory for matrices of one encoding and one number of columns, one behind the other. */
export function allocateBlockWeights(sources: readonly TensorSource[]): BlockWeights[] {
  const { encoding } = sources[0]!;
  const { bits, offsets: hasOffsets } = blockFormats[encoding]!;
  const counts = sources.map(({ shape }) => shape[0]! * shape[1]! / BLOCK);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const blockBytes = BLOCK * bits / 8;
  const quants = allocate(total * blockBytes);
  const scales = allocate(total * 4);
  const offsets = hasOffsets ? allocate(total * 4) : undefined;
  let first = 0;
  return counts.map((count) => {
    const at = first;
    first += count;
    return {
      encoding,
      bits,
      quants: partOf(quants, at * blockBytes, count * blockBytes),
      scales: partOf(scales, at * 4, count * 4),
      ...(offsets ? { offsets: partOf(offsets, at * 4, count * 4) } : {}),
    };
  });
}

/** Whether a matrix lies in memory right behind another. */
export function liesBehind(weights: BlockWeights, before: BlockWeights): boolean {
  const { quants } = before;
  return weights.encoding === before.encoding && weights.quants.buffer === quants.buffer &&
    weights.quants.offset === quants.offset + quants.bytes;
}

/** Options of {@linkcode readBlockWeights}. */
export interface ReadBlockWeightsOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called after each piece with its number of encoded bytes. */
  readonly onBytes?: (bytes: number) => void;
}

/** Encoded bytes read at once. */
const CHUNK_BYTES = 4 << 20;

/** Reads a tensor that {@linkcode staysEncoded} into memory for it. */
export async function readBlockWeights(
  source: TensorSource,
  weights: BlockWeights,
  { signal, onBytes }: ReadBlockWeightsOptions = {},
): Promise<void> {
  const { encoding, name, byteLength } = source;
  const { bits, quants, scales, offsets } = weights;
  const elements = source.shape[0]! * source.shape[1]!;
  const expected = encodedByteLength(encoding, elements);
  if (expected !== byteLength) {
    throw new RangeError(
      `Cannot read ${name} as ${elements} ${encoding} elements must take ${expected} bytes: ${byteLength}`,
    );
  }
  const blocks = elements / BLOCK;
  const blockBytes = expected / blocks;
  const into = {
    quants: bytes(quants, 0, quants.bytes),
    scales: floats(scales, 0, blocks),
    offsets: offsets && floats(offsets, 0, blocks),
  };
  const step = Math.floor(CHUNK_BYTES / blockBytes) * blockBytes;
  for (let start = 0; start < byteLength; start += step) {
    signal?.throwIfAborted();
    const end = Math.min(start + step, byteLength);
    unpack(bits, await source.read(start, end, { signal }), start / blockBytes, into);
    onBytes?.(end - start);
  }
}

interface Unpacked {
  readonly quants: Uint8Array;
  readonly scales: Float32Array;
  readonly offsets: Float32Array | undefined;
}

/** Lays out ggml blocks from block `first` on. */
function unpack(bits: 4 | 8, from: Uint8Array, first: number, into: Unpacked): void {
  const { quants, scales, offsets } = into;
  const view = new DataView(from.buffer, from.byteOffset, from.byteLength);
  const header = offsets ? 4 : 2;
  const size = BLOCK * bits / 8;
  for (let at = 0, block = first; at < from.length; at += header + size, block++) {
    const d = float16ToFloat32(view.getUint16(at, true));
    scales[block] = d;
    if (offsets) offsets[block] = float16ToFloat32(view.getUint16(at + 2, true)) + 8 * d;
    const source = at + header;
    const target = block * size;
    if (bits === 8) {
      for (let j = 0; j < 32; j++) quants[target + j] = from[source + j]! ^ 0x80; // + 128
    } else {
      for (let j = 0; j < 8; j++) {
        const [a, b] = [from[source + 2 * j]!, from[source + 2 * j + 1]!];
        quants[target + j] = (a & 15) | (b & 15) << 4;
        quants[target + 8 + j] = a >> 4 | (b & 0xf0);
      }
    }
  }
}

/** The weights as float32. */
export function decodeBlockWeights(weights: BlockWeights, elements: number): Float32Array {
  const { bits } = weights;
  const blocks = elements / BLOCK;
  const quants = bytes(weights.quants, 0, weights.quants.bytes);
  const scales = floats(weights.scales, 0, blocks);
  const offsets = weights.offsets && floats(weights.offsets, 0, blocks);
  const values = new Float32Array(elements);
  for (let block = 0; block < blocks; block++) {
    const d = scales[block]!;
    const offset = offsets ? offsets[block]! : 0;
    for (let j = 0; j < BLOCK; j++) {
      const index = block * BLOCK + j;
      const q = bits === 8
        ? quants[index]! - 128
        : (quants[index >> 1]! >> (index & 1 ? 4 : 0) & 15) - 8;
      values[index] = d * q + offset;
    }
  }
  return values;
}
