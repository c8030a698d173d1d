/**
 * Files that are written piece by piece, so that a model is never in memory as a whole.
 *
 * @module
 */

import {
  decode,
  encodedByteLength,
  encodeFloats,
  type Encoding,
  encodings,
  type FloatEncoding,
} from "../../graph/encodings.ts";
import type { ReadOptions, TensorSource } from "../../graph/tensor_source.ts";

/** A file's content. */
export interface ByteStream {
  /** Length in bytes. */
  readonly byteLength: number;
  /** The content in order, in pieces of a few MiB. */
  pieces(options?: ReadOptions): AsyncIterable<Uint8Array>;
}

/** Encodings that tensors are written in. */
export type { FloatEncoding };

/** Elements decoded at once; a multiple of every encoding's block. */
const PIECE_ELEMENTS = 1 << 20;

/** A content that is in memory. */
export function bytesStream(bytes: Uint8Array): ByteStream {
  return {
    byteLength: bytes.length,
    async *pieces() {
      yield await Promise.resolve(bytes);
    },
  };
}

/** A tensor's length in bytes in some encoding. */
export function lengthAs({ shape }: TensorSource, encoding: Encoding): number {
  return encodedByteLength(encoding, shape.reduce((product, size) => product * size, 1));
}

/**
 * A tensor in an encoding; one that is stored in it is copied as it is.
 *
 * @yields Its bytes in order.
 */
export async function* encodedPieces(
  source: TensorSource,
  encoding: FloatEncoding,
  { signal }: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  const { blockElements, blockBytes } = encodings[source.encoding];
  const step = PIECE_ELEMENTS / blockElements * blockBytes;
  for (let start = 0; start < source.byteLength; start += step) {
    signal?.throwIfAborted();
    const end = Math.min(start + step, source.byteLength);
    const bytes = await source.read(start, end, { signal });
    if (source.encoding === encoding) {
      yield bytes;
      continue;
    }
    const values = new Float32Array((end - start) / blockBytes * blockElements);
    decode(source.encoding, bytes, values);
    yield encodeFloats(encoding, values);
  }
}
