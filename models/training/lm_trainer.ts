/**
 * The trainer of language models: fits an adapter, or all weights, to groups of responses. It knows
 * the loss only as an entry of core's table.
 *
 * @module
 */

import type {
  Journal,
  LossSpec,
  StepMetrics,
  Trainer,
  TrainingTask,
  TrainOptions,
} from "../../core/mod.ts";
import { lossOf, randomStream, shuffle } from "../../core/mod.ts";
import type { Store } from "../../graph/mod.ts";
import type { LanguageModel } from "../language_model.ts";
import type { LocalPolicy } from "../local_policy.ts";
import { writeSafetensors } from "../checkpoints/safetensors.ts";
import { type OptimizerOptions, OPTIMIZERS } from "../programs/optimizer.ts";
import { fedTokens } from "../sequences.ts";
import {
  type Checkpoint,
  decodeCheckpoint,
  decodeTensors,
  encodeCheckpoint,
  readTrained,
} from "./fit_checkpoint.ts";
import { checkGroups } from "./loss_inputs.ts";
import { type PreparedGroup, prepareGroups } from "./prepare.ts";
import { type ScheduleName, stepLearningRate } from "./schedule.ts";
import { takeStep } from "./step.ts";

/** Options of {@linkcode lmTrainer}. */
export interface TrainingOptions {
  /** Objective, by its name in core's table, with what it is given. */
  readonly loss: LossSpec;
  /** Optimizer with its constants. */
  readonly optimizer: OptimizerOptions;
  /** Peak learning rate. */
  readonly learningRate: number;
  /** Shape of the learning rate after warm-up. */
  readonly schedule: ScheduleName;
  /** Share of the schedule that warms up; rounded up to whole steps. */
  readonly warmupRatio: number;
  /** Steps the schedule is laid out for; all steps of the fit when not given. */
  readonly scheduleSteps?: number;
  /** Passes over the groups. */
  readonly epochs: number;
  /** Most optimizer steps; all that the epochs hold when not given. */
  readonly maxSteps?: number;
  /** Groups per optimizer step (prompts, or pairs). */
  readonly batchSize: number;
  /** Gradients are scaled down to this norm; 0 leaves them. */
  readonly maxGradNorm: number;
  /** Longest prompt and response in tokens. */
  readonly maxLength: number;
  /** What becomes of a longer one: left out and counted, or cut. */
  readonly tooLong: "skip" | "cut";
  /** Steps between checkpoints of the fit. */
  readonly checkpointEvery: number;
  /** Seeds the order of groups. */
  readonly seed: number;
}

/**
 * Defaults for fitting an adapter of a small model; the paper's, for full weights of a large one, are
 * RMSProp at 5e-7 with batches of 64.
 */
export const TRAINING_DEFAULTS: TrainingOptions = {
  loss: { name: "sppo", beta: 1e-3 },
  optimizer: OPTIMIZERS.adamw,
  learningRate: 2e-4,
  schedule: "linear",
  warmupRatio: 0.1,
  epochs: 1,
  batchSize: 8,
  maxGradNorm: 1,
  maxLength: 1024,
  tooLong: "skip",
  checkpointEvery: 25,
  seed: 0,
};

const CHECKPOINT = "fit.safetensors";
const POLICY = "policy.safetensors";

/** The order in which groups are visited in an epoch. */
function epochOrder(groups: number, seed: number, iteration: number, epoch: number): number[] {
  return shuffle(
    Array.from({ length: groups }, (_, index) => index),
    randomStream(seed, iteration, epoch),
  );
}

/** Log-probabilities under the policy that log-ratios are taken against, by the program that trains. */
async function scoreAnchor(
  policy: LocalPolicy,
  groups: PreparedGroup[],
  signal?: AbortSignal,
): Promise<void> {
  const responses = groups.flatMap((group) => group.responses);
  const scored = await policy.scoreSequences(responses, signal);
  responses.forEach((response, index) => {
    response.anchorLogProbs = scored[index]!;
  });
}

/** Keeps what was trained as π_{t+1}, which the tensors belong to from then on. */
async function keepPolicy(
  model: LanguageModel,
  trained: Store,
  steps: number,
  journal: Journal,
): Promise<LocalPolicy> {
  const tensors = await readTrained(trained, steps);
  const policy = await model.policyOf(trained, tensors);
  await journal.write(POLICY, writeSafetensors(tensors));
  await journal.remove(CHECKPOINT);
  return policy;
}

async function savedCheckpoint(journal: Journal): Promise<Checkpoint | undefined> {
  const bytes = await journal.read(CHECKPOINT);
  return bytes && await decodeCheckpoint(bytes);
}

/**
 * A trainer of language models.
 *
 * Each step takes `batchSize` groups, sorts their responses by length into micro-batches under the
 * model's token budget, adds up their gradients and steps the optimizer once. The loss is the mean
 * over groups of Σ weight · loss. Where no group fits the length there is nothing to train: one record
 * without a step says how many responses were left out, and π_{t+1} equals π_t.
 */
export function lmTrainer(model: LanguageModel, options: TrainingOptions): Trainer<LocalPolicy> {
  const loss = lossOf(options.loss);
  return {
    id: JSON.stringify({
      ...options,
      tokensPerBatch: model.tokensPerBatch,
      vocabularyChunks: model.vocabularyChunks,
    }),

    async *train(
      task: TrainingTask<LocalPolicy>,
      { journal, signal }: TrainOptions,
    ): AsyncGenerator<StepMetrics, LocalPolicy> {
      model.trainableTensors(); // refused here when there are none
      const { groups, skipped } = prepareGroups(model, task.groups, options);
      if (groups.length === 0) {
        yield { iteration: task.iteration, total_steps: 0, skipped_responses: skipped };
        const trained = await task.previousPolicy.trained!.snapshot();
        return await keepPolicy(model, trained, 0, journal);
      }
      checkGroups(loss, groups);
      if (loss.against !== undefined) {
        const anchors = { previous: task.previousPolicy, reference: task.referencePolicy };
        await scoreAnchor(anchors[loss.against], groups, signal);
      }
      const stepsPerEpoch = Math.ceil(groups.length / options.batchSize);
      const totalSteps = Math.min(options.maxSteps ?? Infinity, stepsPerEpoch * options.epochs);

      const fit = await model.fit(task.previousPolicy, options.loss, options.optimizer);
      let [ended, freed] = [false, false];
      const free = async () => {
        if (freed) return;
        freed = true;
        await fit.dispose();
      };
      try {
        const saved = await savedCheckpoint(journal);
        let done = 0;
        let tokens = 0;
        if (saved) {
          for (const [name, { data }] of saved.trained) await fit.trained.write(name, data);
          for (const [name, { data }] of saved.moments) await fit.moments.write(name, data);
          done = saved.step;
          tokens = saved.tokens;
        }
        let order: number[] = [];
        let orderOf = -1;
        for (let step = done + 1; step <= totalSteps; step++) {
          const epoch = Math.floor((step - 1) / stepsPerEpoch);
          if (epoch !== orderOf) {
            order = epochOrder(groups.length, options.seed, task.iteration, epoch);
            orderOf = epoch;
          }
          const first = ((step - 1) % stepsPerEpoch) * options.batchSize;
          const batch = order.slice(first, first + options.batchSize).map((index) =>
            groups[index]!
          );
          const started = performance.now();
          const learningRate = stepLearningRate(step, {
            ...options,
            totalSteps: options.scheduleSteps ?? totalSteps,
          });
          const { tokensPerBatch } = model;
          const metrics = await takeStep(
            fit,
            { ...options, learningRate, tokensPerBatch },
            batch,
            step,
            signal,
          );
          const seconds = (performance.now() - started) / 1000;
          const stepTokens = batch.flatMap((group) => group.responses)
            .reduce((sum, response) => sum + fedTokens(response), 0);
          tokens += stepTokens;
          yield {
            ...metrics,
            iteration: task.iteration,
            epoch: step / stepsPerEpoch,
            total_steps: totalSteps,
            num_tokens: tokens,
            ...(skipped > 0 ? { skipped_responses: skipped } : {}),
            seconds,
            tokens_per_second: stepTokens / seconds,
          };
          // After the yield, so that no step is behind a checkpoint before its metrics were seen.
          if (step % options.checkpointEvery === 0 && step < totalSteps) {
            await journal.write(CHECKPOINT, await encodeCheckpoint({ step, tokens }, fit));
          }
        }
        await free(); // gradients and moments make room for the copies that are kept
        const policy = await keepPolicy(model, fit.trained, totalSteps, journal);
        ended = true;
        return policy;
      } finally {
        // Also when whoever asks for the steps stops early.
        if (!ended) await fit.trained.dispose();
        await free();
      }
    },

    async restore(_previous, journal) {
      const bytes = await journal.read(POLICY);
      // A fit that was killed between keeping the policy and removing its checkpoint left that behind.
      if (bytes) await journal.remove(CHECKPOINT);
      return bytes && await model.policyFromTensors(await decodeTensors(bytes));
    },
  };
}
