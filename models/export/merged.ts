/**
 * A model's weights with an adapter added: W + s·B·A.
 *
 * @module
 */

import { decode, encodedByteLength, encodeFloats } from "../../graph/encodings.ts";
import { checkByteRange, type TensorSource } from "../../graph/tensor_source.ts";
import { loraScale } from "../architectures/mod.ts";
import type { LoadedAdapter } from "../policy_files.ts";

/**
 * The tensors of a model with an adapter in them, computed as they are read. Those that the adapter is
 * not on stay as they are.
 *
 * @throws {RangeError} If the adapter has a layer that the model has not.
 */
export function mergedTensors(
  tensors: ReadonlyMap<string, TensorSource>,
  { lora, tensors: adapter }: Pick<LoadedAdapter, "lora" | "tensors">,
): ReadonlyMap<string, TensorSource> {
  const scale = loraScale(lora);
  const merged = new Map(tensors);
  for (const [name, a] of adapter) {
    const layer = /^(.+)\.lora_A\.weight$/.exec(name)?.[1];
    if (layer === undefined) continue;
    const base = tensors.get(`${layer}.weight`);
    const b = adapter.get(`${layer}.lora_B.weight`);
    if (!base || !b) {
      throw new RangeError(
        `Cannot merge the adapter as ${layer} must be in the model and have A and B: it is not`,
      );
    }
    merged.set(`${layer}.weight`, withLora(base, { a: a.data, b: b.data, scale }));
  }
  return merged;
}

interface Lora {
  /** [r, in] */
  readonly a: Float32Array;
  /** [out, r] */
  readonly b: Float32Array;
  readonly scale: number;
}

/** W + s·B·A [out, in] as float32; rows are computed when they are read. */
function withLora(base: TensorSource, { a, b, scale }: Lora): TensorSource {
  const { name, shape, encoding } = base;
  const [rows, columns] = shape as [number, number];
  const rank = a.length / columns;
  const byteLength = rows * columns * 4;
  const storedRow = encodedByteLength(encoding, columns);
  return {
    name,
    shape,
    encoding: "f32",
    byteLength,
    async read(start, end, options) {
      checkByteRange(name, byteLength, start, end);
      const [first, last] = [Math.floor(start / 4 / columns), Math.ceil(end / 4 / columns)];
      const values = new Float32Array((last - first) * columns);
      decode(encoding, await base.read(first * storedRow, last * storedRow, options), values);
      for (let row = first; row < last; row++) {
        const out = values.subarray((row - first) * columns, (row - first + 1) * columns);
        for (let k = 0; k < rank; k++) {
          const factor = scale * b[row * rank + k]!;
          if (factor === 0) continue; // a new adapter's B
          const from = a.subarray(k * columns, (k + 1) * columns);
          for (let i = 0; i < columns; i++) out[i]! += factor * from[i]!;
        }
      }
      const begin = first * columns * 4;
      return encodeFloats("f32", values).subarray(start - begin, end - begin);
    },
  };
}
