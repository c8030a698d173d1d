/**
 * What the native backend holds of a checkpoint's weights, told from its headers.
 *
 * @module
 */

import { BLOCK, blockFormats } from "../../backends/onnx/block_formats.ts";
import { staysEncoded } from "../../backends/onnx/native/block_weights.ts";
import type { TensorSource } from "../../graph/tensor_source.ts";
import { decoderTensors } from "../../models/architectures/mod.ts";
import type { Checkpoint } from "../../models/checkpoints/open.ts";
import type { Precision } from "../../models/generation/precision.ts";
import type { LanguageModelOptions } from "../../models/language_model_options.ts";

/** How weights are used. */
export interface WeightUse {
  readonly trainable: NonNullable<LanguageModelOptions["trainable"]>["kind"];
  readonly keepEncoded: boolean;
  /** How responses are sampled; where it is still to be chosen, the one that takes more counts: float32. */
  readonly precision: Precision | "auto";
}

/** Bytes of weights. */
export interface HeldWeights {
  /** Of all that are held, in whatever encodings. */
  readonly held: number;
  /** Of the copies that sampling packs. */
  readonly packed: number;
  /** In float32, of the largest matrix that stays encoded; 0 where none does. */
  readonly largestEncoded: number;
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

/** What is held of weights, as `loadWeights` does. */
export function heldWeights(
  { config, tensors }: Pick<Checkpoint, "config" | "tensors">,
  { trainable, keepEncoded, precision }: WeightUse,
): HeldWeights {
  const sources = decoderTensors(config).map(({ name }) => tensors.get(name)!);
  const held = (encoded: boolean) =>
    sources.reduce((sum, source) => sum + heldBytes(source, encoded), 0);
  const fast = precision === "fast" && trainable !== "all";
  const keeps = keepEncoded || (fast && trainable === "none");
  return {
    held: held(keeps) + (fast && !keeps ? held(true) : 0),
    // Weights that are trained are no constants, and are not packed.
    packed: trainable === "all" ? 0 : held(keeps || fast),
    largestEncoded: Math.max(0, ...sources.filter((s) => keeps && staysEncoded(s)).map(floatBytes)),
  };
}

/** Whether `--keep-encoded` would leave some of the weights as they are stored. */
export function couldKeepEncoded(
  { tensors }: Pick<Checkpoint, "tensors">,
  { keepEncoded, trainable }: {
    readonly keepEncoded: boolean;
    readonly trainable?: "lora" | "all" | undefined;
  },
): boolean {
  return !keepEncoded && trainable !== "all" && [...tensors.values()].some(staysEncoded);
}
