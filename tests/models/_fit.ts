/** Fits of the tiny random Llama to the pairs of the stored numbers. */

import assert from "node:assert/strict";
import {
  discardingJournal,
  type Journal,
  type StepMetrics,
  type TrainingGroup,
} from "../../core/mod.ts";
import type { Backend } from "../../graph/mod.ts";
import {
  type LanguageModel,
  lmTrainer,
  type LocalPolicy,
  TRAINING_DEFAULTS,
  type TrainingOptions,
} from "../../models/mod.ts";
import { type StoredNumbers, storedNumbers } from "./_tiny_llama.ts";
import { LORA, tinyModel, type TinyModelOptions, trainingGroups } from "./_tiny_model.ts";

/** Three pairs. */
export const groups: readonly TrainingGroup[] = trainingGroups(
  await storedNumbers<StoredNumbers>("tiny_llama_lora.json"),
);

/** For metrics: rewards are this times log-ratios. */
export const BETA = 0.5;

/** One step an epoch, at a constant rate. */
export const OPTIONS: TrainingOptions = {
  ...TRAINING_DEFAULTS,
  learningRate: 5e-3,
  schedule: "constant",
  warmupRatio: 0,
  batchSize: 3,
  loss: { name: "sppo", beta: BETA },
};

/** A fit that was run to its end. */
export interface Fitted {
  readonly steps: readonly StepMetrics[];
  readonly policy: LocalPolicy;
}

/** What a fit is run on. */
export interface FitTask {
  readonly train?: readonly TrainingGroup[];
  readonly journal?: Journal;
  readonly iteration?: number;
}

/** Runs a fit to its end. */
export async function fit(
  policy: LocalPolicy,
  options: Partial<TrainingOptions> = {},
  { train = groups, journal = discardingJournal(), iteration = 1 }: FitTask = {},
): Promise<Fitted> {
  const trainer = lmTrainer(policy.model, { ...OPTIONS, ...options });
  const task = { previousPolicy: policy, referencePolicy: policy, groups: train, iteration };
  const running = trainer.train(task, { journal });
  const steps: StepMetrics[] = [];
  for (;;) {
    const next = await running.next();
    if (next.done) return { steps, policy: next.value };
    steps.push(next.value);
  }
}

/** The tiny model with a new adapter. */
export async function loraModel(
  backend: Backend,
  options: TinyModelOptions = {},
): Promise<{ model: LanguageModel; policy: LocalPolicy }> {
  const model = await tinyModel(backend, { trainable: LORA, ...options });
  return { model, policy: await model.policy() };
}

/** Asserts that numbers are equal to a tolerance. */
export function assertNear(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what = "",
): void {
  assert.equal(actual.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    assert.ok(difference <= tolerance, `${what} ${i}: ${actual[i]}, expected ${expected[i]}`);
  }
}
