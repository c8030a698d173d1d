/**
 * Tensors that are ranges of a file.
 *
 * @module
 */

import { checkByteRange, type TensorSource } from "../../graph/tensor_source.ts";
import { encodedByteLength, type Encoding } from "../../graph/encodings.ts";
import type { ByteSource } from "./byte_source.ts";

/** A tensor stored in one piece at `offset` of `file`. The caller has checked that it fits. */
export function rangedTensor(
  file: ByteSource,
  name: string,
  shape: readonly number[],
  encoding: Encoding,
  offset: number,
): TensorSource {
  const byteLength = encodedByteLength(encoding, elementCount(shape));
  return {
    name,
    shape,
    encoding,
    byteLength,
    ...(file.path === undefined ? {} : { file: { path: file.path, offset } }),
    read(start, end, options) {
      try {
        checkByteRange(name, byteLength, start, end);
      } catch (error) {
        return Promise.reject(error);
      }
      return file.read(offset + start, end - start, options);
    },
  };
}

/** Product of the sizes; not a safe integer where the tensor is absurdly large. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A file's stretch of bytes and whose it is. */
export interface Extent {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/**
 * The first pair of extents that share bytes, if there is one. Sorts `extents` in place.
 */
export function findOverlap(extents: Extent[]): readonly [Extent, Extent] | undefined {
  extents.sort((a, b) => a.start - b.start || a.end - b.end);
  for (let i = 1; i < extents.length; i++) {
    const [before, after] = [extents[i - 1]!, extents[i]!];
    if (after.start < before.end) return [before, after];
  }
  return undefined;
}
