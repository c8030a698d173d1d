/**
 * A model as the files of a Hugging Face folder, written piece by piece.
 *
 * @module
 */

import type { TensorSource } from "../../graph/tensor_source.ts";
import { type DecoderConfig, families, layoutOf } from "../architectures/mod.ts";
import { configToHuggingFace } from "../checkpoints/huggingface_config.ts";
import { transposed } from "../checkpoints/tensor_order.ts";
import { DTYPE_NAMES } from "../checkpoints/write.ts";
import { bytesStream, type ByteStream } from "./byte_stream.ts";
import { safetensorsStream } from "./safetensors.ts";

/**
 * `config.json` and `model.safetensors`, which transformers and `openCheckpoint` read.
 *
 * @param tensors All tensors of the configuration, by our names.
 */
export function huggingFaceModel(
  config: DecoderConfig,
  tensors: ReadonlyMap<string, TensorSource>,
  encoding: "f32" | "f16" | "bf16",
): Record<string, ByteStream> {
  return {
    "config.json": configFile(config, { torch_dtype: DTYPE_NAMES[encoding] }),
    "model.safetensors": safetensorsStream(asStored(config, tensors), encoding),
  };
}

/** `config.json` with further fields. */
export function configFile(
  config: DecoderConfig,
  fields: Readonly<Record<string, unknown>>,
): ByteStream {
  const json = { ...configToHuggingFace(config), ...fields };
  return bytesStream(new TextEncoder().encode(JSON.stringify(json, null, 2) + "\n"));
}

/** The tensors as transformers stores them: GPT-2's linear weights are [in, out]. */
function asStored(
  config: DecoderConfig,
  tensors: ReadonlyMap<string, TensorSource>,
): ReadonlyMap<string, TensorSource> {
  if (families[config.architecture].names !== "gpt2") return tensors;
  const ends = [...layoutOf(config).linear.values()].map(({ path }) => `.${path}.weight`);
  return new Map([...tensors].map(([name, source]) => [
    name,
    ends.some((end) => name.endsWith(end)) ? transposed(source) : source,
  ]));
}
