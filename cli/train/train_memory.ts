/**
 * What a command of `sppo train` will take of memory, told from a checkpoint's headers.
 *
 * @module
 */

import { objectives } from "../../core/objectives/objectives.ts";
import type { LossSpec } from "../../core/objectives/losses.ts";
import { isLowered } from "../../backends/onnx/lowering/mod.ts";
import type { Checkpoint } from "../../models/checkpoints/open.ts";
import type { Precision } from "../../models/generation/precision.ts";
import type { Lengths } from "../../models/memory/parts.ts";
import {
  memoryEstimator,
  type MemorySettings,
  type TrainingMemory,
} from "../../models/memory/training.ts";
import { OPTIMIZERS } from "../../models/programs/optimizer.ts";
import { heldWeights } from "../memory/held_weights.ts";
import type { InfoValues } from "./settle_info.ts";

/** The options that memory depends on and that it is not kept by. */
export type MemoryValues = Pick<
  InfoValues,
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
  /** How responses are sampled. */
  readonly precision?: Precision | "auto";
  readonly keepsFit?: boolean;
  /** Whether the start is decoded beside a policy. */
  readonly mixes?: boolean;
  readonly otherBytes?: number;
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
  checkpoint: Pick<Checkpoint, "config" | "tensors">,
  values: MemoryValues,
  { lengths, loss = SPPO, precision = "auto", keepsFit = false, mixes = false, otherBytes = 0 }:
    TrainFacts,
): (settings: MemorySettings) => TrainingMemory {
  const all = values.trainable === "all";
  const weights = heldWeights(checkpoint, {
    trainable: all ? "all" : "lora",
    keepEncoded: values.keepEncoded,
    precision,
  });
  return memoryEstimator(checkpoint.config, {
    ...(all
      ? {}
      : { lora: { rank: values.loraRank, alpha: values.loraRank, targets: values.loraTargets } }),
    loss,
    optimizer: OPTIMIZERS[values.optimizer],
    weightBytes: weights.held,
    packedBytes: weights.packed,
    decodedBytes: weights.largestEncoded,
    otherBytes,
    keepsFit,
    mixes,
    iterations: values.iterations,
    samples: values.samples,
    lengths,
    isLowered,
  });
}
