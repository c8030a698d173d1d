/**
 * Runs of objectives on the embedded policy under one roof: the same start, prompts, samples and number
 * of optimizer steps, and the same measurements after each iteration. What is finished is kept, so that
 * scripts that ask for the same run again get it at once.
 *
 * @module
 */

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { fileJournal } from "../../cli/file_journal.ts";
import {
  againstDemonstrations,
  bestOfSampler,
  type Demonstration,
  fingerprint,
  givenPairs,
  type GroupSource,
  iterate,
  type Json,
  judgedSource,
  meanLength,
  type ObjectiveName,
  objectives,
  type PreferenceOracle,
  type Prompt,
  type Sampled,
  type Sampler,
  type SamplingOptions,
  type Selection,
  type TrainingGroup,
  winRateAgainst,
} from "../../core/mod.ts";
import { openEmbeddedPolicy } from "../../models/embedded/mod.ts";
import { LanguageModel, lmTrainer, type LocalPolicy, TRAINING_DEFAULTS } from "../../models/mod.ts";
import { overconfidentJudge, scoringOracle, trainingJudge } from "./animal_judges.ts";

/** Judges by name. */
const JUDGES = { training: trainingJudge, overconfident: overconfidentJudge } as const;

/** What is run. */
export interface ObjectiveRun {
  readonly objective: ObjectiveName;
  /** β = 1/η. */
  readonly beta: number;
  /** Name of the judge that trains; `training` by default. */
  readonly judge?: keyof typeof JUDGES;
  /** K; 8 by default. */
  readonly samples?: number;
  /** The objective's first by default. */
  readonly selection?: Selection;
  /** 0 by default. */
  readonly seed?: number;
}

/** What the answers to held-out questions say of a policy. */
export interface Measured {
  readonly iteration: number;
  /** Against the start: by the judge that trained, and by the one that never did. */
  readonly win_rate: number;
  readonly win_rate_standard_error: number;
  readonly scored_win_rate: number;
  readonly scored_standard_error: number;
  readonly words: number;
  /** Nats per token: of its own answers under itself and under the start; of the start's under it. */
  readonly own: number;
  readonly own_under_start: number;
  readonly start_answers: number;
}

/** A step's numbers, under TRL's names. */
export type StepRecord = Readonly<Record<string, number>>;

/** What came of a run. */
export interface ObjectiveResult {
  readonly run: ObjectiveRun;
  readonly iterations: readonly Measured[];
  readonly steps: readonly StepRecord[];
  readonly seconds: number;
}

/** Settings that all runs share. */
export const SHARED = {
  iterations: 3,
  promptsPerIteration: 48,
  samples: 8,
  heldOutSamples: 4,
  temperature: 0.7,
  topP: 0.9,
  maxTokens: 40,
  learningRate: 3e-4,
  epochs: 2,
  batchSize: 8,
} as const;

/** Metrics of a step that are kept. */
const KEPT = [
  ...["step", "iteration", "loss", "grad_norm", "log_ratios/chosen", "log_ratios/rejected"],
  ...["logps/chosen", "logps/rejected", "rewards/margins", "rewards/accuracies"],
];

const PROMPTS = new URL("../prompts/", import.meta.url);

async function readPrompts(name: string): Promise<Prompt[]> {
  const text = await Deno.readTextFile(new URL(name, PROMPTS));
  return text.split("\n").filter((line) => line !== "").map((line, index) => ({
    id: `${index}`,
    content: (JSON.parse(line) as { prompt: string }).prompt,
  }));
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** The embedded policy, ready to run objectives on. */
export interface Bench extends AsyncDisposable {
  /** Runs an objective, or reads what came of it. */
  run(run: ObjectiveRun): Promise<ObjectiveResult>;
  /** The best of N answers of the start, measured as policies are. */
  bestOf(count: number): Promise<Measured>;
  /**
   * One fit to pairs that were drawn from the start once and are the same for all: best and worst of K
   * answers by the training judge.
   */
  fitPairs(run: ObjectiveRun, epochs: number): Promise<readonly StepRecord[]>;
}

/** Opens the bench. @param say Is told how far it is. */
export async function openBench(say: (text: string) => void): Promise<Bench> {
  const backend = await createOnnxBackend({ threads: 1 });
  const model = await LanguageModel.load(await openEmbeddedPolicy(), backend, {
    trainable: { kind: "all" },
  });
  const start = await model.policy(0);
  const root = fileJournal(`runs/objectives/${fingerprint([model.id, { ...SHARED }])}`);
  const prompts = (await readPrompts("animals.jsonl"))
    .slice(0, SHARED.promptsPerIteration * SHARED.iterations);
  const heldOut = await readPrompts("animals_held_out.jsonl");
  const { temperature, topP, maxTokens } = SHARED;
  const sampling = (samples: number): SamplingOptions => ({
    ...{ samples, temperature, topP, maxTokens },
  });
  const answer = (sampler: Sampler, asked: readonly Prompt[], samples: number, seed: number) =>
    collect(sampler.sample(asked, { ...sampling(samples), seed }));

  let startAnswers: Promise<Sampled[]> | undefined;
  let demonstrations: Promise<Demonstration[]> | undefined;

  /** The same from the journal, or made and kept. */
  async function once<T>(list: string, key: string, make: () => Promise<T>): Promise<T> {
    const before = (await root.records(list)).get(key);
    if (before !== undefined) return (before as unknown as { made: T }).made;
    const made = await make();
    await root.append(list, key, { made } as unknown as Json);
    return made;
  }

  /** Σ log π and tokens of answers. */
  async function perToken(policy: LocalPolicy, answers: readonly Sampled[]): Promise<number> {
    let sum = 0, tokens = 0;
    for await (const group of policy.logProbs(answers)) {
      for (const logProbs of group) {
        sum += logProbs.reduce((total, value) => total + value, 0);
        tokens += logProbs.length;
      }
    }
    return sum / tokens;
  }

  async function measure(
    iteration: number,
    sampler: Sampler,
    scorer: LocalPolicy,
  ): Promise<Measured> {
    const theirs = await (startAnswers ??= answer(start, heldOut, SHARED.heldOutSamples, 1));
    const ours = await answer(sampler, heldOut, SHARED.heldOutSamples, 2);
    const rate = (oracle: PreferenceOracle) => winRateAgainst(oracle, ours, theirs);
    const trained = await rate(trainingJudge), scored = await rate(scoringOracle);
    return {
      iteration,
      win_rate: trained.winRate!,
      win_rate_standard_error: trained.standardError!,
      scored_win_rate: scored.winRate!,
      scored_standard_error: scored.standardError!,
      words: meanLength(ours)!.words,
      own: await perToken(scorer, ours),
      own_under_start: await perToken(start, ours),
      start_answers: await perToken(scorer, theirs),
    };
  }

  /** The best of 16 answers of the start to each prompt that is trained on, by the training judge. */
  async function bestAnswers(): Promise<Demonstration[]> {
    const best = bestOfSampler(start, { oracle: trainingJudge, of: 16 });
    return (await answer(best, prompts, 1, 3)).map(({ prompt, responses }) => ({
      prompt,
      chosen: responses[0]!,
    }));
  }

  const trainerOf = ({ objective, beta, seed = 0 }: ObjectiveRun, epochs: number) => {
    const { loss, against = "previous", numbers } = objectives[objective];
    const spec = loss!({ beta, against, labelSmoothing: 0, margin: 0, clip: 0.2, ...numbers });
    return lmTrainer(model, {
      ...TRAINING_DEFAULTS,
      loss: spec,
      learningRate: SHARED.learningRate,
      batchSize: SHARED.batchSize,
      epochs,
      seed,
    });
  };

  async function sourceOf(run: ObjectiveRun): Promise<GroupSource<LocalPolicy>> {
    const { goal, selections, sources } = objectives[run.objective];
    if (sources[0] === "own-against-demonstrations") {
      return againstDemonstrations(await (demonstrations ??= bestAnswers()), sampling(1));
    }
    return judgedSource({
      oracle: JUDGES[run.judge ?? "training"],
      sampling: sampling(run.samples ?? SHARED.samples),
      selection: run.selection ?? selections[0]!,
      goal: goal === "none" ? "win-rate" : goal,
      reward: "score",
    });
  }

  async function play(run: ObjectiveRun): Promise<ObjectiveResult> {
    const started = performance.now();
    const iterations: Measured[] = [], steps: StepRecord[] = [];
    let last = start;
    const events = iterate({
      policy: start,
      source: await sourceOf(run),
      trainer: trainerOf(run, SHARED.epochs),
      prompts,
      iterations: SHARED.iterations,
      eta: 1 / run.beta,
      promptsPerBatch: 32,
      seed: run.seed ?? 0,
    });
    for await (const event of events) {
      if (event.type === "step") steps.push(keptOf(event.metrics));
      if (event.type !== "policy") continue;
      const measured = await measure(event.iteration, event.policy, event.policy);
      iterations.push(measured);
      say(
        `${nameOf(run)}, ${measured.iteration}: wins ${percent(measured.win_rate)}, scored ` +
          `${percent(measured.scored_win_rate)}, ${measured.words.toFixed(1)} words`,
      );
      if (last !== start) await last.dispose();
      last = event.policy;
    }
    await last.dispose();
    return { run, iterations, steps, seconds: (performance.now() - started) / 1000 };
  }

  /** Best and worst of the start's answers to all prompts, with their win rates. */
  async function drawnPairs(): Promise<TrainingGroup[]> {
    const source = judgedSource<LocalPolicy>({
      oracle: trainingJudge,
      sampling: sampling(SHARED.samples),
    });
    const groups = source.groups({
      ...{ policy: start, referencePolicy: start, prompts, iteration: 1, eta: 1, seed: 0 },
      promptsPerBatch: 32,
    });
    let next = await groups.next();
    while (!next.done) next = await groups.next();
    return [...next.value.groups];
  }

  let pairs: Promise<TrainingGroup[]> | undefined;

  async function fit(run: ObjectiveRun, epochs: number): Promise<StepRecord[]> {
    const given = (await (pairs ??= drawnPairs())).map(({ prompt, responses }) => ({
      prompt,
      chosen: responses[0]!.response,
      rejected: responses[1]!.response,
      winRates: [responses[0]!.winRate!, responses[1]!.winRate!] as const,
    }));
    const steps: StepRecord[] = [];
    const { goal } = objectives[run.objective];
    const events = iterate({
      policy: start,
      source: givenPairs<LocalPolicy>(given, goal === "win-rate" ? goal : "none"),
      trainer: trainerOf(run, epochs),
      prompts: given.map(({ prompt }) => prompt),
      promptsPerIteration: "repeat",
      iterations: 1,
      eta: 1 / run.beta,
      seed: run.seed ?? 0,
    });
    for await (const event of events) {
      if (event.type === "step") steps.push(keptOf(event.metrics));
      if (event.type === "policy") await event.policy.dispose();
    }
    say(`${nameOf(run)}: ${steps.length} steps on ${given.length} pairs`);
    return steps;
  }

  return {
    run: (asked) => {
      const run = withDefaults(asked);
      return once("runs", fingerprint(run as unknown as Json), () => play(run));
    },
    bestOf: (count) =>
      once(
        "best-of",
        `${count}`,
        () => measure(0, bestOfSampler(start, { oracle: trainingJudge, of: count }), start),
      ),
    fitPairs: (run, epochs) =>
      once("fits", fingerprint([run as unknown as Json, epochs]), () => fit(run, epochs)),
    async [Symbol.asyncDispose]() {
      await start.dispose();
      await backend.dispose();
    },
  };
}

/** The run with everything said, so that equal runs have equal keys. */
function withDefaults(run: ObjectiveRun): Required<ObjectiveRun> {
  const selection = run.selection ?? objectives[run.objective].selections[0] ?? "best-worst";
  return { judge: "training", samples: SHARED.samples, seed: 0, ...run, selection };
}

function keptOf(metrics: StepRecord): StepRecord {
  return Object.fromEntries(
    KEPT.flatMap((name) => metrics[name] === undefined ? [] : [[name, metrics[name]]]),
  );
}

/** A run in words. */
export function nameOf(run: ObjectiveRun): string {
  const { objective, beta, judge, samples, selection, seed } = withDefaults(run);
  return `${objective}, β = ${beta}, ${judge} judge, K = ${samples}, ${selection}, seed ${seed}`;
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
