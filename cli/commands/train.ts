/**
 * `sppo train`: self-play on a checkpoint.
 *
 * @module
 */

import { selfPlay, type SelfPlayOptions } from "../../core/self_play.ts";
import { judgeGrammarHelp } from "../../judges/mod.ts";
import { type DecoderConfig, loraTensors } from "../../models/architectures/mod.ts";
import type { Precision } from "../../models/generation/precision.ts";
import type { LanguageModel, LanguageModelOptions } from "../../models/language_model.ts";
import type { LocalPolicy } from "../../models/local_policy.ts";
import { OPTIMIZERS } from "../../models/programs/optimizer.ts";
import { lmTrainer } from "../../models/training/lm_trainer.ts";
import { divide } from "../held_out.ts";
import { checkEstimator, loadJudge } from "../load_judge.ts";
import { loadBackend, loadCheckpoint, loadModel } from "../load_model.ts";
import { checkPromptLengths } from "../load_policy.ts";
import { tokenizerFiles } from "../load_tokenizer.ts";
import { parseConfig, resolveValues, toConfig } from "../options/parse.ts";
import { flagName, type SomeValues, type Values } from "../options/spec.ts";
import { presets, trainOptions } from "../options/tables.ts";
import { byteSize, peakMemory, type Progress } from "../progress.ts";
import { closingTable, display, meanLosses } from "../run_display.ts";
import { promptsDigest, readPrompts } from "../prompts.ts";
import { settlePrecision } from "../sampling_precision.ts";
import {
  configDifferences,
  factDifferences,
  openRunFolder,
  refuseDifferences,
  type RunFacts,
  type RunFolder,
} from "../run_folder.ts";
import { runRecorder } from "../run_records.ts";
import { VERSION } from "../version.ts";
import type { Command, CommandContext } from "./command.ts";

type Options = typeof trainOptions;

/** Options that always have a value, from a preset or another option where not given. */
type Preset =
  | "eta"
  | "trainable"
  | "optimizer"
  | "learningRate"
  | "epochs"
  | "batch"
  | "selection";
type TrainValues = Values<Options> & { readonly [K in Preset]: NonNullable<Values<Options>[K]> };

/** The command. */
export const trainCommand: Command<Options> = {
  name: "train",
  summary: "align a checkpoint by self-play",
  description:
    `Each iteration answers prompts --samples times, has the judge compare the answers of a prompt
with each other, and fits the policy to the win rates; the held-out prompts say how it went. All of it is
kept in --out; the same command on a folder that was begun continues, and --out alone is enough for that.`,
  epilogue: () => `${presetsHelp()}\n\n${judgeGrammarHelp}`,
  options: trainOptions,
  async prepare(context) {
    const { layers, resources, progress, signal, print } = context;
    const out = layers.find((layer) => layer.out !== undefined)?.out;
    if (out === undefined) {
      throw new TypeError("Cannot start as --out must be given: the folder of the run");
    }
    const folder = resources.use(await openRunFolder(out));
    const values = resolveTrain(layers, folder);
    const config = toConfig(trainOptions, { ...values, threads: threadsOf(values) });
    if (folder.config) {
      refuseDifferences(out, configDifferences(trainOptions, folder.config, config));
    }
    const place = { ...values, threads: threadsOf(values) };
    const oracle = await loadJudge(values.judge, place, context);
    const file = await readPrompts(values.prompts, { column: values.promptColumn });
    if (file.duplicates > 0) {
      progress.line(`${values.prompts}: ${file.duplicates} repeated prompts left out`);
    }
    const division = await divide(file.prompts, values.heldOut, {
      column: values.promptColumn,
      seed: values.seed,
    });
    const parts = Number(folder.facts?.parts ?? values.iterations);
    if (values.promptsPerIteration === "split" && division.prompts.length < parts) {
      throw new RangeError(
        `Cannot split the prompts over ${parts} iterations as each must have one: ${division.prompts.length}; give more, or --prompts-per-iteration repeat`,
      );
    }
    await checkEstimator(oracle, values.judge, estimatorOf(values), {
      prompt: division.prompts[0]!,
      responses: [{ text: "Yes." }, { text: "No." }],
    }, signal);
    const recorded = folder.facts?.precision as Precision | undefined;
    const { model, beside } = await trainableModel(values, recorded, context);
    const all = [...division.prompts, ...division.heldOut];
    checkPromptLengths(model, all, values.maxTokens, model.config.maxPositions);
    const longest = checkPromptLengths(model, division.prompts, 1, values.maxLength);
    const warning = lengthWarning(values, longest);
    if (warning !== undefined) progress.line(warning);
    const facts: RunFacts = {
      sppo: VERSION,
      deno: Deno.version.deno,
      ...model.backend.versions,
      platform: `${Deno.build.os} ${Deno.build.arch} ${model.backend.device}`,
      model: model.id,
      precision: model.precision,
      prompts: promptsDigest(division.prompts),
      held_out: promptsDigest(division.heldOut),
      judge: oracle.id,
      parts,
    };
    if (folder.facts) refuseDifferences(out, factDifferences(folder.facts, facts));
    return {
      async run() {
        await folder.write("run.json", json(facts));
        await folder.write("config.json", json(config));
        const policy = await model.policy(values.seed);
        await play({ folder, values, model, progress, print, beside }, {
          ...recipe(values),
          policy,
          oracle,
          trainer: trainerOf(model, values),
          ...division,
          parts,
          journal: folder.journal,
          signal,
        });
      },
      kept: () => `what was finished is in ${out}; to continue: sppo train --out ${out}`,
    };
  },
};

/** What becomes of responses that may be sampled but are too long to train on. */
function lengthWarning(
  { maxLength, maxTokens, tooLong }: TrainValues,
  longestPrompt: number,
): string | undefined {
  const room = maxLength - longestPrompt;
  if (room >= maxTokens) return undefined;
  const what = tooLong === "cut" ? "be cut" : "be left out";
  return `Responses longer than ${room} tokens will ${what} of the training where the prompt has ${longestPrompt}, as --max-length is ${maxLength} and --max-tokens ${maxTokens}`;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Flags, configuration file, the run's record, preset, defaults. */
function resolveTrain(
  layers: CommandContext<Options>["layers"],
  folder: RunFolder,
): TrainValues {
  const recorded: readonly SomeValues<Options>[] = folder.config === undefined
    ? []
    : [parseConfig(trainOptions, folder.config, `${folder.path}/config.json`)];
  const given = [...layers, ...recorded];
  const preset = given.find((layer) => layer.preset !== undefined)?.preset ?? "lora";
  const values = resolveValues(trainOptions, [...given, presets[preset]]);
  return { ...values, selection: selectionOf(values) } as TrainValues;
}

/** Likelihood is raised of the best response only; a loss with targets has use for the others. */
function selectionOf({ loss, selection }: Values<Options>): TrainValues["selection"] {
  if (loss !== "sft") return selection ?? "best-worst";
  if (selection === undefined || selection === "best") return "best";
  throw new RangeError(
    `Cannot use --selection as --loss sft must not raise the likelihood of rejected responses: ${selection}; leave it out`,
  );
}

function threadsOf(values: TrainValues): number {
  return values.threads ?? navigator.hardwareConcurrency;
}

function presetsHelp(): string {
  const lines = Object.entries(presets).flatMap(([name, values]) => [
    `  --preset ${name}`,
    ...Object.entries(values).map(([key, value]) => `    ${flagName(key)} ${value}`),
  ]);
  return `Presets:\n${lines.join("\n")}`;
}

type TextFiles = Readonly<Record<string, Uint8Array>>;

async function trainableModel(
  values: TrainValues,
  recorded: Precision | undefined,
  context: CommandContext<Options>,
): Promise<{ model: LanguageModel; beside: TextFiles }> {
  const loaded = await loadCheckpoint(values, context);
  const trainable = trainableOf(values, loaded.checkpoint.config);
  const beside = values.trainable === "all" ? await tokenizerFiles(loaded) : {};
  const backend = await loadBackend({ ...values, threads: threadsOf(values) }, context.resources);
  // A run that goes on samples as it began, whatever the machine would measure now.
  const precision = values.precision === "auto" && recorded ? recorded : values.precision;
  const responses = values.promptsPerBatch * values.samples;
  const { checkpoint } = loaded;
  const settled = { precision, checkpoint, backend, trainable, responses };
  const model = await loadModel(checkpoint, backend, {
    precision: await settlePrecision(settled, context),
    trainable,
    tokensPerBatch: values.tokensPerBatch,
    checkpointing: values.checkpointing,
    ...(values.template === undefined ? {} : { template: values.template }),
  }, context);
  return { model, beside };
}

function trainableOf(
  values: TrainValues,
  config: DecoderConfig,
): NonNullable<LanguageModelOptions["trainable"]> {
  if (values.trainable === "all") return { kind: "all" };
  const { loraRank: rank, loraAlpha: alpha = 2 * rank, loraTargets: targets, rslora } = values;
  const lora = { rank, alpha, targets, ...(rslora ? { rsLora: true } : {}) };
  loraTensors(config, lora); // refuses unknown targets before anything large is read
  return { kind: "lora", lora };
}

function trainerOf(model: LanguageModel, values: TrainValues): ReturnType<typeof lmTrainer> {
  return lmTrainer(model, {
    loss: values.loss === "sft" ? { name: "sft" } : { name: "sppo", beta: 1 / values.eta },
    optimizer: { ...OPTIMIZERS[values.optimizer], weightDecay: values.weightDecay },
    learningRate: values.learningRate,
    schedule: values.schedule,
    warmupRatio: values.warmupRatio,
    ...(values.scheduleSteps === undefined ? {} : { scheduleSteps: values.scheduleSteps }),
    epochs: values.epochs,
    batchSize: values.batch,
    maxGradNorm: values.maxGradNorm,
    maxLength: Math.min(values.maxLength, model.config.maxPositions),
    tooLong: values.tooLong,
    checkpointEvery: values.checkpointEvery,
    seed: values.seed,
  });
}

function recipe(
  values: TrainValues,
): Omit<SelfPlayOptions<LocalPolicy>, "policy" | "oracle" | "trainer" | "prompts"> {
  const { samples, temperature, topP, topK, minP, maxTokens, evalSamples } = values;
  const sampling = { samples, temperature, topP, topK, minP, maxTokens };
  return {
    iterations: values.iterations,
    sampling,
    ...(evalSamples === undefined
      ? {}
      : { evaluation: { sampling: { ...sampling, samples: evalSamples } } }),
    promptsPerIteration: values.promptsPerIteration,
    promptsPerBatch: values.promptsPerBatch,
    eta: values.eta,
    ...estimatorOf(values),
    selfTerm: values.selfTerm,
    selection: values.selection,
    normalizer: values.normalizer,
    seed: values.seed,
  };
}

function estimatorOf(
  { estimator, preferenceTemperature }: TrainValues,
): Pick<SelfPlayOptions<LocalPolicy>, "estimator" | "preferenceTemperature"> {
  return { estimator, ...(preferenceTemperature === undefined ? {} : { preferenceTemperature }) };
}

interface Playing {
  readonly folder: RunFolder;
  readonly values: TrainValues;
  readonly model: LanguageModel;
  readonly progress: Progress;
  readonly print: (text: string) => void;
  /** Files that belong beside trained weights. */
  readonly beside: TextFiles;
}

/**
 * Frees the policies of an iteration that has ended which nothing asks any more: all but the first,
 * which evaluations ask, and the last, which the next iteration starts from.
 */
async function disposeOld(policies: LocalPolicy[]): Promise<void> {
  const [first, last] = [policies[0], policies.at(-1)];
  const old = new Set(policies.splice(1, policies.length - 2));
  for (const policy of old) if (policy !== first && policy !== last) await policy.dispose();
}

/** Plays, records and shows; then the closing table. */
async function play(
  { folder, values, model, progress, print, beside }: Playing,
  options: SelfPlayOptions<LocalPolicy>,
): Promise<void> {
  const policyFolder = values.trainable === "all" ? "model" : "adapter";
  await using recorder = runRecorder(folder, {
    baseModel: values.model,
    policyFolder,
    extraFiles: beside,
  });
  const shown = display(progress);
  const policies = [options.policy];
  const run = selfPlay(options);
  let next = await run.next();
  while (!next.done) {
    shown.event(next.value);
    await recorder.record(next.value);
    if (next.value.type === "policy") policies.push(next.value.policy);
    if (next.value.type === "iteration") await disposeOld(policies);
    next = await run.next();
  }
  progress.finish();
  const { initialEvaluation, iterations } = next.value;
  print(closingTable(initialEvaluation, iterations, await meanLosses(folder), shown.seconds));
  print(
    `\nPeak memory ${byteSize(peakMemory())} (weights ${
      byteSize(model.weightBytes)
    }). Files in ${folder.path}:`,
  );
  const last = `iteration-${iterations.length}`;
  for (
    const [name, what] of [
      [`${last}/${policyFolder}/`, "what was trained, after the last iteration"],
      [`${last}/`, "its responses, preferences, pairs and evaluation"],
      ["metrics.jsonl", "every step"],
      ["config.json", "the options, for --config"],
    ] as const
  ) print(`  ${name.padEnd(24)}${what}`);
}
