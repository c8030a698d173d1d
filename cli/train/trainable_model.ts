/**
 * The model that `sppo train` trains.
 *
 * @module
 */

import { type DecoderConfig, loraTensors } from "../../models/architectures/mod.ts";
import type { Precision } from "../../models/generation/precision.ts";
import type { LanguageModel } from "../../models/language_model.ts";
import { DEFAULT_SLOTS, type LanguageModelOptions } from "../../models/language_model_options.ts";
import { loadBackend, type LoadContext, loadModel } from "../load_model.ts";
import { type LoadedCheckpoint, tokenizerFiles } from "../load_tokenizer.ts";
import { settlePrecision } from "./sampling_precision.ts";
import type { TrainValues } from "./settle_train.ts";

/** Files that belong beside trained weights. */
export type TextFiles = Readonly<Record<string, Uint8Array>>;

/** Threads of one computation. */
export function threadsOf(values: Pick<TrainValues, "threads">): number {
  return values.threads ?? navigator.hardwareConcurrency;
}

/** Loads the model; what is trained fits the options. */
export async function trainableModel(
  values: TrainValues,
  loaded: LoadedCheckpoint,
  recorded: Precision | undefined,
  context: LoadContext,
): Promise<{ model: LanguageModel; beside: TextFiles }> {
  const { checkpoint } = loaded;
  const trainable = trainableOf(values, checkpoint.config);
  const beside = values.trainable === "all"
    ? await tokenizerFiles(loaded, "train all weights")
    : {};
  const backend = await loadBackend({ ...values, threads: threadsOf(values) }, context.resources);
  // A run that goes on samples as it began, whatever the machine would measure now.
  const precision = values.precision === "auto" && recorded ? recorded : values.precision;
  const { keepEncoded } = values;
  const rows = Math.min(DEFAULT_SLOTS, values.promptsPerBatch * values.samples);
  const settled = { precision, checkpoint, backend, trainable, keepEncoded, rows };
  const model = await loadModel(checkpoint, backend, {
    ...loadingOptions(values),
    precision: await settlePrecision(settled, context),
    trainable,
    ...(values.template === undefined ? {} : { template: values.template }),
  }, context);
  return { model, beside };
}

/** How the options say the model is loaded, beside what is trained and how it is sampled. */
export function loadingOptions(
  { tokensPerBatch, logitsMemory, checkpointing, keepEncoded }: Pick<
    TrainValues,
    "tokensPerBatch" | "logitsMemory" | "checkpointing" | "keepEncoded"
  >,
): LanguageModelOptions {
  return {
    ...{ tokensPerBatch, checkpointing, keepEncoded },
    ...(logitsMemory === undefined ? {} : { logitsBytes: logitsMemory }),
  };
}

/** What the options say is trained. */
export function trainableOf(
  values:
    & Pick<TrainValues, "trainable" | "loraRank" | "loraTargets">
    & Partial<Pick<TrainValues, "loraAlpha" | "rslora">>,
  config: DecoderConfig,
): NonNullable<LanguageModelOptions["trainable"]> {
  if (values.trainable === "all") return { kind: "all" };
  const { loraRank: rank, loraAlpha: alpha = 2 * rank, loraTargets: targets, rslora } = values;
  const lora = { rank, alpha, targets, ...(rslora ? { rsLora: true } : {}) };
  loraTensors(config, lora); // refuses unknown targets before anything large is read
  return { kind: "lora", lora };
}
