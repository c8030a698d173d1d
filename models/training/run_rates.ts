/**
 * How long the parts of a training run take here, measured on the first blocks of its model.
 *
 * @module
 */

import { randomStream, type SampleOptions } from "../../core/mod.ts";
import type { Backend, BoundExecutable, HostTensor } from "../../graph/mod.ts";
import type { Checkpoint } from "../checkpoints/open.ts";
import { firstBlocks } from "../first_blocks.ts";
import { type Decoder, generate } from "../generation/generate.ts";
import { LanguageModel } from "../language_model.ts";
import type { LanguageModelOptions } from "../language_model_options.ts";
import type { LocalPolicy } from "../local_policy.ts";
import { type OptimizerOptions, stepInputs } from "../programs/optimizer.ts";
import type { Fit } from "./fit.ts";
import { TRAINING_DEFAULTS } from "./lm_trainer.ts";
import type { PreparedGroup } from "./prepare.ts";
import { takeStep } from "./step.ts";

/** What is done side by side. */
export interface RunShape {
  readonly promptTokens: number;
  /** Of each response. */
  readonly maxTokens: number;
  /** K. */
  readonly samples: number;
  /** Prompts whose samples are decoded side by side. */
  readonly prompts: number;
  /** Pairs that a micro-batch has room for. */
  readonly pairs: number;
  readonly optimizer: OptimizerOptions;
  /** How the model is loaded. */
  readonly model: LanguageModelOptions;
}

/** Seconds of what runs are made of. */
export interface RunRates {
  /** Reading the weights, and compiling the smaller programs. */
  readonly loading: number;
  /** Compiling the gradient, which has most equations. */
  readonly compiling: number;
  /** A prompt's prefill. */
  readonly prefill: number;
  /** A decoding step of one prompt's samples. */
  readonly fewRows: number;
  /** A decoding step of all that run side by side. */
  readonly allRows: number;
  /** Log-probabilities of a pair. */
  readonly scoring: number;
  /** Gradients of a pair. */
  readonly gradient: number;
  /** The rest of an optimizer's step. */
  readonly optimizer: number;
}

/** Models of so many blocks are measured whole. */
const WHOLE = 8;
/** Of larger ones so many blocks, whose difference is what a block takes. */
const BLOCKS = [1, 3] as const;
/**
 * Compiling the gradient takes about a constant and blocks^1.85: 0.07 s for a block of SmolLM2-135M, 0.22 s
 * for 3, 1.3 s for 10, 11.8 s for 30.
 */
export const COMPILING_POWER = 1.85;
/** Decoding steps that are measured. */
const STEPS = 6;
/** Prompts whose prefill is measured; it takes as long for each of more of them. */
const PREFILLED = 4;
/** Runs go on until there were so many that took so many seconds together; one this long is enough. */
const RUNS = { fewest: 2, most: 8, seconds: 0.3, enough: 1 } as const;

/** What was measured, and on how many blocks. */
export interface MeasuredRates {
  readonly rates: RunRates;
  readonly blocks: readonly number[];
}

/**
 * The rates of a model of `layers` blocks whose first blocks were measured. What a block adds is the same
 * for each, but for compiling, for which onnxruntime takes longer than in proportion to the graph.
 */
export function ratesOfAll(
  few: RunRates,
  many: RunRates,
  blocks: readonly [number, number],
  layers: number,
): RunRates {
  const [first, last] = blocks;
  const of = (key: keyof RunRates, power = 1): number => {
    const each = Math.max(0, many[key] - few[key]) / (last ** power - first ** power);
    return many[key] + each * (layers ** power - last ** power);
  };
  return {
    loading: of("loading"),
    compiling: of("compiling", COMPILING_POWER),
    prefill: of("prefill"),
    fewRows: of("fewRows"),
    allRows: of("allRows"),
    scoring: of("scoring"),
    gradient: of("gradient"),
    optimizer: of("optimizer"),
  };
}

/** Measures a run's parts, by the code of the run. */
export async function measureRates(
  checkpoint: Checkpoint,
  backend: Backend,
  shape: RunShape,
  signal: AbortSignal,
): Promise<MeasuredRates> {
  const { layers } = checkpoint.config;
  const measure = (blocks: number) =>
    ratesOf(firstBlocks(checkpoint, blocks), backend, shape, signal);
  if (layers <= WHOLE) return { rates: await measure(layers), blocks: [layers] };
  {
    // What only the first model of a process has to wait for is not to count for a block.
    await using unmeasured = new AsyncDisposableStack();
    await open(firstBlocks(checkpoint, BLOCKS[0]), backend, shape, signal, unmeasured);
  }
  const few = await measure(BLOCKS[0]);
  const many = await measure(BLOCKS[1]);
  return { rates: ratesOfAll(few, many, BLOCKS, layers), blocks: BLOCKS };
}

/** The least seconds of some runs: what else the machine does only adds to them. */
async function seconds(run: () => Promise<unknown>, signal: AbortSignal): Promise<number> {
  let [least, total] = [Infinity, 0];
  for (let count = 0; count < RUNS.most; count++) {
    if (count >= RUNS.fewest && total > RUNS.seconds) break;
    signal.throwIfAborted();
    const began = performance.now();
    await run();
    const took = (performance.now() - began) / 1000;
    least = Math.min(least, took);
    total += took;
    if (took > RUNS.enough) break;
  }
  return least;
}

async function ratesOf(
  checkpoint: Checkpoint,
  backend: Backend,
  shape: RunShape,
  signal: AbortSignal,
): Promise<RunRates> {
  await using resources = new AsyncDisposableStack();
  const { model, policy, decoder, fit, loading, compiling } = await open(
    ...[checkpoint, backend, shape, signal, resources] as const,
  );
  const ids = tokens(model.config.vocabSize);
  const { promptTokens, maxTokens, samples } = shape;
  const endless = { ...decoder, endOfTurnIds: [] };
  const prefilled = { ...endless, prefill: remembered(decoder.prefill) };
  /** Seconds until each of so many prompts of a length has so many more tokens. */
  const sampling = async (
    on: Decoder,
    prompts: number,
    length: number,
    more: number,
  ): Promise<number> => {
    const asked = Array.from({ length: prompts }, (_, index) => ({
      prompt: { id: `${index}`, content: "" },
      ids: ids(length),
    }));
    const options: SampleOptions = {
      ...{ samples, temperature: 0.7, topP: 0.9, seed: 0, signal },
      maxTokens: more,
    };
    return await seconds(() => Array.fromAsync(generate(on, asked, options)), signal);
  };
  // In the middle of its responses a row has half of their tokens behind it.
  const middle = promptTokens + Math.floor(maxTokens / 2);
  const decoding = async (prompts: number): Promise<number> => {
    await sampling(prefilled, prompts, middle, 1);
    const first = await sampling(prefilled, prompts, middle, 1);
    return Math.max(0, await sampling(prefilled, prompts, middle, 1 + STEPS) - first) / STEPS;
  };
  const fewRows = await decoding(1);
  const allRows = shape.prompts > 1 ? await decoding(shape.prompts) : fewRows;
  const few = Math.min(shape.prompts, PREFILLED);
  const prefill = await sampling(endless, few, promptTokens, 1) / few;

  const groups = Array.from({ length: shape.pairs }, () => pair(ids(promptTokens), maxTokens, ids));
  const sequences = groups.flatMap(({ responses }) => responses);
  const scoring = await seconds(() => policy.scoreSequences(sequences, signal), signal);
  const { tokensPerBatch } = model;
  const options = { ...TRAINING_DEFAULTS, learningRate: 1e-9, optimizer: shape.optimizer };
  const step = await seconds(
    () => takeStep(fit, { ...options, tokensPerBatch }, groups, 1, signal),
    signal,
  );
  const optimizer = await seconds(() => optimizerAlone(fit, shape.optimizer), signal);
  return {
    ...{ loading, compiling, prefill, fewRows, allRows, optimizer },
    scoring: scoring / shape.pairs,
    gradient: Math.max(0, step - optimizer) / shape.pairs,
  };
}

/** A model that is ready to run, with the seconds that took. */
interface Opened {
  readonly model: LanguageModel;
  readonly policy: LocalPolicy;
  readonly decoder: Decoder;
  readonly fit: Fit;
  readonly loading: number;
  readonly compiling: number;
}

async function open(
  checkpoint: Checkpoint,
  backend: Backend,
  shape: RunShape,
  signal: AbortSignal,
  resources: AsyncDisposableStack,
): Promise<Opened> {
  const began = performance.now();
  const model = await LanguageModel.load(checkpoint, backend, { ...shape.model, signal });
  resources.defer(() => model.dispose());
  const policy = await model.policy();
  resources.defer(() => policy.dispose());
  const capacity = shape.promptTokens + shape.maxTokens + STEPS + 1;
  const decoder = await model.decoder(policy.trained, capacity, shape.samples);
  resources.defer(() => decoder.dispose());
  await (await model.likelihood(policy.trained)).dispose();
  const loaded = performance.now();
  const fit = await model.fit(policy, TRAINING_DEFAULTS.loss, shape.optimizer);
  resources.defer(async () => {
    await fit.trained.dispose();
    await fit.dispose();
  });
  return {
    ...{ model, policy, decoder, fit },
    loading: (loaded - began) / 1000,
    compiling: (performance.now() - loaded) / 1000,
  };
}

/** Gives what it gave for inputs of the same shapes, so that decoding is measured without prefills. */
function remembered(bound: BoundExecutable): BoundExecutable {
  const given = new Map<string, Record<string, HostTensor>>();
  return {
    async run(inputs, options) {
      const key = inputs.ids!.shape.join();
      const before = given.get(key);
      if (before) return before;
      const outputs = Object.fromEntries(
        Object.entries(await bound.run(inputs, options))
          .map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
      );
      given.set(key, outputs);
      return outputs;
    },
    dispose: () => bound.dispose(),
  };
}

/** The norm of the gradients and the update, as `takeStep` has them. */
async function optimizerAlone(fit: Fit, optimizer: OptimizerOptions): Promise<void> {
  await fit.norm.run({});
  const scalars = Object.entries(stepInputs(optimizer, 1, 1e-9, 1));
  await fit.step.run(Object.fromEntries(
    scalars.map(([name, value]) => [name, { shape: [1], data: Float32Array.of(value) }]),
  ));
}

/** Makes random tokens; no two sequences are the same. */
function tokens(vocabSize: number): (length: number) => number[] {
  const random = randomStream(0, "run rates");
  return (length) => Array.from({ length }, () => Math.floor(random.next() * vocabSize));
}

function pair(
  promptIds: readonly number[],
  length: number,
  ids: (length: number) => number[],
): PreparedGroup {
  return {
    responses: [0.8, 0.2].map((winRate) => ({
      ...{ promptIds, winRate, responseIds: ids(length), target: winRate - 0.5, weight: 0.5 },
      anchorLogProbs: new Float32Array(length),
    })),
  };
}
