/**
 * Settings by which training keeps to a budget of memory.
 *
 * @module
 */

import { DEFAULT_SLOTS } from "../language_model_options.ts";
import { adapters, cheapestFit, halvings, type Kept } from "./keep.ts";
import type { MemorySettings, TrainingMemory } from "./training.ts";

/** What may be made smaller. */
export interface BatchSettings extends Omit<MemorySettings, "rows"> {
  /** Prompts answered together; 0 where nothing is sampled. */
  readonly promptsPerBatch: number;
}

/** Settings and what they take. */
export type KeptMemory = Kept<BatchSettings, TrainingMemory>;

/** Options of {@linkcode keepMemory}. */
export interface KeepMemoryOptions {
  /** In bytes. */
  readonly budget: number;
  /** K. */
  readonly samples: number;
  readonly estimate: (settings: MemorySettings) => TrainingMemory;
}

/** Fewest tokens of a batch that are tried. */
const FEWEST_TOKENS = 64;
/** Below this many tokens products are too small for the processor, and each halving costs more. */
const FEW_TOKENS = 256;

/** Smaller parts of the vocabulary give back less than their programs take. */
const LEAST_LOGITS = 2 ** 25;

/**
 * The settings nearest to those asked for that fit a budget; where none does, the smallest.
 *
 * Tried are less memory for logits, sampling with the adapter apart, halvings of the batches' tokens and
 * prompts, and checkpointing, in the order of what they cost in time: more parts of the vocabulary cost next
 * to nothing, an adapter apart a tenth of the sampling, checkpointing a third.
 */
export function keepMemory(
  asked: BatchSettings,
  { budget, samples, estimate }: KeepMemoryOptions,
): KeptMemory {
  const logits = [1, 4, 16]
    .map((by, cost) => ({ value: Math.ceil(asked.logitsBytes / by), cost }))
    .filter(({ value, cost }) => cost === 0 || value >= LEAST_LOGITS);
  const least = Math.min(asked.tokensPerBatch, FEWEST_TOKENS);
  const tokens = halvings(asked.tokensPerBatch, least, (value) => value < FEW_TOKENS ? 8 : 2);
  const prompts = halvings(asked.promptsPerBatch, Math.min(asked.promptsPerBatch, 1), () => 3);
  const checkpointing = asked.checkpointing
    ? [{ value: true, cost: 0 }]
    : [{ value: false, cost: 0 }, { value: true, cost: 10 }];
  const all = logits.flatMap((l) =>
    adapters(asked.sampledAdapter).flatMap((a) =>
      tokens.flatMap((t) =>
        prompts.flatMap((p) =>
          checkpointing.map((c) => ({
            cost: l.cost + a.cost + t.cost + p.cost + c.cost,
            value: {
              logitsBytes: l.value,
              sampledAdapter: a.value,
              tokensPerBatch: t.value,
              promptsPerBatch: p.value,
              checkpointing: c.value,
            },
          }))
        )
      )
    )
  );
  return cheapestFit(all, budget, (settings) => {
    const rows = Math.min(DEFAULT_SLOTS, settings.promptsPerBatch * samples);
    return estimate({ ...settings, rows });
  });
}
