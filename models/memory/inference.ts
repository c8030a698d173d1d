/**
 * The memory that sampling or scoring with a checkpoint takes, before anything of it is loaded, and
 * settings by which it keeps to a budget.
 *
 * @module
 */

import { type Equation, peakBytes } from "../../graph/mod.ts";
import { type DecoderConfig, type LoraShape, loraTensors } from "../architectures/mod.ts";
import type { SampledAdapter } from "../generation/sampled_adapter.ts";
import { decodeProgram } from "../programs/decode.ts";
import { likelihoodProgram } from "../programs/likelihood.ts";
import { mergedMatrices } from "../programs/merge.ts";
import { LOGITS_BYTES, vocabularyChunks } from "../programs/vocabulary_chunks.ts";
import { adapters, cheapestFit, halvings, type Kept } from "./keep.ts";
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
export interface InferenceSettings {
  /** Responses that are sampled side by side. */
  readonly slots: number;
  /** Tokens of one scoring run. */
  readonly tokensPerBatch: number;
  /** Whether weights stay in the encoding of their checkpoint. */
  readonly keepEncoded: boolean;
  /** Whether an adapter is merged to sample. */
  readonly sampledAdapter: SampledAdapter;
}

/** A command that samples or scores, as far as its memory is not set by {@linkcode InferenceSettings}. */
export interface InferenceTaskShape {
  /** Whether responses are sampled, or given ones are scored. */
  readonly kind: "sampling" | "scoring";
  /** The adapter, where there is one. */
  readonly lora?: LoraShape;
  /** Bytes of weights that are held, and of the copies that sampling packs. */
  weightBytes(keepEncoded: boolean): { readonly held: number; readonly packed: number };
  /** Bytes that the weights take where they are stored. */
  readonly storedBytes: number;
  /** K; 1 where nothing is sampled. */
  readonly samples: number;
  /** Every combination of lengths that a run may be made of; the most expensive one counts. */
  readonly lengths: readonly Lengths[];
  /** Whether the device runs an equation as it is; others are lowered first. */
  readonly isLowered: (equation: Equation) => boolean;
}

/** Most bytes read of a checkpoint that still wait for the garbage collector while the work goes on. */
const UNCOLLECTED_BYTES = 256 * 2 ** 20;

/** Estimates what a command takes at its peak, by what it is kept by. */
export function inferenceEstimator(
  config: DecoderConfig,
  { kind, lora, weightBytes, storedBytes, samples, lengths, isLowered }: InferenceTaskShape,
): (settings: InferenceSettings) => RunMemory {
  const lowered = programsLowered(isLowered);
  const sampling = kind === "sampling";
  const mergedBytes = lora && sampling ? bytesOf(mergedMatrices(config, lora)) : 0;
  return ({ slots, tokensPerBatch, keepEncoded, sampledAdapter }) => {
    const { held, packed } = weightBytes(keepEncoded);
    const chunks = vocabularyChunks(config.vocabSize, tokensPerBatch, LOGITS_BYTES.frozen);
    const program = sampling
      ? lowered("decoding", () => decodeProgram(config, 1, lora))
      : lowered(`scoring ${chunks}`, () => likelihoodProgram(config, lora, chunks));
    const peaks = lengths.map((each) => {
      if (sampling) return decodingPeak(program, slots, samples, each.promptTokens);
      const sizes = microBatchSizes(tokensPerBatch, each);
      // Products with encoded weights are the sum of two results, of which logits are the largest.
      const second = keepEncoded ? 4 * sizes.tokens! * Math.ceil(config.vocabSize / chunks) : 0;
      return peakBytes(program, sizes) + second;
    });
    return {
      program: processBytes([program]) + Math.min(storedBytes, UNCOLLECTED_BYTES),
      weights: held,
      packed: sampling ? packed : 0,
      merged: sampledAdapter === "merged" ? mergedBytes : 0,
      caches: cacheBytes(config, sampling ? slots : 0, samples, lengths),
      trained: lora ? bytesOf(loraTensors(config, lora)) : 0,
      activations: arenaBytes(Math.max(...peaks)),
    };
  };
}

/** Options of {@linkcode keepInferenceMemory}. */
export interface KeepInferenceMemoryOptions extends Pick<InferenceTaskShape, "kind" | "samples"> {
  /** In bytes. */
  readonly budget: number;
  /** Whether weights may stay encoded that were not asked to. */
  readonly couldKeepEncoded: boolean;
  readonly estimate: (settings: InferenceSettings) => RunMemory;
}

/** Fewest tokens of a run that are tried. */
const FEWEST_TOKENS = 64;
/** Below so many rows or tokens weights are read for little work, and each halving costs more. */
const FEW = { slots: 16, tokens: 256 };
/**
 * What encoded weights cost, where a halving costs 4 (of rows) or 2 (of tokens). SmolLM2-135M (Q4_1, 2
 * threads) samples 60 rows in 1.8 times the time, and scores in 1.25 times.
 */
const ENCODED_COST = { sampling: 7, scoring: 1 };

/**
 * The settings nearest to those asked for that fit a budget; where none does, the smallest.
 *
 * Tried are an adapter apart and encoded weights, which give the same float32 numbers more slowly, and
 * halvings of what runs side by side: the rows of decoding down to K, or the tokens of a scoring run.
 */
export function keepInferenceMemory(
  asked: InferenceSettings,
  { kind, samples, budget, couldKeepEncoded, estimate }: KeepInferenceMemoryOptions,
): Kept<InferenceSettings, RunMemory> {
  const sampling = kind === "sampling";
  const halved = sampling
    ? halvings(asked.slots, Math.min(asked.slots, samples), (value) => value < FEW.slots ? 8 : 4)
    : halvings(
      asked.tokensPerBatch,
      Math.min(asked.tokensPerBatch, FEWEST_TOKENS),
      (value) => value < FEW.tokens ? 8 : 2,
    );
  const weights = adapters(asked.sampledAdapter).map(({ value: sampledAdapter, cost }) => ({
    value: { sampledAdapter, keepEncoded: asked.keepEncoded },
    cost,
  }));
  if (couldKeepEncoded && !asked.keepEncoded) {
    // Nothing is merged into encoded weights.
    weights.push({
      value: { sampledAdapter: "apart", keepEncoded: true },
      cost: ENCODED_COST[kind],
    });
  }
  const all = halved.flatMap((size) =>
    weights.map(({ value, cost }) => ({
      cost: size.cost + cost,
      value: { ...asked, [sampling ? "slots" : "tokensPerBatch"]: size.value, ...value },
    }))
  );
  return cheapestFit(all, budget, estimate);
}
