/**
 * The memory that training a checkpoint takes, before anything of it is loaded.
 *
 * @module
 */

import { lossOf, type LossSpec } from "../../core/mod.ts";
import { type Equation, peakBytes } from "../../graph/mod.ts";
import {
  ADAPTER,
  type DecoderConfig,
  decoderTensors,
  type LoraShape,
  loraTensors,
  WEIGHTS,
} from "../architectures/mod.ts";
import type { SampledAdapter } from "../generation/sampled_adapter.ts";
import { decodeProgram } from "../programs/decode.ts";
import { mergedMatrices } from "../programs/merge.ts";
import { gradientProgram, likelihoodProgram } from "../programs/likelihood.ts";
import { momentTensors, type OptimizerOptions } from "../programs/optimizer.ts";
import { vocabularyChunks } from "../programs/vocabulary_chunks.ts";
import {
  arenaBytes,
  bytesOf,
  cacheBytes,
  decodingPeak,
  type Lengths,
  microBatchSizes,
  processBytes,
  programsLowered,
  type RunMemory,
} from "./parts.ts";

/** What memory can be kept by. */
export interface MemorySettings {
  readonly tokensPerBatch: number;
  /** Most memory for logits; see `LanguageModelOptions`. */
  readonly logitsBytes: number;
  readonly checkpointing: boolean;
  /** Whether adapters are merged to sample. */
  readonly sampledAdapter: SampledAdapter;
  /** Responses that are sampled side by side; 0 where none is. */
  readonly rows: number;
}

/** A training command, as far as its memory depends on it and is not set by {@linkcode MemorySettings}. */
export interface TrainingTaskShape {
  /** The adapter; all weights are trained when not given. */
  readonly lora?: LoraShape;
  readonly loss: LossSpec;
  readonly optimizer: OptimizerOptions;
  /** Bytes of weights that are held, in whatever encodings. */
  readonly weightBytes: number;
  /** Bytes of the copies that sampling packs. */
  readonly packedBytes: number;
  /** Whether the start is decoded beside a policy, as in Nash-MD's mixture, and packed beside it. */
  readonly mixes?: boolean;
  /** Float32 bytes of the largest matrix that stays encoded; 0 where none does. */
  readonly decodedBytes?: number;
  /** Bytes that others take, such as a judge's model. */
  readonly otherBytes?: number;
  /** Whether a fit is kept while it goes on, not only at its end. */
  readonly keepsFit: boolean;
  /** Rounds of self-play. */
  readonly iterations: number;
  /** K. */
  readonly samples: number;
  /** Every combination of lengths that a batch may be made of; the most expensive one counts. */
  readonly lengths: readonly Lengths[];
  /** Whether the device runs an equation as it is; others are lowered first. */
  readonly isLowered: (equation: Equation) => boolean;
}

/** Bytes by what they are for. */
export interface TrainingMemory extends RunMemory {
  readonly gradients: number;
  readonly moments: number;
  /** Copies that are made to keep a fit. */
  readonly kept: number;
}

/**
 * Estimates what a training command takes at its peak, by what it is kept by. Programs are made once for
 * all estimates.
 */
export function memoryEstimator(
  config: DecoderConfig,
  task: TrainingTaskShape,
): (settings: MemorySettings) => TrainingMemory {
  const { lora, loss, optimizer, lengths, samples, isLowered } = task;
  const { decodedBytes = 0, otherBytes = 0, mixes = false } = task;
  const trainable = lora
    ? { scope: ADAPTER, tensors: loraTensors(config, lora) }
    : { scope: WEIGHTS, tensors: decoderTensors(config) };
  const lowered = programsLowered(isLowered);
  const adapters = bytesOf(trainable.tensors);
  const moments = bytesOf(momentTensors(optimizer, trainable.tensors));
  // The start's and the fit's, and from the second round on that of the round before.
  const copies = Math.min(task.iterations, 2) + (lora ? 1 : 0);

  const mergedBytes = lora
    ? bytesOf(mergedMatrices(config, lora)) + (mixes ? task.packedBytes : 0)
    : 0;

  return ({ tokensPerBatch, logitsBytes, checkpointing, sampledAdapter, rows }) => {
    const chunks = vocabularyChunks(config.vocabSize, tokensPerBatch, logitsBytes);
    const scoring = lowered(`scoring ${chunks}`, () => likelihoodProgram(config, lora, chunks));
    const gradient = lowered(
      `gradient ${chunks} ${checkpointing}`,
      () => gradientProgram(config, lossOf(loss), trainable, lora, { chunks, checkpointing }),
    );
    const decoding = rows > 0
      ? lowered("decoding", () => decodeProgram(config, 1, lora))
      : undefined;
    const activations = Math.max(...lengths.flatMap((each) => {
      const sizes = microBatchSizes(tokensPerBatch, each);
      return [
        peakBytes(gradient, sizes),
        peakBytes(scoring, sizes),
        decoding ? decodingPeak(decoding, rows, samples, each.promptTokens) : 0,
      ];
    }));
    return {
      program: otherBytes + processBytes([scoring, gradient, ...decoding ? [decoding] : []]),
      weights: task.weightBytes,
      packed: rows > 0 ? task.packedBytes : 0,
      merged: rows > 0 && sampledAdapter === "merged" ? mergedBytes : 0,
      caches: cacheBytes(config, rows, samples, lengths),
      trained: copies * adapters,
      gradients: adapters,
      moments,
      // A matrix is decoded by way of its products with the scales, before these are moved.
      activations: arenaBytes(activations + 2 * decodedBytes),
      kept: 2 * (adapters + (task.keepsFit ? moments : 0)),
    };
  };
}
