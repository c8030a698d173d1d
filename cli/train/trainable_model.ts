/**
 * The model that `sppo train` trains.
 *
 * @module
 */

import { type DecoderConfig, loraTensors } from "../../models/architectures/mod.ts";
import type { LanguageModel } from "../../models/language_model.ts";
import { DEFAULT_SLOTS, type LanguageModelOptions } from "../../models/language_model_options.ts";
import { loadBackend, type LoadContext, loadModel } from "../load_model.ts";
import { type LoadedCheckpoint, tokenizerFiles } from "../load_tokenizer.ts";
import { type SettledSampling, settleSampling } from "./settle_sampling.ts";
import type { TrainValues } from "./settle_train.ts";

/** Files that belong beside trained weights. */
export type TextFiles = Readonly<Record<string, Uint8Array>>;

/** Threads of one computation. */
export function threadsOf(values: Pick<TrainValues, "threads">): number {
  return values.threads ?? navigator.hardwareConcurrency;
}

/** What is known of a run when its model is loaded. */
export interface RunOfModel {
  /** How the run that goes on samples. */
  readonly recorded: { readonly [K in keyof SettledSampling]: SettledSampling[K] | undefined };
  /** Decoding steps that are expected of each of its policies. */
  readonly stepsPerPolicy: number;
}

/** Loads the model; what is trained fits the options. */
export async function trainableModel(
  values: TrainValues,
  loaded: LoadedCheckpoint,
  { recorded, stepsPerPolicy }: RunOfModel,
  context: LoadContext,
): Promise<{ model: LanguageModel; beside: TextFiles }> {
  const { checkpoint } = loaded;
  const trainable = trainableOf(values, checkpoint.config);
  const beside = values.trainable === "all"
    ? await tokenizerFiles(loaded, "train all weights")
    : {};
  const backend = await loadBackend({ ...values, threads: threadsOf(values) }, context.resources);
  const { keepEncoded } = values;
  const sampling = await settleSampling({
    // A run that goes on samples as it began, whatever the machine would measure now.
    precision: chosen(values.precision, recorded.precision),
    sampledAdapter: chosen(values.sampledAdapter, recorded.sampledAdapter),
    rows: Math.min(DEFAULT_SLOTS, values.promptsPerBatch * values.samples),
    ...{ checkpoint, backend, trainable, keepEncoded, stepsPerPolicy },
  }, context);
  const model = await loadModel(checkpoint, backend, {
    ...{ ...loadingOptions(values), ...sampling, trainable },
    ...(values.template === undefined ? {} : { template: values.template }),
  }, context);
  return { model, beside };
}

/** What a run chose before, where it is to choose. */
function chosen<T>(asked: T | "auto", recorded: T | undefined): T | "auto" {
  return asked === "auto" ? recorded ?? asked : asked;
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
