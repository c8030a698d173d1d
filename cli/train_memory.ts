/**
 * What a command of `sppo train` will take of memory, told from a checkpoint's headers.
 *
 * @module
 */

import { objectives } from "../core/objectives/objectives.ts";
import { BLOCK, blockFormats } from "../backends/onnx/block_formats.ts";
import { isLowered } from "../backends/onnx/lowering/mod.ts";
import { staysEncoded } from "../backends/onnx/native/block_weights.ts";
import type { TensorSource } from "../graph/tensor_source.ts";
import { type DecoderConfig, decoderTensors } from "../models/architectures/mod.ts";
import type { Checkpoint } from "../models/checkpoints/open.ts";
import { OPTIMIZERS } from "../models/programs/optimizer.ts";
import { DEFAULT_SLOTS } from "../models/language_model_options.ts";
import { type TrainingMemory, trainingMemory } from "../models/training/memory.ts";
import type { Values } from "./options/spec.ts";
import type { infoOptions } from "./options/tables.ts";

/** Bytes that the native backend holds of a tensor. */
function heldBytes(tensor: TensorSource, keepEncoded: boolean): number {
  const elements = tensor.shape.reduce((product, size) => product * size, 1);
  if (!keepEncoded || !staysEncoded(tensor)) return 4 * elements;
  const { bits, offsets } = blockFormats[tensor.encoding]!;
  return elements / BLOCK * (BLOCK * bits / 8 + (offsets ? 8 : 4));
}

/**
 * Memory of a training command on the native backend, with SPPO's loss on pairs.
 *
 * @throws {RangeError} When a LoRA target names no layer.
 */
export function trainMemory(
  { config, tensors }: Pick<Checkpoint, "config" | "tensors"> & { readonly config: DecoderConfig },
  values: Values<typeof infoOptions>,
): TrainingMemory {
  const lora = { rank: values.loraRank, alpha: 2 * values.loraRank, targets: values.loraTargets };
  const all = values.trainable === "all";
  const held = decoderTensors(config).map(({ name }) =>
    heldBytes(tensors.get(name)!, values.keepEncoded)
  );
  const loss = objectives.sppo.loss!({
    ...{ beta: 1, against: "previous", labelSmoothing: 0, margin: 0, clip: 0.2 },
  });
  return trainingMemory(config, {
    ...(all ? {} : { lora }),
    loss,
    optimizer: OPTIMIZERS[values.optimizer ?? (all ? "rmsprop" : "adamw")],
    tokensPerBatch: values.tokensPerBatch,
    checkpointing: values.checkpointing,
    weightBytes: held.reduce((sum, bytes) => sum + bytes, 0),
    promptTokens: values.promptTokens,
    responseTokens: values.maxTokens,
    rows: Math.min(DEFAULT_SLOTS, values.promptsPerBatch * values.samples),
    isLowered,
  });
}
