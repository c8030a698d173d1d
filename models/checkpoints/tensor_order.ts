/**
 * Tensors whose values a format holds in another order, or shifted: put right as bytes are read.
 *
 * Rotary embeddings come in two conventions. Hugging Face rotates the halves of a head against each
 * other (element i with i + d/2); Meta's original, llama2.c and llama.cpp rotate neighbours (2i with
 * 2i + 1). The same model in the other convention has the rows of its query and key projections
 * permuted within each head; {@linkcode halfSplitRows} undoes that.
 *
 * @module
 */

import { encodedByteLength, encodings } from "../../graph/encodings.ts";
import { checkByteRange, type TensorSource } from "../../graph/tensor_source.ts";

/**
 * A query or key projection with its rows in Hugging Face's order, from one in neighbour order: row
 * j·d/2 + i of a head is row 2i + j of the stored head (j = 0, 1). Rows keep their encoding; a read
 * fetches the heads it touches in one piece.
 *
 * Source: `LlamaModel.permute` in llama.cpp's `convert_hf_to_gguf.py`, inverted.
 *
 * @param source Weight [heads · headDim, in] or bias [heads · headDim].
 */
export function halfSplitRows(source: TensorSource, headDim: number): TensorSource {
  const [rows = 0, columns = 1] = source.shape;
  if (source.shape.length > 2 || rows % headDim !== 0) {
    throw new RangeError(
      `Cannot reorder the rows of ${source.name} as they must be whole heads of ${headDim}: [${source.shape}]`,
    );
  }
  const rowBytes = encodedByteLength(source.encoding, columns);
  const headBytes = rowBytes * headDim;
  const half = headDim / 2;
  return {
    name: source.name,
    shape: source.shape,
    encoding: source.encoding,
    byteLength: source.byteLength,
    async read(start, end, options) {
      checkByteRange(source.name, source.byteLength, start, end);
      if (start === end) return new Uint8Array(0);
      const from = Math.floor(start / headBytes) * headBytes;
      const to = Math.ceil(end / headBytes) * headBytes;
      const stored = await source.read(from, to, options);
      const ordered = new Uint8Array(stored.length);
      for (let head = 0; head < stored.length; head += headBytes) {
        for (let row = 0; row < headDim; row++) {
          const storedRow = 2 * (row % half) + Math.floor(row / half);
          const at = head + storedRow * rowBytes;
          ordered.set(stored.subarray(at, at + rowBytes), head + row * rowBytes);
        }
      }
      return ordered.subarray(start - from, end - from);
    },
  };
}

/**
 * A matrix [columns, rows] from one stored as its transpose [rows, columns], which is read whole at
 * the first read and held until the last byte was asked for.
 *
 * Source: `Conv1D` of huggingface/transformers, whose weight is [in, out].
 *
 * @throws {RangeError} If its elements are not single ones, but packed into blocks.
 */
export function transposed(source: TensorSource): TensorSource {
  const [rows = 0, columns = 0] = source.shape;
  const { blockElements, blockBytes: size } = encodings[source.encoding];
  if (source.shape.length !== 2 || blockElements !== 1) {
    throw new RangeError(
      `Cannot transpose ${source.name} as it must be a matrix of single elements: ${source.encoding} [${source.shape}]`,
    );
  }
  const transpose = (bytes: Uint8Array): Uint8Array => {
    const View = size === 4 ? Uint32Array : Uint16Array;
    const from = new View(bytes.slice().buffer);
    const to = new View(from.length);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        to[column * rows + row] = from[row * columns + column]!;
      }
    }
    return new Uint8Array(to.buffer);
  };
  let whole: Promise<Uint8Array> | undefined;
  return {
    name: source.name,
    shape: [columns, rows],
    encoding: source.encoding,
    byteLength: source.byteLength,
    async read(start, end, options) {
      checkByteRange(source.name, source.byteLength, start, end);
      whole ??= source.read(0, source.byteLength, options).then(transpose);
      let bytes: Uint8Array | undefined;
      try {
        bytes = await whole;
      } finally {
        if (!bytes || end === source.byteLength) whole = undefined;
      }
      return bytes.slice(start, end);
    },
  };
}

/**
 * The values of a float32 tensor plus a number: llama.cpp adds 1 to the weights of Gemma's norms.
 *
 * @throws {RangeError} If it is not float32.
 */
export function shifted(source: TensorSource, by: number): TensorSource {
  if (source.encoding !== "f32") {
    throw new RangeError(
      `Cannot read ${source.name} as a norm's weight must be float32: ${source.encoding}`,
    );
  }
  return {
    name: source.name,
    shape: source.shape,
    encoding: "f32",
    byteLength: source.byteLength,
    async read(start, end, options) {
      checkByteRange(source.name, source.byteLength, start, end);
      const first = start - start % 4;
      const bytes = (await source.read(first, Math.ceil(end / 4) * 4, options)).slice();
      const view = new DataView(bytes.buffer);
      for (let at = 0; at < bytes.length; at += 4) {
        view.setFloat32(at, view.getFloat32(at, true) + by, true);
      }
      return bytes.subarray(start - first, end - first);
    },
  };
}
