/**
 * Writes safetensors piece by piece.
 *
 * @module
 */

import type { TensorSource } from "../../graph/tensor_source.ts";
import { safetensorsHeader } from "../checkpoints/safetensors.ts";
import { type ByteStream, encodedPieces, lengthAs } from "./byte_stream.ts";

/**
 * Tensors as a safetensors file, in order of their names: the bytes of `writeSafetensors`.
 *
 * @param tensors By name; each is read once, when its turn comes.
 */
export function safetensorsStream(
  tensors: ReadonlyMap<string, TensorSource>,
  encoding: "f32" | "f16" | "bf16",
): ByteStream {
  const { header, order } = safetensorsHeader(tensors, { encoding });
  const data = order.reduce((sum, name) => sum + lengthAs(tensors.get(name)!, encoding), 0);
  return {
    byteLength: header.length + data,
    async *pieces(options) {
      yield header;
      for (const name of order) yield* encodedPieces(tensors.get(name)!, encoding, options);
    },
  };
}
