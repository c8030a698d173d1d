/**
 * One optimizer step over some groups of responses.
 *
 * @module
 */

import type { StepMetrics } from "../../core/mod.ts";
import type { HostTensor } from "../../graph/mod.ts";
import { type OptimizerOptions, stepInputs } from "../programs/optimizer.ts";
import { packSequences, planSequences } from "../sequences.ts";
import type { Fit } from "./fit.ts";
import {
  batchSlopes,
  checkGroups,
  lossInputs,
  responsesTogether,
  type RunResponse,
} from "./loss_inputs.ts";
import { groupMetrics } from "./metrics.ts";
import type { PreparedGroup, PreparedResponse } from "./prepare.ts";

/** Options of {@linkcode takeStep}. */
export interface StepOptions {
  readonly optimizer: OptimizerOptions;
  readonly learningRate: number;
  /** Gradients are scaled down to this norm; 0 leaves them. */
  readonly maxGradNorm: number;
  /** Tokens of one run; see `planSequences`. */
  readonly tokensPerBatch: number;
}

/** What log-ratios of some responses are taken against; zeros, which no loss reads, where nothing is. */
function anchorLogProbs(fit: Fit, responses: readonly PreparedResponse[]): HostTensor {
  const lengths = responses.map(({ responseIds }) => responseIds.length);
  const values = new Float32Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  responses.forEach(({ anchorLogProbs }, index) => {
    if (fit.loss.against === undefined) return;
    if (!anchorLogProbs || anchorLogProbs.length !== lengths[index]) {
      throw new TypeError(
        `Cannot take a step as each of ${lengths[index]} response tokens must have its ` +
          `${fit.loss.against} log-probability: ${anchorLogProbs?.length ?? "none"}`,
      );
    }
    values.set(anchorLogProbs, at);
    at += anchorLogProbs.length;
  });
  return { shape: [values.length], data: values };
}

/** Runs one micro-batch, adding its gradients. @returns its loss and what it measured. */
async function accumulate(
  fit: Fit,
  run: readonly RunResponse[],
  groups: number,
  keep: boolean,
  signal: AbortSignal | undefined,
): Promise<{ loss: number; logProbs: Float32Array; logRatios: Float32Array }> {
  const responses = run.map(({ response }) => response);
  const lengths = Float32Array.from(responses, ({ responseIds }) => responseIds.length);
  const outputs = await fit.gradient.run({
    ...packSequences(responses),
    anchor_log_probs: anchorLogProbs(fit, responses),
    length: { shape: [lengths.length], data: lengths },
    ...lossInputs(fit.loss, run, groups),
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
  checkGroups(fit.loss, groups);
  const responses = groups.flatMap((group) => group.responses);
  const batch = fit.loss.per === "batch"
    ? await batchSlopes(fit, groups, options.tokensPerBatch, signal)
    : undefined;
  const logProbs = new Float64Array(responses.length);
  const logRatios = new Float64Array(responses.length);
  let loss = batch?.loss ?? 0;
  let keep = false;
  for (
    const plan of planSequences(responses, options.tokensPerBatch, responsesTogether(fit.loss))
  ) {
    signal?.throwIfAborted();
    const result = await accumulate(
      fit,
      plan.map((index) => ({ response: responses[index]!, slope: batch?.slopes[index] ?? 0 })),
      groups.length,
      keep,
      signal,
    );
    plan.forEach((index, at) => {
      logProbs[index] = result.logProbs[at]!;
      logRatios[index] = result.logRatios[at]!;
    });
    if (batch === undefined) loss += result.loss;
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
    ...(fit.loss.scale === undefined ? {} : { "loss/normalized": loss * fit.loss.scale }),
    learning_rate: options.learningRate,
    grad_norm: norm,
    ...groupMetrics(groups, fit.loss, { logProbs, logRatios }),
  };
}
