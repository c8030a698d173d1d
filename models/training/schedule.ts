/**
 * Learning-rate schedules with warm-up, as transformers' `get_scheduler` defines them.
 *
 * @module
 */

/** Shape of the schedule after warm-up. */
export type ScheduleName = "constant" | "linear" | "cosine";

/** Options of {@linkcode learningRateAt}. */
export interface ScheduleOptions {
  readonly schedule: ScheduleName;
  /** Peak learning rate. */
  readonly learningRate: number;
  /** Steps the schedule is laid out for; may be more than are taken. */
  readonly totalSteps: number;
  /** Share of `totalSteps` that warms up linearly from 0; rounded up to whole steps. */
  readonly warmupRatio: number;
}

/**
 * Learning rate of a step, counting from 0.
 *
 * With w warm-up steps of N: step / w while step < w, then 1 (`constant`), (N − step) / (N − w)
 * (`linear`) or (1 + cos(π (step − w) / (N − w))) / 2 (`cosine`), times the peak.
 *
 * @example
 * ```ts
 * import { learningRateAt } from "./schedule.ts";
 * import assert from "node:assert/strict";
 * const options = { schedule: "linear", learningRate: 1, totalSteps: 10, warmupRatio: 0.2 } as const;
 * assert.equal(learningRateAt(1, options), 0.5);
 * assert.equal(learningRateAt(2, options), 1);
 * assert.equal(learningRateAt(6, options), 0.5);
 * ```
 */
export function learningRateAt(
  step: number,
  { schedule, learningRate, totalSteps, warmupRatio }: ScheduleOptions,
): number {
  const warmup = Math.ceil(warmupRatio * totalSteps);
  if (step < warmup) return learningRate * step / warmup;
  const progress = Math.min(1, (step - warmup) / Math.max(1, totalSteps - warmup));
  switch (schedule) {
    case "constant":
      return learningRate;
    case "linear":
      return learningRate * (1 - progress);
    case "cosine":
      return learningRate * 0.5 * (1 + Math.cos(Math.PI * progress));
    default:
      return schedule satisfies never;
  }
}
