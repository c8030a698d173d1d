/**
 * What a command of `sppo train` will take of memory, told from a checkpoint's headers.
 *
 * @module
 */

import { objectives } from "../../core/objectives/objectives.ts";
import type { LossSpec } from "../../core/objectives/losses.ts";
import { BLOCK, blockFormats } from "../../backends/onnx/block_formats.ts";
import { isLowered } from "../../backends/onnx/lowering/mod.ts";
import { staysEncoded } from "../../backends/onnx/native/block_weights.ts";
import type { TensorSource } from "../../graph/tensor_source.ts";
import { type DecoderConfig, decoderTensors } from "../../models/architectures/mod.ts";
import type { Checkpoint } from "../../models/checkpoints/open.ts";
import type { Precision } from "../../models/generation/precision.ts";
import { OPTIMIZERS } from "../../models/programs/optimizer.ts";
import {
  type Lengths,
  memoryEstimator,
  type MemorySettings,
  type TrainingMemory,
} from "../../models/training/memory.ts";
import type { Values } from "../options/spec.ts";
import type { infoOptions } from "../options/tables.ts";

/** The options that memory depends on and that it is not kept by. */
export type MemoryValues = Pick<
  Values<typeof infoOptions>,
  | "keepEncoded"
  | "trainable"
  | "loraRank"
  | "loraTargets"
  | "optimizer"
  | "iterations"
  | "samples"
>;

/** What else is known of a command. */
export interface TrainFacts {
  readonly lengths: readonly Lengths[];
  /** SPPO's on pairs when not given. */
  readonly loss?: LossSpec | undefined;
  /** How responses are sampled; where it is still to be chosen, the one that takes more counts: float32. */
  readonly precision?: Precision | "auto";
  readonly keepsFit?: boolean;
  readonly otherBytes?: number;
}

const floatBytes = ({ shape }: Pick<TensorSource, "shape">): number =>
  4 * shape.reduce((product, size) => product * size, 1);

/** Bytes that the native backend holds of a tensor. */
function heldBytes(tensor: TensorSource, keepEncoded: boolean): number {
  if (!keepEncoded || !staysEncoded(tensor)) return floatBytes(tensor);
  const elements = floatBytes(tensor) / 4;
  const { bits, offsets } = blockFormats[tensor.encoding]!;
  return elements / BLOCK * (BLOCK * bits / 8 + (offsets ? 8 : 4));
}

const SPPO: LossSpec = objectives.sppo.loss!({
  ...{ beta: 1, against: "previous", labelSmoothing: 0, margin: 0, clip: 0.2 },
});

/**
 * Estimates the memory of a training command on the native backend.
 *
 * @throws {RangeError} When a LoRA target names no layer.
 */
export function trainMemory(
  { config, tensors }: Pick<Checkpoint, "config" | "tensors"> & { readonly config: DecoderConfig },
  values: MemoryValues,
  { lengths, loss = SPPO, precision = "auto", keepsFit = false, otherBytes = 0 }: TrainFacts,
): (settings: MemorySettings) => TrainingMemory {
  const all = values.trainable === "all";
  const sources = decoderTensors(config).map(({ name }) => tensors.get(name)!);
  const held = (keepEncoded: boolean) =>
    sources.reduce((sum, source) => sum + heldBytes(source, keepEncoded), 0);
  const fast = precision === "fast" && !all;
  const kept = sources.filter((source) => values.keepEncoded && staysEncoded(source));
  return memoryEstimator(config, {
    ...(all
      ? {}
      : { lora: { rank: values.loraRank, alpha: values.loraRank, targets: values.loraTargets } }),
    loss,
    optimizer: OPTIMIZERS[values.optimizer ?? (all ? "rmsprop" : "adamw")],
    weightBytes: held(values.keepEncoded) + (fast && !values.keepEncoded ? held(true) : 0),
    // Weights that are trained are no constants, and are not packed.
    packedBytes: all ? 0 : held(values.keepEncoded || fast),
    decodedBytes: Math.max(0, ...kept.map(floatBytes)),
    otherBytes,
    keepsFit,
    iterations: values.iterations,
    samples: values.samples,
    lengths,
    isLowered,
  });
}

/** Whether `--keep-encoded` would leave some of the weights as they are stored. */
export function couldKeepEncoded(
  { tensors }: Pick<Checkpoint, "tensors">,
  { keepEncoded, trainable }: Pick<MemoryValues, "keepEncoded" | "trainable">,
): boolean {
  return !keepEncoded && trainable !== "all" && [...tensors.values()].some(staysEncoded);
}
