/**
 * Writes a checkpoint as the files of a Hugging Face folder.
 *
 * @module
 */

import {
  checkConfig,
  type DecoderConfig,
  families,
  layoutOf,
  requiredTensors,
} from "../architectures/mod.ts";
import { configToHuggingFace } from "./huggingface_config.ts";
import { type FloatTensor, writeSafetensors } from "./safetensors.ts";

/** Options of {@linkcode writeCheckpoint}. */
export interface WriteCheckpointOptions {
  /** Element type of the weights; `f32` by default. */
  readonly encoding?: "f32" | "f16" | "bf16";
  /** Further files by name, such as `tokenizer.json`. */
  readonly extraFiles?: Readonly<Record<string, Uint8Array>>;
}

/** What `config.json` calls the element types. */
export const DTYPE_NAMES = {
  f32: "float32",
  f16: "float16",
  bf16: "bfloat16",
} as const;

/**
 * The files `config.json` and `model.safetensors` of a model, which transformers and
 * `openCheckpoint` read.
 *
 * @param tensors Exactly the tensors of {@linkcode requiredTensors}.
 * @throws {RangeError} If a tensor is absent, has another shape or is not part of the model.
 */
export function writeCheckpoint(
  config: DecoderConfig,
  tensors: ReadonlyMap<string, FloatTensor>,
  options: WriteCheckpointOptions = {},
): Record<string, Uint8Array> {
  const { encoding = "f32", extraFiles = {} } = options;
  const fail = (rule: string, found: unknown): never => {
    throw new RangeError(`Cannot write the checkpoint as ${rule}: ${found}`);
  };
  checkConfig(config, "the configuration");
  const required = requiredTensors(config);
  for (const [name, shape] of required) {
    const tensor = tensors.get(name);
    if (!tensor) fail(`it must have the tensor ${name}`, "it is absent");
    if (tensor!.shape.join() !== shape.join()) {
      fail(`${name} must have shape [${shape.join(", ")}]`, `[${tensor!.shape.join(", ")}]`);
    }
  }
  for (const name of tensors.keys()) {
    if (!required.has(name)) fail("every tensor must be part of the model", name);
  }
  const json = { ...configToHuggingFace(config), torch_dtype: DTYPE_NAMES[encoding] };
  return {
    ...extraFiles,
    "config.json": new TextEncoder().encode(JSON.stringify(json, null, 2) + "\n"),
    "model.safetensors": writeSafetensors(asStored(config, tensors), { encoding }),
  };
}

/** The tensors as transformers stores them: GPT-2's linear weights are [in, out]. */
function asStored(
  config: DecoderConfig,
  tensors: ReadonlyMap<string, FloatTensor>,
): ReadonlyMap<string, FloatTensor> {
  if (families[config.architecture].names !== "gpt2") return tensors;
  const { linear } = layoutOf(config);
  const ends = [...linear.values()].map(({ path }) => `.${path}.weight`);
  return new Map([...tensors].map(([name, tensor]) => [
    name,
    ends.some((end) => name.endsWith(end)) ? transposedTensor(tensor) : tensor,
  ]));
}

function transposedTensor({ shape, data }: FloatTensor): FloatTensor {
  const [rows, columns] = shape as [number, number];
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      out[column * rows + row] = data[row * columns + column]!;
    }
  }
  return { shape: [columns, rows], data: out };
}
