/**
 * Query and key projections in llama.cpp's order of rows.
 *
 * @module
 */

import { encodedByteLength } from "../../graph/encodings.ts";
import type { TensorSource } from "../../graph/tensor_source.ts";

/**
 * A projection with its rows in neighbour order, from one in Hugging Face's: row 2i + j of a head is row
 * j·d/2 + i of the given head (j = 0, 1). The inverse of `halfSplitRows`.
 *
 * Source: `LlamaModel.permute` in llama.cpp's `convert_hf_to_gguf.py`.
 *
 * @param source Weight [heads · headDim, in] or bias [heads · headDim].
 */
export function neighbourRows(source: TensorSource, headDim: number): TensorSource {
  const [, columns = 1] = source.shape;
  const rowBytes = encodedByteLength(source.encoding, columns);
  const headBytes = rowBytes * headDim;
  return {
    name: source.name,
    shape: source.shape,
    encoding: source.encoding,
    byteLength: source.byteLength,
    async read(start, end, options) {
      const from = Math.floor(start / headBytes) * headBytes;
      const to = Math.min(Math.ceil(end / headBytes) * headBytes, source.byteLength);
      const given = await source.read(from, to, options);
      const ordered = new Uint8Array(given.length);
      for (let head = 0; head < given.length; head += headBytes) {
        for (let row = 0; row < headDim; row++) {
          const target = 2 * (row % (headDim / 2)) + Math.floor(2 * row / headDim);
          const at = head + row * rowBytes;
          ordered.set(given.subarray(at, at + rowBytes), head + target * rowBytes);
        }
      }
      return ordered.subarray(start - from, end - from);
    },
  };
}
