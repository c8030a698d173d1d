/**
 * Trainers: one fit of a policy to targets.
 *
 * @module
 */

import type { Journal } from "./journal.ts";
import type { Policy, Prompt, Response } from "./policy.ts";

/** A response with what the fit should do with it. */
export interface TrainingResponse {
  /** y. */
  readonly response: Response;
  /** Where log π_θ/π_t should go, in nats (for objectives that have a target). */
  readonly target: number;
  /** Share of this response in its group's loss. */
  readonly weight: number;
  /** Estimated P̂(y ≻ π_t | x), for metrics. */
  readonly winRate?: number;
}

/**
 * The responses to one prompt that train together. A pair is a group of two: the chosen response
 * first, then the rejected.
 */
export interface TrainingGroup {
  /** x. */
  readonly prompt: Prompt;
  /** Those that train; their losses add up to the group's. */
  readonly responses: readonly TrainingResponse[];
}

/**
 * Numbers of one optimizer step, under TRL's names: `step`, `epoch`, `loss`, `learning_rate`,
 * `grad_norm`, `rewards/chosen` …
 */
export type StepMetrics = Readonly<Record<string, number>>;

/** What to fit. */
export interface TrainingTask<P extends Policy> {
  /** π_t: where the fit starts, and what log-ratios are taken against. */
  readonly previousPolicy: P;
  /** π_0: the start of the whole run. */
  readonly referencePolicy: P;
  /** What to fit, a group for each prompt that trains. */
  readonly groups: readonly TrainingGroup[];
  /** t + 1, counting from 1. */
  readonly iteration: number;
}

/** Options of {@linkcode Trainer.train}. */
export interface TrainOptions {
  /** Keeps checkpoints of the fit; a trainer called again with it goes on from the last. */
  readonly journal: Journal;
  /** Ends the fit with an error, the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Fits a policy.
 *
 * Laws: the policies given are unchanged; the result is an immutable snapshot, so that π_0, π_t and
 * π_{t+1} can all be asked afterwards; interrupted and called again with the same journal it yields
 * the remaining steps and ends in the same policy.
 */
export interface Trainer<P extends Policy> {
  /** Covers every setting the fit depends on. */
  readonly id: string;
  /** Yields the metrics of each step, returns π_{t+1}, having written it to the journal. */
  train(task: TrainingTask<P>, options: TrainOptions): AsyncGenerator<StepMetrics, P>;
  /** π_{t+1} of a fit that ended, from its journal; undefined when it did not end. */
  restore(previousPolicy: P, journal: Journal): Promise<P | undefined>;
}
