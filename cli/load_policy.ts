/**
 * A policy named on the command line, for commands that do not train.
 *
 * @module
 */

import type { Prompt } from "../core/policy.ts";
import type { DecoderConfig } from "../models/architectures/mod.ts";
import type { LanguageModel } from "../models/language_model.ts";
import type { LanguageModelOptions } from "../models/language_model_options.ts";
import type { LocalPolicy } from "../models/local_policy.ts";
import { loadAdapter, type LoadedAdapter } from "../models/policy_files.ts";
import { fileError } from "./errors.ts";
import { openCheckpointFiles } from "./file_source.ts";
import {
  type BackendArguments,
  loadBackend,
  loadCheckpoint,
  type LoadContext,
  loadModel,
  type ModelArguments,
} from "./load_model.ts";
import { type PolicyWork, settleInference } from "./memory/inference_plan.ts";
import { type SamplingArguments, settleSampling } from "./train/settle_sampling.ts";

/** What names a policy, and how much it may take. */
export interface PolicyArguments extends ModelArguments, BackendArguments {
  readonly precision?: SamplingArguments["precision"] | undefined;
  readonly sampledAdapter?: SamplingArguments["sampledAdapter"] | undefined;
  readonly adapter?: string | undefined;
  readonly template?: "chat" | "none" | undefined;
  /** In bytes. */
  readonly memory?: number | undefined;
  readonly slots?: number | undefined;
  readonly tokensPerBatch?: number | undefined;
  readonly keepEncoded?: boolean | undefined;
}

/**
 * Loads a checkpoint, with an adapter where one is given, and refuses prompts that are too long and work
 * that does not keep to `--memory`.
 */
export async function loadPolicy(
  values: PolicyArguments,
  context: LoadContext,
  work: PolicyWork,
): Promise<LocalPolicy> {
  const { resources, progress } = context;
  const { checkpoint } = await loadCheckpoint(values, context);
  const adapter = values.adapter === undefined
    ? undefined
    : await openAdapter(values.adapter, checkpoint.config);
  const { slots, tokensPerBatch, keepEncoded, sampledAdapter, steps } = await settleInference(
    ...[checkpoint, values, work] as const,
    { lora: adapter?.lora, tell: progress.line },
  );
  const backend = await loadBackend(values, resources);
  const trainable: LanguageModelOptions["trainable"] = adapter
    ? { kind: "lora", lora: adapter.lora }
    : { kind: "none" };
  const { precision = "float32" } = values;
  const sampling = await settleSampling({
    ...{ precision, sampledAdapter, checkpoint, backend, trainable, keepEncoded },
    ...{ rows: slots, stepsPerPolicy: steps },
  }, context);
  const model = await loadModel(checkpoint, backend, {
    ...(values.template === undefined ? {} : { template: values.template }),
    ...{ trainable, slots, tokensPerBatch, keepEncoded, ...sampling },
  }, context);
  const room = work.kind === "sampling" ? work.maxTokens : 1;
  checkPromptLengths(model, work.prompts, room, model.config.maxPositions);
  const policy = adapter ? await model.policyFromTensors(adapter.tensors) : await model.policy();
  resources.defer(() => policy.dispose());
  return policy;
}

/** Reads a PEFT adapter for a model. */
export async function openAdapter(path: string, config: DecoderConfig): Promise<LoadedAdapter> {
  try {
    using open = await openCheckpointFiles(path);
    return await loadAdapter(open.files, config);
  } catch (error) {
    throw fileError(error, `read the adapter ${path}`);
  }
}

/**
 * Refuses prompts that leave no room for a response.
 *
 * @param room Tokens to be left after each prompt.
 * @param limit Tokens of prompt and response together.
 * @returns Tokens of the longest prompt.
 * @throws {RangeError} Naming the first such prompt, or one whose tokens the model does not have.
 */
export function checkPromptLengths(
  model: LanguageModel,
  prompts: readonly Prompt[],
  room: number,
  limit: number,
): number {
  let longest = 0;
  for (const prompt of prompts) {
    const ids = model.encodePrompt(prompt);
    const { length } = ids;
    longest = Math.max(longest, length);
    const foreign = ids.find((id) => id >= model.config.vocabSize);
    if (foreign !== undefined) {
      throw new RangeError(
        `Cannot use the prompt ${prompt.id} as its tokens must be the model's, below ${model.config.vocabSize}: ${foreign}; the tokenizer is another model's`,
      );
    }
    if (length + room > limit) {
      throw new RangeError(
        `Cannot use the prompt ${prompt.id} as it must leave room for ${room} of ${limit} tokens: it has ${length}`,
      );
    }
  }
  return longest;
}
