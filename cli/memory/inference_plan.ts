/**
 * `--memory` of commands that sample or score: encoded weights and fewer rows or tokens at a time, so
 * that they keep to so much memory; or a refusal.
 *
 * @module
 */

import { isLowered } from "../../backends/onnx/lowering/mod.ts";
import type { Prompt, Response } from "../../core/policy.ts";
import type { LoraShape } from "../../models/architectures/mod.ts";
import type { Checkpoint } from "../../models/checkpoints/open.ts";
import type { SampledAdapter } from "../../models/generation/sampled_adapter.ts";
import { DEFAULT_SLOTS, DEFAULT_TOKENS_PER_BATCH } from "../../models/language_model_options.ts";
import {
  inferenceEstimator,
  type InferenceSettings,
  keepInferenceMemory,
} from "../../models/memory/inference.ts";
import type { Lengths } from "../../models/memory/parts.ts";
import { flagName } from "../options/spec.ts";
import type { PolicyArguments } from "../load_policy.ts";
import { expectedSteps } from "../train/decoding_steps.ts";
import { mayMerge } from "../train/settle_sampling.ts";
import { couldKeepEncoded, heldWeights } from "./held_weights.ts";
import { budgetOf, checkMemoryBackend, keptLine, memoryRefusal } from "./words.ts";

/** What is sampled. */
export interface SamplingWork {
  readonly kind: "sampling";
  readonly prompts: readonly Prompt[];
  /** K. */
  readonly samples: number;
  /** Longest response. */
  readonly maxTokens: number;
}

/** What is scored: a response of each prompt. */
export interface ScoringWork {
  readonly kind: "scoring";
  readonly prompts: readonly Prompt[];
  readonly responses: readonly Response[];
}

/** What a policy is loaded for. */
export type PolicyWork = SamplingWork | ScoringWork;

/** What memory depends on beside the work. */
export interface InferenceFacts {
  readonly lora: LoraShape | undefined;
  readonly tell: (line: string) => void;
}

/** Settings of a command, with the adapter as the option has it. */
export interface SettledInference extends Omit<InferenceSettings, "sampledAdapter"> {
  readonly sampledAdapter: "auto" | SampledAdapter;
  /** Decoding steps that are expected. */
  readonly steps: number;
}

/** Decoding steps of some work with so many rows. */
function stepsOf(work: PolicyWork, slots: number): number {
  if (work.kind === "scoring") return 0;
  const { prompts: { length: prompts }, samples, maxTokens } = work;
  return expectedSteps([{ prompts, promptsPerBatch: prompts, samples, maxTokens, slots }]);
}

/** Settings as they were asked for. */
function askedSettings(
  { slots = DEFAULT_SLOTS, tokensPerBatch = DEFAULT_TOKENS_PER_BATCH, keepEncoded = false }:
    PolicyArguments,
  work: PolicyWork,
  merges: boolean,
): InferenceSettings {
  const sampledAdapter = merges ? "merged" : "apart";
  const given = { slots, tokensPerBatch, keepEncoded, sampledAdapter } as const;
  if (work.kind === "scoring") return given;
  // Rows that no response would fill take nothing.
  const rows = Math.min(slots, work.prompts.length * work.samples);
  return { ...given, slots: Math.max(rows, work.samples) };
}

/**
 * Settings with which a command keeps to `--memory`, told in a line; those asked for where it is not
 * given.
 *
 * @throws {RangeError} When none do, or the memory of the backend is not known.
 */
export async function settleInference(
  checkpoint: Checkpoint,
  values: PolicyArguments,
  work: PolicyWork,
  { lora, tell }: InferenceFacts,
): Promise<SettledInference> {
  const { memory, precision = "float32", sampledAdapter = "apart", keepEncoded = false } = values;
  const { slots: most } = askedSettings(values, work, false);
  const merges = mayMerge({
    ...{ precision, sampledAdapter, keepEncoded, stepsPerPolicy: stepsOf(work, most) },
    lora: lora !== undefined,
  });
  const asked = askedSettings(values, work, merges);
  const settled = (settings: InferenceSettings): SettledInference => ({
    ...settings,
    sampledAdapter: settings.sampledAdapter === asked.sampledAdapter ? sampledAdapter : "apart",
    steps: stepsOf(work, settings.slots),
  });
  if (memory === undefined) return settled(asked);
  checkMemoryBackend(values.backend);
  const { kind } = work;
  const samples = kind === "sampling" ? work.samples : 1;
  const estimate = inferenceEstimator(checkpoint.config, {
    ...{ kind, samples, isLowered },
    ...(lora ? { lora } : {}),
    storedBytes: [...checkpoint.tensors.values()]
      .reduce((sum, { byteLength }) => sum + byteLength, 0),
    lengths: await workLengths(checkpoint, values, work),
    weightBytes: (keepEncoded) =>
      heldWeights(checkpoint, { trainable: lora ? "lora" : "none", keepEncoded, precision }),
  });
  const kept = keepInferenceMemory(asked, {
    ...{ kind, samples, estimate },
    budget: budgetOf(memory),
    couldKeepEncoded: couldKeepEncoded(checkpoint, asked),
  });
  const changed = (["keepEncoded", "sampledAdapter", "slots", "tokensPerBatch"] as const)
    .filter((key) => kept.settings[key] !== asked[key])
    .map((key) => key === "keepEncoded" ? flagName(key) : `${flagName(key)} ${kept.settings[key]}`);
  if (!kept.fits) {
    const what = changed.length === 0
      ? "the work"
      : `the work in the smallest pieces (${changed.join(" ")})`;
    throw memoryRefusal(memory, kept.memory, what, samples > 1 ? ["fewer --samples"] : []);
  }
  tell(keptLine(memory, kept.memory, changed));
  return settled(kept.settings);
}

/**
 * The lengths that a run may be made of: the longest, and the shortest, of which more fit side by side.
 */
async function workLengths(
  checkpoint: Pick<Checkpoint, "text">,
  { template: asked }: PolicyArguments,
  work: PolicyWork,
): Promise<Lengths[]> {
  const text = await checkpoint.text();
  const template = asked ?? (text.template === undefined ? "none" : "chat");
  const prompts = extremes(
    work.prompts.map(({ content }) => text.encodePrompt(content, template).length),
  );
  if (work.kind === "sampling") {
    return prompts.map((promptTokens) => ({ promptTokens, responseTokens: work.maxTokens }));
  }
  const responses = extremes(
    work.responses.map(({ tokenIds, finishReason, text: said }) =>
      (tokenIds ?? text.encodeResponse(said, finishReason === "length" ? "none" : template)).length
    ),
  );
  return prompts.flatMap((promptTokens) =>
    responses.flatMap((responseTokens) =>
      extremes(promptCounts(work.prompts)).map((responses) => ({
        promptTokens,
        responseTokens: Math.max(1, responseTokens),
        responses,
      }))
    )
  );
}

/** How often each prompt is there. */
function promptCounts(prompts: readonly Prompt[]): number[] {
  const counts = new Map<string, number>();
  for (const { id } of prompts) counts.set(id, (counts.get(id) ?? 0) + 1);
  return [...counts.values()];
}

/** The smallest and the largest of some numbers. */
function extremes(values: readonly number[]): number[] {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  return least === most ? [least] : [least, most];
}
