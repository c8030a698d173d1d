/**
 * `sppo train`: self-play on a checkpoint.
 *
 * @module
 */

import { bestOfN } from "../../core/best_of_n.ts";
import type { SelfPlayEvent, SelfPlayResult } from "../../core/events.ts";
import { iterate } from "../../core/loop.ts";
import type { Journal } from "../../core/journal.ts";
import type { PreferenceOracle } from "../../core/oracle.ts";
import type { GroupSource } from "../../core/sources/source.ts";
import type { Prompt } from "../../core/policy.ts";
import type { LossSpec } from "../../core/objectives/losses.ts";
import { objectives, type ObjectiveSource } from "../../core/objectives/objectives.ts";
import { judgeGrammarHelp } from "../../judges/mod.ts";
import type { Precision } from "../../models/generation/precision.ts";
import type { SampledAdapter } from "../../models/generation/sampled_adapter.ts";
import type { LanguageModel } from "../../models/language_model.ts";
import type { LocalPolicy } from "../../models/local_policy.ts";
import { OPTIMIZERS } from "../../models/programs/optimizer.ts";
import { lmTrainer } from "../../models/training/lm_trainer.ts";
import { divide, type Division } from "../held_out.ts";
import { checkEstimator, loadJudge } from "../judges/load_judge.ts";
import { loadCheckpoint } from "../load_model.ts";
import { checkPromptLengths } from "../load_policy.ts";
import { settleMemory } from "../train/memory_plan.ts";
import { parseConfig, toConfig } from "../options/parse.ts";
import { flagName } from "../options/spec.ts";
import { presets, trainOptions } from "../options/tables.ts";
import { type PairRecord, pairsDigest, readPairs } from "../pairs.ts";
import { peakMemory } from "../peak_memory.ts";
import { byteSize, type Progress } from "../progress.ts";
import { closingTable, display, meanLosses } from "../run_display.ts";
import { checkNeeds, promptsDigest, readPrompts, type ReadPromptsOptions } from "../prompts.ts";
import {
  configDifferences,
  factDifferences,
  openRunFolder,
  refuseDifferences,
  type RunFacts,
  type RunFolder,
} from "../run_folder.ts";
import { runRecorder } from "../run_records.ts";
import { type SettledTrain, settleTrain, type TrainValues } from "../train/settle_train.ts";
import {
  estimatorOf,
  evaluationSampling,
  needsLogits,
  policySteps,
  samplesToTrain,
  scheduleOf,
  sourceOfRun,
} from "../train/train_source.ts";
import { type TextFiles, threadsOf, trainableModel } from "../train/trainable_model.ts";
import { VERSION } from "../version.ts";
import type { Command } from "./command.ts";

type Options = typeof trainOptions;

/** The command. */
export const trainCommand: Command<Options> = {
  name: "train",
  summary: "align a checkpoint by self-play",
  description:
    `Each iteration answers prompts --samples times, has the judge compare the answers of a prompt
with each other, and fits the policy to the win rates; the held-out prompts say how it went. All of it is
kept in --out; the same command on a folder that was begun continues, and --out alone is enough for that.
--loss names other objectives; those that learn from a file of pairs or demonstrations take --pairs and
need no judge.`,
  epilogue: () => `${presetsHelp()}\n\n${objectivesHelp()}\n\n${judgeGrammarHelp}`,
  options: trainOptions,
  async prepare(context) {
    const { layers, resources, progress, signal, print } = context;
    const out = layers.find((layer) => layer.out !== undefined)?.out;
    if (out === undefined) {
      throw new TypeError("Cannot start as --out must be given: the folder of the run");
    }
    const folder = resources.use(await openRunFolder(out));
    const recorded = folder.config === undefined
      ? []
      : [parseConfig(trainOptions, folder.config, `${folder.path}/config.json`)];
    const asked = settleTrain([...layers, ...recorded]);
    const place = { ...asked.values, threads: threadsOf(asked.values) };
    if (folder.config) {
      const config = toConfig(trainOptions, place);
      refuseDifferences(out, configDifferences(trainOptions, folder.config, config));
      const before = folder.config.iterations;
      const { values } = asked;
      if (values.etaSchedule === "horizon" && before !== values.iterations) {
        refuseDifferences(out, [
          `--iterations ${values.iterations} (was ${before}), which --eta-schedule horizon divides by`,
        ]);
      }
    }
    const bytesBefore = Deno.memoryUsage().rss;
    const oracle = place.judge === undefined
      ? undefined
      : await loadJudge(place.judge, place, context);
    const judgeBytes = oracle === undefined ? 0 : Math.max(0, Deno.memoryUsage().rss - bytesBefore);
    const reading = { column: place.promptColumn, fields: oracle?.needs?.fields ?? [] };
    const data = await readData(place, reading, progress);
    const division = await divide(data.prompts, place.heldOut, { ...reading, seed: place.seed });
    const loaded = await loadCheckpoint(place, context);
    const parts = Number(folder.facts?.parts ?? asked.values.iterations);
    const settled = await settleMemory(asked, loaded.checkpoint, {
      ...{ ...data, ...division, judgeBytes, fixed: folder.config !== undefined },
      stepsPerPolicy: policySteps(asked, division, parts),
      tell: progress.line,
    });
    const { values } = settled;
    if (values.promptsPerIteration === "split" && division.prompts.length < parts) {
      throw new RangeError(
        `Cannot split the prompts over ${parts} iterations as each must have one: ${division.prompts.length}; give more, or --prompts-per-iteration repeat`,
      );
    }
    const source = sourceOfRun(settled, oracle, data.records);
    if (oracle !== undefined) {
      await checkNeeds(oracle, [
        ...samplesToTrain(settled) ? division.prompts : [],
        ...division.heldOut,
      ]);
      await checkJudge(oracle, settled, division.prompts[0]!, signal);
    }
    const { model, beside } = await trainableModel(values, loaded, {
      recorded: {
        precision: folder.facts?.precision as Precision | undefined,
        sampledAdapter: folder.facts?.sampled_adapter as SampledAdapter | undefined,
      },
      stepsPerPolicy: policySteps(settled, division, parts),
    }, context);
    const answered = [...samplesToTrain(settled) ? division.prompts : [], ...division.heldOut];
    checkPromptLengths(model, answered, values.maxTokens, model.config.maxPositions);
    const longest = checkPromptLengths(model, division.prompts, 1, values.maxLength);
    const warning = samplesToTrain(settled) ? lengthWarning(values, longest) : undefined;
    if (warning !== undefined) progress.line(warning);
    const { kernels, ...versions } = model.backend.versions;
    const facts: RunFacts = {
      sppo: VERSION,
      deno: Deno.version.deno,
      ...versions,
      // They sample in 8 bits, and no more.
      ...(model.precision === "fast" && kernels !== undefined ? { kernels } : {}),
      platform: `${Deno.build.os} ${Deno.build.arch} ${model.backend.device}`,
      model: model.id,
      precision: model.precision,
      ...(model.trainable.kind === "lora" ? { sampled_adapter: model.sampledAdapter } : {}),
      prompts: promptsDigest(division.prompts),
      held_out: promptsDigest(division.heldOut),
      ...(oracle === undefined ? {} : { judge: oracle.id }),
      ...(data.records.length === 0 ? {} : { pairs: pairsDigest(data.records) }),
      parts,
    };
    if (folder.facts) refuseDifferences(out, factDifferences(folder.facts, facts));
    return {
      async run() {
        await folder.write("run.json", json(facts));
        const settings = { ...values, threads: threadsOf(values) };
        await folder.write("config.json", json(toConfig(trainOptions, settings)));
        const policy = await model.policy(values.seed);
        const run = runOf(model, settled, {
          ...{ policy, source, oracle, ...division, parts, signal },
          journal: folder.journal,
        });
        await play({ folder, values, model, progress, print, beside }, policy, run);
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

/** Prompts to train on, with what the file of pairs says of them where there is one. */
async function readData(
  { pairs, prompts }: TrainValues,
  reading: ReadPromptsOptions & { readonly column: string },
  progress: Progress,
): Promise<{ readonly prompts: readonly Prompt[]; readonly records: readonly PairRecord[] }> {
  if (pairs !== undefined) return await readPairs(pairs, reading.column, reading.fields);
  const file = await readPrompts(prompts!, reading);
  if (file.duplicates > 0) {
    progress.line(`${prompts}: ${file.duplicates} repeated prompts left out`);
  }
  return { prompts: file.prompts, records: [] };
}

/** Refuses a judge that does not say what the objective reads. */
async function checkJudge(
  oracle: PreferenceOracle,
  settled: SettledTrain,
  prompt: Prompt,
  signal: AbortSignal,
): Promise<void> {
  const { values, source } = settled;
  if (source !== "judge") return;
  const estimator = needsLogits(settled) ? { estimator: "scores" as const } : estimatorOf(values);
  const responses = [{ text: "Yes." }, { text: "No." }];
  await checkEstimator(oracle, values.judge!, estimator, { prompt, responses }, signal);
}

function presetsHelp(): string {
  const lines = Object.entries(presets).flatMap(([name, values]) => [
    `  --preset ${name}`,
    ...Object.entries(values).map(([key, value]) => `    ${flagName(key)} ${value}`),
  ]);
  return `Presets:\n${lines.join("\n")}`;
}

function objectivesHelp(): string {
  const data = {
    judge: "judged",
    pairs: "--pairs",
    demonstrations: "--pairs",
    "own-against-demonstrations": "--pairs",
  } as const satisfies Record<ObjectiveSource, string>;
  const lines = Object.entries(objectives).map(([name, { paper, sources }]) =>
    `  ${name.padEnd(14)}${
      [...new Set(sources.map((each) => data[each]))].join(", ").padEnd(18)
    }${paper}`
  );
  return `Objectives, and what they learn from (see docs/objectives.md):\n${lines.join("\n")}`;
}

function trainerOf(
  model: LanguageModel,
  values: TrainValues,
  loss: LossSpec,
): ReturnType<typeof lmTrainer> {
  return lmTrainer(model, {
    loss,
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

type Run = AsyncGenerator<SelfPlayEvent<LocalPolicy>, SelfPlayResult<LocalPolicy>>;

/** What a run is made of, beside its options. */
interface RunParts extends Division {
  readonly policy: LocalPolicy;
  readonly source: GroupSource<LocalPolicy>;
  readonly oracle: PreferenceOracle | undefined;
  readonly parts: number;
  readonly journal: Journal;
  readonly signal: AbortSignal;
}

/** The run: iterations, or the evaluation of the best of N. */
function runOf(
  model: LanguageModel,
  { values, loss }: SettledTrain,
  { prompts, heldOut, parts, source, oracle, ...shared }: RunParts,
): Run {
  const evaluation = oracle === undefined || heldOut.length === 0
    ? undefined
    : { heldOut, oracle, sampling: evaluationSampling(values) };
  const common = { ...shared, promptsPerBatch: values.promptsPerBatch, seed: values.seed };
  if (loss === undefined) {
    const best = { of: values.samples, oracle: oracle!, ...estimatorOf(values) };
    return bestOfN({ ...common, best, evaluation: evaluation! });
  }
  return iterate({
    ...common,
    source,
    prompts,
    trainer: trainerOf(model, values, loss),
    iterations: values.iterations,
    eta: scheduleOf(values),
    promptsPerIteration: values.promptsPerIteration,
    parts,
    ...(evaluation === undefined ? {} : { evaluation }),
  });
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
  first: LocalPolicy,
  run: Run,
): Promise<void> {
  const policyFolder = values.trainable === "all" ? "model" : "adapter";
  await using recorder = runRecorder(folder, {
    baseModel: values.model,
    policyFolder,
    extraFiles: beside,
  });
  const shown = display(progress);
  const policies = [first];
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
      ...policies.length > 1
        ? [[`${last}/${policyFolder}/`, "what was trained, after the last iteration"] as const]
        : [],
      [`${last}/`, "its responses, preferences, pairs and evaluation"],
      ["metrics.jsonl", "every step"],
      ["config.json", "the options, for --config"],
    ] as const
  ) print(`  ${name.padEnd(24)}${what}`);
}
