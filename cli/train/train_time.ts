/**
 * About what time a training command takes on this machine, from a short measurement of its parts.
 *
 * @module
 */

import type { Checkpoint } from "../../models/checkpoints/open.ts";
import { OPTIMIZERS } from "../../models/programs/optimizer.ts";
import {
  type MeasuredRates,
  measureRates,
  type RunRates,
  type RunShape,
} from "../../models/training/run_rates.ts";
import { loadBackend, type LoadContext } from "../load_model.ts";
import { decodingSteps, expectedSteps } from "./decoding_steps.ts";
import type { InfoValues } from "./settle_info.ts";
import { settleSampling } from "./settle_sampling.ts";
import { loadingOptions, trainableOf } from "./trainable_model.ts";

/** The options that the number of parts depends on. */
export type TimeValues = Pick<
  InfoValues,
  | "promptTokens"
  | "maxTokens"
  | "promptCount"
  | "promptsPerBatch"
  | "samples"
  | "iterations"
  | "promptsPerIteration"
  | "epochs"
  | "batch"
  | "tokensPerBatch"
>;

/** How often a run does what. */
export interface RunCounts {
  /** Prompts answered. */
  readonly prompts: number;
  /** Decoding steps, by the prompts whose samples run side by side. */
  readonly steps: ReadonlyMap<number, number>;
  /** Pairs scored. */
  readonly scored: number;
  /** Pairs whose gradients are computed. */
  readonly fitted: number;
  /** Steps of the optimizer. */
  readonly optimizerSteps: number;
}

/** Seconds of a run. */
export interface TrainTime {
  readonly starting: number;
  readonly sampling: number;
  readonly scoring: number;
  readonly fitting: number;
}

/** Pairs in a micro-batch. */
function pairsTogether({ promptTokens, maxTokens, tokensPerBatch, batch }: TimeValues): number {
  const fitting = Math.floor(tokensPerBatch / (promptTokens + 2 * maxTokens));
  return Math.max(1, Math.min(batch, fitting));
}

/**
 * Counts what a run of self-play does: every response has its full length, and each prompt gives a pair
 * that is scored once and trained on.
 */
export function runCounts(values: TimeValues): RunCounts {
  const { promptCount, promptsPerBatch, iterations, epochs, batch, maxTokens } = values;
  const each = values.promptsPerIteration === "split"
    ? Math.ceil(promptCount / iterations)
    : promptCount;
  const { samples } = values;
  const once = decodingSteps({ prompts: each, promptsPerBatch, samples, maxTokens });
  const steps = new Map([...once].map(([prompts, count]) => [prompts, iterations * count]));
  return {
    prompts: iterations * each,
    steps,
    scored: iterations * each,
    fitted: iterations * epochs * each,
    optimizerSteps: iterations * epochs * Math.ceil(each / batch),
  };
}

/**
 * Seconds of a run: measured rates times counts. A decoding step takes longer by as much for each further
 * prompt.
 *
 * @param most Prompts side by side for which `allRows` was measured.
 */
export function timeOf(counts: RunCounts, rates: RunRates, most: number): TrainTime {
  const { fewRows, allRows } = rates;
  const stepOf = (prompts: number) =>
    most === 1 ? fewRows : fewRows + (allRows - fewRows) * (prompts - 1) / (most - 1);
  let sampling = counts.prompts * rates.prefill;
  for (const [prompts, steps] of counts.steps) sampling += steps * stepOf(prompts);
  return {
    starting: rates.loading + rates.compiling,
    sampling,
    scoring: counts.scored * rates.scoring,
    fitting: counts.fitted * rates.gradient + counts.optimizerSteps * rates.optimizer,
  };
}

/** An estimate with what it comes from. */
export interface EstimatedTime {
  readonly time: TrainTime;
  readonly counts: RunCounts;
  readonly measured: MeasuredRates;
}

/** Measures this machine and estimates. */
export async function trainTime(
  checkpoint: Checkpoint,
  values: InfoValues,
  context: LoadContext,
): Promise<EstimatedTime> {
  const counts = runCounts(values);
  const most = Math.max(...counts.steps.keys());
  const backend = await loadBackend(values, context.resources);
  const trainable = trainableOf(values, checkpoint.config);
  const { keepEncoded, samples, promptTokens, maxTokens, optimizer } = values;
  const { promptsPerBatch, precision, sampledAdapter } = values;
  const prompts = counts.prompts / values.iterations;
  const sampling = await settleSampling({
    ...{ precision, sampledAdapter, checkpoint, backend, trainable, keepEncoded },
    rows: most * samples,
    stepsPerPolicy: expectedSteps([{ prompts, promptsPerBatch, samples, maxTokens }]),
  }, context);
  const shape: RunShape = {
    ...{ promptTokens, maxTokens, samples, prompts: most, pairs: pairsTogether(values) },
    optimizer: OPTIMIZERS[optimizer],
    model: { ...loadingOptions(values), trainable, ...sampling },
  };
  const measured = await measureRates(checkpoint, backend, shape, context.signal);
  return { time: timeOf(counts, measured.rates, most), counts, measured };
}

/** The estimate in words. */
export function describeTime(
  { time, counts, measured }: EstimatedTime,
  { layers }: { readonly layers: number },
): readonly (readonly [string, string])[] {
  const { starting, sampling, scoring, fitting } = time;
  const steps = [...counts.steps.values()].reduce((sum, count) => sum + count, 0);
  return [
    ["training lasts", `~ ${duration(starting + sampling + scoring + fitting)}`],
    ["  starting", `~ ${duration(starting)}`],
    ["  sampling", `~ ${duration(sampling)}, ${counts.prompts} prompts, ${steps} decoding steps`],
    ["  scoring", `~ ${duration(scoring)}, ${counts.scored} pairs`],
    ["  fitting", `~ ${duration(fitting)}, ${counts.optimizerSteps} steps`],
    [
      "  measured on",
      measured.blocks.length === 1
        ? "the whole model, for a moment"
        : `the first ${measured.blocks.join(" and the first ")} of ${layers} blocks, for a moment`,
    ],
  ];
}

function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${seconds.toFixed(0)} s`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(0)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
