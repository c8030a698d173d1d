/**
 * `--memory`: smaller batches and checkpointing, so that a run keeps to so much memory; or a refusal.
 *
 * @module
 */

import { type BatchSettings, keepMemory } from "../../models/memory/keep_training.ts";
import { totalBytes } from "../../models/memory/parts.ts";
import type { SampledAdapter } from "../../models/generation/sampled_adapter.ts";
import type { MemorySettings, TrainingMemory } from "../../models/memory/training.ts";
import type { Checkpoint } from "../../models/checkpoints/open.ts";
import type { Prompt } from "../../core/policy.ts";
import { LOGITS_BYTES } from "../../models/programs/vocabulary_chunks.ts";
import { couldKeepEncoded } from "../memory/held_weights.ts";
import { budgetOf, checkMemoryBackend, keptLine, memoryRefusal } from "../memory/words.ts";
import { flagName } from "../options/spec.ts";
import type { PairRecord } from "../pairs.ts";
import { byteSize } from "../progress.ts";
import { mayMerge } from "./settle_sampling.ts";
import type { SettledTrain } from "./settle_train.ts";
import { trainLengths } from "./train_lengths.ts";
import { trainMemory } from "./train_memory.ts";
import { samplesToTrain } from "./train_source.ts";

/** The options that memory is kept by. */
export interface BatchValues {
  readonly tokensPerBatch: number;
  readonly logitsMemory?: number | undefined;
  readonly checkpointing: boolean;
  readonly promptsPerBatch: number;
  readonly samples: number;
  readonly trainable?: "lora" | "all" | undefined;
  readonly sampledAdapter: "auto" | SampledAdapter;
}

/**
 * Settings of the values; prompts count only where responses are sampled, and adapters as merged where they
 * may be.
 */
export function batchSettings(
  values: BatchValues,
  { sampling, merges }: { readonly sampling: boolean; readonly merges: boolean },
): BatchSettings {
  const { tokensPerBatch, logitsMemory, checkpointing, promptsPerBatch, trainable } = values;
  return {
    tokensPerBatch,
    logitsBytes: logitsMemory ?? LOGITS_BYTES[trainable === "all" ? "trained" : "frozen"],
    checkpointing,
    sampledAdapter: sampling && merges ? "merged" : "apart",
    promptsPerBatch: sampling ? promptsPerBatch : 0,
  };
}

/** Options of {@linkcode keepToMemory}. */
export interface KeepToMemoryOptions {
  /** The option, in bytes. */
  readonly memory: number;
  readonly estimate: (settings: MemorySettings) => TrainingMemory;
  /** Whether responses are sampled. */
  readonly sampling: boolean;
  /** Whether adapters are or may be merged to sample. */
  readonly merges: boolean;
  /** A run that goes on keeps the settings it began with. */
  readonly fixed: boolean;
  /** Whether weights could stay encoded, which would take less. */
  readonly couldKeepEncoded?: boolean;
}

/**
 * Values with which a command keeps to its memory, and a line that says so.
 *
 * @throws {RangeError} When even the smallest do not fit, naming what would.
 */
export function keepToMemory<V extends BatchValues>(
  values: V,
  { memory, estimate, sampling, merges, fixed, couldKeepEncoded = false }: KeepToMemoryOptions,
): { readonly values: V; readonly line: string } {
  const asked = batchSettings(values, { sampling, merges });
  const { samples } = values;
  const budget = budgetOf(memory);
  const kept = keepMemory(asked, {
    samples,
    estimate,
    budget: fixed ? Infinity : budget,
  });
  const { tokensPerBatch, logitsBytes, checkpointing, promptsPerBatch, sampledAdapter } =
    kept.settings;
  const chosen = {
    tokensPerBatch,
    checkpointing,
    sampledAdapter: sampledAdapter === asked.sampledAdapter
      ? values.sampledAdapter
      : sampledAdapter,
    promptsPerBatch: sampling ? promptsPerBatch : values.promptsPerBatch,
    logitsMemory: logitsBytes === asked.logitsBytes ? values.logitsMemory : logitsBytes,
  };
  const changed = (Object.keys(chosen) as (keyof typeof chosen)[])
    .filter((key) => chosen[key] !== values[key])
    .map((key) => {
      const value = key === "logitsMemory" ? byteSize(logitsBytes).replace(" ", "") : chosen[key];
      return value === true ? flagName(key) : `${flagName(key)} ${value}`;
    });
  if (totalBytes(kept.memory) > budget) {
    const what = fixed
      ? "the run, as it was begun,"
      : `the smallest batches (${changed.join(" ")})`;
    throw memoryRefusal(
      memory,
      kept.memory,
      what,
      couldKeepEncoded ? ["--keep-encoded, which takes less for the weights"] : [],
    );
  }
  return { values: { ...values, ...chosen }, line: keptLine(memory, kept.memory, changed) };
}

/** What a command trains on, and where it starts. */
export interface MemoryFacts {
  readonly prompts: readonly Prompt[];
  readonly heldOut: readonly Prompt[];
  readonly records: readonly PairRecord[];
  /** Bytes that the judge took. */
  readonly judgeBytes: number;
  /** Decoding steps that are expected of each policy. */
  readonly stepsPerPolicy: number;
  readonly fixed: boolean;
  readonly tell: (line: string) => void;
}

/**
 * A training command's options with which it keeps to `--memory`, told in a line.
 *
 * @throws {RangeError} When none do, or the memory of the backend is not known.
 */
export async function settleMemory(
  settled: SettledTrain,
  checkpoint: Checkpoint,
  { prompts, heldOut, records, judgeBytes, stepsPerPolicy, fixed, tell }: MemoryFacts,
): Promise<SettledTrain> {
  const { values, loss } = settled;
  const { memory } = values;
  if (memory === undefined) return settled;
  checkMemoryBackend(values.backend);
  const lengths = await trainLengths(checkpoint, values, {
    prompts: [...prompts, ...heldOut],
    records,
  });
  const estimate = trainMemory(checkpoint, values, {
    ...{ lengths, loss, precision: values.precision, otherBytes: judgeBytes },
    keepsFit: prompts.length * values.epochs > values.batch * values.checkpointEvery,
    mixes: settled.objective.goal === "regularized",
  });
  const kept = keepToMemory(values, {
    ...{ memory, estimate, fixed },
    sampling: samplesToTrain(settled) || heldOut.length > 0,
    merges: mayMerge({ ...values, lora: values.trainable === "lora", stepsPerPolicy }),
    couldKeepEncoded: couldKeepEncoded(checkpoint, values),
  });
  tell(kept.line);
  return { ...settled, values: kept.values };
}
