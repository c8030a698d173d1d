/**
 * Learning-rate schedules with warm-up, as transformers' `get_scheduler` defines them.
 *
 * @module
 */

/** Shape of the schedule after warm-up. */
export type ScheduleName = "constant" | "linear" | "cosine";

/** Options of {@linkcode learningRateAt}. */
export interface ScheduleOptions {
  /** Shape after warm-up. */
  readonly schedule: ScheduleName;
  /** Peak learning rate. */
  readonly learningRate: number;
  /** Steps the schedule is laid out for; may be more than are taken. */
  readonly totalSteps: number;
  /** Share of `totalSteps` that warms up linearly from 0; rounded up to whole steps. */
  readonly warmupRatio: number;
}

/**
 * Learning rate of a step, counting from 0, as transformers has it. Its first step of a warm-up is
 * taken at a rate of 0; {@linkcode stepLearningRate} is what a fit uses.
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
  options: ScheduleOptions,
): number {
  const { schedule, learningRate, totalSteps } = options;
  const warmup = warmupSteps(options);
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

/**
 * Learning rate that a fit takes a step at, counting from 1.
 *
 * Step s of w warm-up steps is taken at s / w of the peak, and later ones where transformers has
 * them. There the first step is taken at rate 0 and moves nothing, which in a fit of one step (w = 1)
 * would be all of it; here the peak comes twice instead.
 *
 * @example
 * ```ts
 * import { stepLearningRate } from "./schedule.ts";
 * import assert from "node:assert/strict";
 * const options = { schedule: "linear", learningRate: 1, totalSteps: 4, warmupRatio: 0.5 } as const;
 * const rates = [1, 2, 3, 4].map((step) => stepLearningRate(step, options));
 * assert.deepEqual(rates, [0.5, 1, 1, 0.5]);
 * assert.equal(stepLearningRate(1, { ...options, totalSteps: 1 }), 1);
 * ```
 */
export function stepLearningRate(step: number, options: ScheduleOptions): number {
  return learningRateAt(step <= warmupSteps(options) ? step : step - 1, options);
}

function warmupSteps({ warmupRatio, totalSteps }: ScheduleOptions): number {
  return Math.ceil(warmupRatio * totalSteps);
}
