/**
 * The weights of an exported program as the file beside it.
 *
 * @module
 */

import { encodeFloats } from "../../graph/encodings.ts";
import { readAsFloat32, type TensorSource } from "../../graph/tensor_source.ts";
import { type ByteStream, encodedPieces, lengthAs } from "./byte_stream.ts";

/** Where a tensor goes in the file, and in which order of its elements. */
export interface PlacedTensor {
  readonly name: string;
  readonly transposed: boolean;
  /** In bytes; the places are in order and do not overlap. */
  readonly offset: number;
}

/**
 * Tensors as float32 at given places, zeros between. One that is transposed is in memory whole, and then
 * not any more; the others are read in pieces.
 *
 * @throws {RangeError} If a tensor is absent.
 */
export function externalData(
  places: readonly PlacedTensor[],
  tensors: ReadonlyMap<string, TensorSource>,
): ByteStream {
  const items = places.map((place) => {
    const source = tensors.get(place.name);
    if (!source) {
      throw new RangeError(`Cannot write the weights as each must be in the model: ${place.name}`);
    }
    return { ...place, source, length: lengthAs(source, "f32") };
  });
  const last = items.at(-1);
  return {
    byteLength: last ? last.offset + last.length : 0,
    async *pieces(options) {
      let at = 0;
      for (const { source, transposed, offset, length } of items) {
        if (offset > at) yield new Uint8Array(offset - at);
        at = offset + length;
        if (!transposed) yield* encodedPieces(source, "f32", options);
        else yield encodeFloats("f32", transpose(await readAsFloat32(source, options), source));
      }
    },
  };
}

function transpose(values: Float32Array, { shape }: TensorSource): Float32Array {
  const [rows, columns] = shape as [number, number];
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      out[column * rows + row] = values[row * columns + column]!;
    }
  }
  return out;
}
