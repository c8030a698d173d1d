/**
 * Trains a judge on labelled pairs: a head on a trunk as it is, or with an adapter on the trunk.
 *
 * @module
 */

import { normal, randomStream, shuffle } from "../../core/mod.ts";
import type { Backend, BoundExecutable, HostTensor, Store, TensorSource } from "../../graph/mod.ts";
import { type NamedShape, WEIGHTS } from "../architectures/layout.ts";
import { ADAPTER, type LoraShape } from "../architectures/lora.ts";
import type { FloatTensor } from "../checkpoints/safetensors.ts";
import { newAdapter } from "../new_adapter.ts";
import { GRADIENTS } from "../programs/likelihood.ts";
import {
  gradientNormProgram,
  MOMENTS,
  momentTensors,
  optimizerProgram,
  OPTIMIZERS,
  stepInputs,
} from "../programs/optimizer.ts";
import { stepLearningRate } from "../training/schedule.ts";
import type { ConversationLayout } from "./conversation_layout.ts";
import { HEAD, judgeGradientProgram } from "./judge_gradient.ts";
import { type LabelledGroup, type LabelledPair, labelledPairs } from "./labelled_group.ts";
import { headOutputs, type PreferenceHead } from "./preference_head.ts";
import { noHead } from "./response_heads.ts";
import { SequenceReader, type TrunkAdapter } from "./sequence_reader.ts";
import type { PlacedSequence, Trunk } from "./trunk.ts";

/** A model without a head. */
export interface TrunkParts {
  /** Text to tokens. */
  readonly layout: ConversationLayout;
  /** Tokens to hidden states. */
  readonly trunk: Trunk;
  /** Its tensors by name. */
  readonly tensors: ReadonlyMap<string, TensorSource>;
}

/** Options of {@linkcode trainJudge}. */
export interface TrainJudgeOptions {
  /** What is fitted. */
  readonly head: PreferenceHead;
  /** An adapter that is fitted with the head; the head alone when absent. */
  readonly lora?: LoraShape;
  /** Times that each pair is seen. */
  readonly epochs: number;
  /** Peak learning rate; warms up over a tenth and falls linearly. */
  readonly learningRate: number;
  /** Pairs of one step. */
  readonly pairsPerStep: number;
  /** AdamW's λ; 0 when not given. */
  readonly weightDecay?: number;
  /** Gradients are scaled down to this norm; 1 when not given, 0 leaves them. */
  readonly maxGradNorm?: number;
  /** Of the start and of the order of pairs. */
  readonly seed?: number;
  /** Most tokens of a prompt with its response. */
  readonly maxTokens: number;
  /** Tokens (rows × longest) of one run; 1024 when not given. */
  readonly tokensPerBatch?: number;
  /** Sequences read, before the first step. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Ends the fit with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What one step measured. */
export interface JudgeStep {
  /** Counting from 1. */
  readonly step: number;
  /** Steps in all. */
  readonly totalSteps: number;
  /** Mean cross-entropy of the step's pairs, nats. */
  readonly loss: number;
  /** L2 norm of the gradients. */
  readonly gradNorm: number;
}

/** A trained judge, on the trunk that it was trained on. */
export interface TrainedJudge {
  /** What was fitted. */
  readonly head: PreferenceHead;
  /** The head's matrix [outputs, hiddenSize]. */
  readonly matrix: FloatTensor;
  /** The adapter, where there is one. */
  readonly adapter?: TrunkAdapter;
  /** Most tokens of a prompt with its response. */
  readonly maxTokens: number;
}

/** Standard deviation of a new head's outputs, about. */
const START = 0.1;
/** Sequences whose states set the scale where an adapter is trained. */
const SCALE_SEQUENCES = 32;

/**
 * Fits a head, and an adapter where one is asked for, by AdamW on the cross-entropy of the pairs'
 * labels. Ties are labels of ½. Hidden states are divided by their root mean square in each dimension
 * during the fit, and the head's matrix by it afterwards, so that the result reads them as they are.
 *
 * Without an adapter the trunk reads each response once, before the first step.
 *
 * @param groups At least one labelled pair.
 * @throws {RangeError} When there is no pair, or a loss is not finite.
 */
export async function* trainJudge(
  parts: TrunkParts,
  backend: Backend,
  groups: readonly LabelledGroup[],
  options: TrainJudgeOptions,
): AsyncGenerator<JudgeStep, TrainedJudge> {
  const { head, lora, seed = 0, signal } = options;
  const pairs = labelledPairs(groups);
  if (pairs.length === 0) {
    throw new RangeError(
      "Cannot train the judge as there must be one labelled pair at least: none",
    );
  }
  await using resources = new AsyncDisposableStack();
  const states = await prepareStates(parts, backend, groups, options, resources);
  const { hiddenSize } = parts.trunk;
  const shape = [headOutputs(head), hiddenSize];
  const tensors: NamedShape[] = [
    { name: HEAD, shape },
    ...(lora ? parts.trunk.adapterTensors(lora) : []),
  ];
  const fit = await compileFit(backend, states, options, tensors, hiddenSize, resources);
  const start = randomStream(seed, HEAD);
  await fit.trained.write(
    HEAD,
    new Float32Array(shape[0]! * hiddenSize)
      .map(() => normal(start) * START / Math.sqrt(hiddenSize)),
  );

  const stepsPerEpoch = Math.ceil(pairs.length / options.pairsPerStep);
  const totalSteps = stepsPerEpoch * options.epochs;
  let step = 0;
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    const order = inGroups(pairs, seed, epoch);
    for (let at = 0; at < order.length; at += options.pairsPerStep) {
      signal?.throwIfAborted();
      step++;
      const batch = order.slice(at, at + options.pairsPerStep);
      yield { step, totalSteps, ...await fit.take(batch, step, totalSteps) };
    }
  }
  return await result(fit.trained, states.scale, options);
}

/** Pairs with those of a group beside each other, groups and pairs in a random order. */
function inGroups(pairs: readonly LabelledPair[], seed: number, epoch: number): LabelledPair[] {
  const stream = randomStream(seed, "pairs", epoch);
  const byGroup = Map.groupBy(shuffle(pairs, stream), ({ group }) => group);
  return shuffle([...byGroup.values()], stream).flat();
}

/** Where the gradient program's states come from. */
interface States {
  /** Factors of the states' dimensions. */
  readonly scale: Float32Array;
  /** Hidden states [batch, hiddenSize] in a program. */
  readonly program: Parameters<typeof judgeGradientProgram>[0]["states"];
  /** The trunk's weights, where the program reads them. */
  readonly constants: Readonly<Record<string, Store>>;
  /** Inputs for some responses, (group, response) each. */
  inputs(of: readonly (readonly [number, number])[]): Record<string, HostTensor>;
  /** Tokens of a response that a run computes. */
  tokens(group: number, response: number): number;
}

async function prepareStates(
  { layout, trunk, tensors }: TrunkParts,
  backend: Backend,
  groups: readonly LabelledGroup[],
  { lora, maxTokens, tokensPerBatch = 1024, onProgress, signal }: TrainJudgeOptions,
  resources: AsyncDisposableStack,
): Promise<States> {
  const limit = Math.min(maxTokens, trunk.maxPositions ?? Infinity);
  const sequences = groups.map(({ prompt, responses }) =>
    responses.map((response) => layout.encode(prompt, response, limit))
  );
  const given = signal ? { signal } : {};
  const reader = await SequenceReader.load(trunk, noHead(), tensors, backend, {
    tokensPerBatch,
    ...given,
  });
  const read: Float32Array[][] = [];
  try {
    let done = 0;
    for (const group of sequences) {
      if (lora && done >= SCALE_SEQUENCES) break;
      read.push(await reader.read(group, { signal }));
      done += group.length;
      onProgress?.(done, sequences.flat().length);
    }
  } finally {
    await reader.dispose();
  }
  const scale = inverseRms(read.flat(), trunk.hiddenSize);
  if (!lora) {
    return {
      scale,
      program: (g) => g.input("features", "float32", ["batch", trunk.hiddenSize]),
      constants: {},
      inputs(of) {
        const data = new Float32Array(of.length * trunk.hiddenSize);
        of.forEach(([group, response], row) =>
          data.set(read[group]![response]!, row * trunk.hiddenSize)
        );
        return { features: { shape: [of.length, trunk.hiddenSize], data } };
      },
      tokens: () => 0,
    };
  }
  const entries = trunk.tensors.map(({ name }) => tensors.get(name)!);
  const weights = await backend.createStore(entries, given);
  resources.defer(() => weights.dispose());
  const at = (group: number, response: number): PlacedSequence => sequences[group]![response]!;
  return {
    scale,
    program: (g) => trunk.hidden(g, 1, lora),
    constants: { [WEIGHTS]: weights },
    inputs: (of) => trunk.pack(of.map(([group, response]) => at(group, response))),
    tokens: (group, response) => at(group, response).ids.length,
  };
}

/** 1 / √(mean of squares) in each dimension; 1 where all are 0. */
function inverseRms(states: readonly Float32Array[], size: number): Float32Array {
  const squares = new Float64Array(size);
  for (const state of states) state.forEach((value, d) => squares[d]! += value * value);
  return Float32Array.from(squares, (sum) => sum === 0 ? 1 : Math.sqrt(states.length / sum));
}

interface JudgeFit {
  readonly trained: Store;
  /** One optimizer step on some pairs. */
  take(
    pairs: readonly LabelledPair[],
    step: number,
    totalSteps: number,
  ): Promise<{ readonly loss: number; readonly gradNorm: number }>;
}

async function compileFit(
  backend: Backend,
  states: States,
  options: TrainJudgeOptions,
  tensors: readonly NamedShape[],
  hiddenSize: number,
  resources: AsyncDisposableStack,
): Promise<JudgeFit> {
  const { head, learningRate, seed = 0, weightDecay = 0, maxGradNorm = 1, signal } = options;
  const optimizer = { ...OPTIMIZERS.adamw, weightDecay };
  const trained = await newAdapter(backend, tensors, seed);
  resources.defer(() => trained.dispose());
  const gradients = await backend.createStore(tensors);
  resources.defer(() => gradients.dispose());
  const moments = await backend.createStore(momentTensors(optimizer, tensors));
  resources.defer(() => moments.dispose());
  const bind = async (
    program: Parameters<Backend["compile"]>[0],
    constants: Readonly<Record<string, Store>>,
    stores: Readonly<Record<string, Store>>,
  ): Promise<BoundExecutable> => {
    const executable = await backend.compile(program, { constants, ...(signal ? { signal } : {}) });
    resources.defer(() => executable.dispose());
    const bound = executable.bind(stores);
    resources.defer(() => bound.dispose());
    return bound;
  };
  const own = { [ADAPTER]: trained, [GRADIENTS]: gradients };
  const gradient = await bind(
    judgeGradientProgram({ states: states.program, hiddenSize, head, trained: tensors }),
    states.constants,
    own,
  );
  const norm = await bind(gradientNormProgram(tensors), {}, { [GRADIENTS]: gradients });
  const update = await bind(
    optimizerProgram(optimizer, { scope: ADAPTER, tensors }),
    {},
    { ...own, [MOMENTS]: moments },
  );
  const scalar = (value: number): HostTensor => ({ shape: [1], data: Float32Array.of(value) });
  const scale = { shape: [hiddenSize], data: states.scale };
  return {
    trained,
    async take(pairs, step, totalSteps) {
      let loss = 0;
      let keep = 0;
      for (const part of microBatches(pairs, states, options.tokensPerBatch ?? 1024)) {
        const { of, left, right } = rowsOf(part);
        const vector = (data: Float32Array | Int32Array) => ({ shape: [part.length], data });
        const outputs = await gradient.run({
          ...states.inputs(of),
          scale,
          left: vector(Int32Array.from(left)),
          right: vector(Int32Array.from(right)),
          label: vector(Float32Array.from(part, ({ label }) => label)),
          weight: vector(new Float32Array(part.length).fill(1 / pairs.length)),
          keep: scalar(keep),
        }, signal ? { signal } : {});
        loss += outputs.loss!.data[0]!;
        keep = 1;
      }
      const { squares } = await norm.run({});
      let sum = 0;
      for (const square of squares!.data) sum += square;
      const gradNorm = Math.sqrt(sum);
      if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
        throw new RangeError(
          `Cannot take step ${step} as loss and gradients must be finite (a lower learning rate may ` +
            `help): ${loss}, ${gradNorm}`,
        );
      }
      const rate = stepLearningRate(step, {
        schedule: "linear",
        learningRate,
        totalSteps,
        warmupRatio: 0.1,
      });
      const clip = maxGradNorm > 0 ? Math.min(1, maxGradNorm / (gradNorm + 1e-6)) : 1;
      const scalars = Object.entries(stepInputs(optimizer, step, rate, clip));
      await update.run(Object.fromEntries(scalars.map(([name, value]) => [name, scalar(value)])));
      return { loss, gradNorm };
    },
  };
}

/** The responses that pairs need, each once, and the rows they stand in. */
function rowsOf(pairs: readonly LabelledPair[]): {
  readonly of: [number, number][];
  readonly left: number[];
  readonly right: number[];
} {
  const of: [number, number][] = [];
  const rows = new Map<string, number>();
  const row = (group: number, response: number): number => {
    const key = `${group},${response}`;
    if (!rows.has(key)) rows.set(key, of.push([group, response]) - 1);
    return rows.get(key)!;
  };
  const left = pairs.map((pair) => row(pair.group, pair.left));
  const right = pairs.map((pair) => row(pair.group, pair.right));
  return { of, left, right };
}

/** Pairs in their order, cut so that rows × longest stay under a number of tokens. */
function microBatches(
  pairs: readonly LabelledPair[],
  { tokens }: States,
  budget: number,
): LabelledPair[][] {
  const parts: LabelledPair[][] = [];
  for (const pair of pairs) {
    const part = parts.at(-1);
    const grown = [...part ?? [], pair];
    const { of } = rowsOf(grown);
    const longest = Math.max(...of.map(([group, response]) => tokens(group, response)));
    if (part && of.length * longest <= budget) part.push(pair);
    else parts.push([pair]);
  }
  return parts;
}

async function result(
  trained: Store,
  scale: Float32Array,
  { head, lora, maxTokens }: TrainJudgeOptions,
): Promise<TrainedJudge> {
  const read = async (name: string): Promise<FloatTensor> => ({
    shape: trained.shape(name),
    data: await trained.read(name),
  });
  const { shape, data } = await read(HEAD);
  const matrix = { shape, data: data.map((value, index) => value * scale[index % scale.length]!) };
  if (!lora) return { head, matrix, maxTokens };
  const tensors = new Map<string, FloatTensor>();
  for (const name of trained.names) if (name !== HEAD) tensors.set(name, await read(name));
  return { head, matrix, adapter: { lora, tensors }, maxTokens };
}
