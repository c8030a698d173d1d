/**
 * One optimizer step over some groups of responses.
 *
 * @module
 */

import type { StepMetrics } from "../../core/mod.ts";
import { type OptimizerOptions, stepInputs } from "../programs/optimizer.ts";
import { packSequences, planSequences } from "../sequences.ts";
import type { Fit } from "./fit.ts";
import { groupMetrics } from "./metrics.ts";
import type { PreparedGroup, PreparedResponse } from "./prepare.ts";

/** Options of {@linkcode takeStep}. */
export interface StepOptions {
  readonly optimizer: OptimizerOptions;
  readonly learningRate: number;
  /** Gradients are scaled down to this norm; 0 leaves them. */
  readonly maxGradNorm: number;
  /** β = 1/η, for the metrics. */
  readonly beta: number;
  /** Tokens of one run; see `planSequences`. */
  readonly tokensPerBatch: number;
}

/** log π_t of the tokens of some responses; zeros, which the loss does not read, where there are none. */
function previousLogProbs(fit: Fit, responses: readonly PreparedResponse[]): Float32Array {
  const lengths = responses.map(({ responseIds }) => responseIds.length);
  const values = new Float32Array(lengths.reduce((sum, length) => sum + length, 0));
  if (!fit.onLogRatios) return values;
  let at = 0;
  responses.forEach(({ previousLogProbs }, index) => {
    if (!previousLogProbs || previousLogProbs.length !== lengths[index]) {
      throw new TypeError(
        `Cannot take a step as each of ${lengths[index]} response tokens must have its previous ` +
          `log-probability: ${previousLogProbs?.length ?? "none"}`,
      );
    }
    values.set(previousLogProbs, at);
    at += previousLogProbs.length;
  });
  return values;
}

/** Runs one micro-batch, adding its gradients. @returns its loss and what it measured. */
async function accumulate(
  fit: Fit,
  responses: readonly PreparedResponse[],
  groups: number,
  keep: boolean,
  signal: AbortSignal | undefined,
): Promise<{ loss: number; logProbs: Float32Array; logRatios: Float32Array }> {
  const vector = (of: (response: PreparedResponse) => number) => ({
    shape: [responses.length],
    data: Float32Array.from(responses, of),
  });
  const previous = previousLogProbs(fit, responses);
  const outputs = await fit.gradient.run({
    ...packSequences(responses),
    previous_log_probs: { shape: [previous.length], data: previous },
    target: vector((response) => response.target),
    weight: vector((response) => response.weight / groups),
    length: vector((response) => response.responseIds.length),
    keep: { shape: [1], data: Float32Array.of(keep ? 1 : 0) },
  }, signal ? { signal } : {});
  return {
    loss: outputs.loss!.data[0]!,
    logProbs: (outputs.log_prob!.data as Float32Array).slice(),
    logRatios: (outputs.log_ratio!.data as Float32Array).slice(),
  };
}

/** Norm of the gradients. @throws {RangeError} When one is not finite, naming its tensor. */
async function gradientNorm(fit: Fit, step: number, loss: number): Promise<number> {
  const { squares } = await fit.norm.run({});
  const data = squares!.data as Float32Array;
  let sum = 0;
  data.forEach((square, index) => {
    if (!Number.isFinite(square)) {
      throw new RangeError(
        `Cannot take step ${step} as gradients must be finite: ` +
          `${
            fit.trainable.tensors[index]!.name
          } has the squared norm ${square}, the loss is ${loss} ` +
          "(the last checkpoint is kept; a lower learning rate may help)",
      );
    }
    sum += square;
  });
  return Math.sqrt(sum);
}

/**
 * Adds up the gradients of the groups, a micro-batch at a time, and steps the optimizer once. The loss
 * is the mean over groups of Σ weight · loss.
 *
 * @param step Counting from 1.
 * @returns Metrics under TRL's names.
 * @throws {RangeError} When the loss or a gradient is not finite; nothing was stepped then.
 */
export async function takeStep(
  fit: Fit,
  options: StepOptions,
  groups: readonly PreparedGroup[],
  step: number,
  signal?: AbortSignal,
): Promise<StepMetrics> {
  const responses = groups.flatMap((group) => group.responses);
  const logProbs = new Float64Array(responses.length);
  const logRatios = new Float64Array(responses.length);
  let loss = 0;
  let keep = false;
  for (const plan of planSequences(responses, options.tokensPerBatch)) {
    signal?.throwIfAborted();
    const result = await accumulate(
      fit,
      plan.map((index) => responses[index]!),
      groups.length,
      keep,
      signal,
    );
    plan.forEach((index, at) => {
      logProbs[index] = result.logProbs[at]!;
      logRatios[index] = result.logRatios[at]!;
    });
    loss += result.loss;
    keep = true;
  }
  const norm = await gradientNorm(fit, step, loss);
  if (!Number.isFinite(loss)) {
    throw new RangeError(
      `Cannot take step ${step} as the loss must be finite: ${loss} ` +
        "(the last checkpoint is kept; a lower learning rate may help)",
    );
  }
  const scale = options.maxGradNorm > 0 ? Math.min(1, options.maxGradNorm / (norm + 1e-6)) : 1;
  const scalars = stepInputs(options.optimizer, step, options.learningRate, scale);
  await fit.step.run(
    Object.fromEntries(
      Object.entries(scalars).map((
        [name, value],
      ) => [name, { shape: [1], data: Float32Array.of(value) }]),
    ),
  );
  return {
    step,
    loss,
    ...(fit.onLogRatios ? { "loss/normalized": loss * options.beta ** 2 } : {}),
    learning_rate: options.learningRate,
    grad_norm: norm,
    ...groupMetrics(
      groups,
      { logProbs, logRatios: fit.onLogRatios ? logRatios : undefined },
      options.beta,
    ),
  };
}
