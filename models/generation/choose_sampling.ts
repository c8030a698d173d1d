/**
 * Chooses how to sample by measuring the ways on the machine they run on.
 *
 * @module
 */

import type { Backend, HostTensor } from "../../graph/mod.ts";
import { decoderTensors, type LoraShape } from "../architectures/mod.ts";
import type { Checkpoint } from "../checkpoints/open.ts";
import { firstBlocks } from "../first_blocks.ts";
import { LanguageModel } from "../language_model.ts";
import type { LocalPolicy } from "../local_policy.ts";
import type { Decoder } from "./generate.ts";
import type { Precision } from "./precision.ts";
import type { SampledAdapter } from "./sampled_adapter.ts";

/** Options of {@linkcode chooseSampling}. */
export interface ChooseSamplingOptions {
  /** Responses decoded side by side. */
  readonly rows: number;
  /** The adapter that the linear layers carry, if any. */
  readonly lora?: LoraShape;
  /** Whether weights stay encoded in float32 too. */
  readonly keepEncoded?: boolean;
  /** The precision, where it is not to be chosen. */
  readonly precision?: Precision;
  /** How the adapter takes part, where it is not to be chosen. */
  readonly sampledAdapter?: SampledAdapter;
  /**
   * Decoding steps that are expected of each policy, which bear what merging its adapter takes. When not
   * given they are so many that it does not count.
   */
  readonly stepsPerPolicy?: number;
  /** Ends the measurement with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A way to sample: in float32 with the adapter apart (or none), with it merged, or fast. */
export type SamplingWay = "float32" | "merged" | "fast";

/** What was measured, of the measured blocks, and what follows. */
export interface SamplingChoice {
  /** The faster one; `float32` where no matrix of the checkpoint can stay encoded. */
  readonly precision: Precision;
  /** The faster one; `apart` where there is no adapter, or weights stay encoded. */
  readonly sampledAdapter: SampledAdapter;
  /** The least time of a decoding step in each way that came into question, in milliseconds. */
  readonly milliseconds?: Readonly<Partial<Record<SamplingWay, number>>>;
  /** What merging an adapter and compiling for it took, in milliseconds. */
  readonly merging?: number;
}

/** Least number of the model's blocks that are measured, with as large a part of its vocabulary. */
const BLOCKS = 4;
/** Blocks that take less in float32 are joined by others: caches would make that precision look fast. */
const MEASURED_BYTES = 128 << 20;
/** The part of the vocabulary is a multiple of this, as whole vocabularies mostly are. */
const ROWS = 64;
/** Tokens in the cache. */
const PAST = 64;
const WARMUPS = 3;
const STEPS = 12;
/** Fast sampling is not the policy itself, and merging takes memory: they must pay. */
const WORTH = { fast: 0.9, merged: 0.97 };
/**
 * Merging and packing touch each weight as often as several steps do, and save less than a fifth of a
 * step: fewer steps of a policy than these cannot bear it, and nothing is measured.
 */
export const FEWEST_MERGED_STEPS = 64;

/** The first blocks of a checkpoint with the first rows of its vocabulary, in the model's proportions. */
function measuredPart(checkpoint: Checkpoint): Checkpoint {
  const { layers, vocabSize } = checkpoint.config;
  const elements = (layers: number) =>
    decoderTensors({ ...checkpoint.config, layers })
      .reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  const blockBytes = 4 * (elements(2) - elements(1));
  const blocks = Math.min(layers, Math.max(BLOCKS, Math.ceil(MEASURED_BYTES / blockBytes)));
  return firstBlocks(checkpoint, blocks, ROWS * Math.ceil(vocabSize * blocks / layers / ROWS));
}
/** The inputs of a decoding step. */
function step(rows: number): Record<string, HostTensor> {
  const each = (of: (row: number) => number) => Int32Array.from({ length: rows }, (_, i) => of(i));
  return {
    ids: { shape: [rows, 1], data: each(() => 0) },
    positions: { shape: [rows, 1], data: each(() => PAST) },
    past: { shape: [rows], data: each(() => PAST) },
    count: { shape: [rows], data: each(() => 1) },
    last: { shape: [rows], data: each((row) => row) },
    inverse_temperature: { shape: [1], data: Float32Array.of(1) },
  };
}

/** The ways that come into question, the plainest first. */
async function ways(
  part: Checkpoint,
  backend: Backend,
  { precision, sampledAdapter, lora, keepEncoded, stepsPerPolicy = Infinity }:
    ChooseSamplingOptions,
): Promise<SamplingWay[]> {
  if (precision === "fast") return ["fast"];
  if (sampledAdapter === "merged") return ["merged"];
  const merges = sampledAdapter === undefined && lora && !keepEncoded &&
    stepsPerPolicy >= FEWEST_MERGED_STEPS;
  const fast = precision === undefined && await canSampleFast(part, backend);
  return ["float32", ...merges ? ["merged" as const] : [], ...fast ? ["fast" as const] : []];
}

/**
 * The way that is faster, of those that were timed; the plainest unless another pays.
 *
 * @param merging A step's share of what merging takes.
 */
export function fastestWay(
  { float32 = Infinity, merged = Infinity, fast = Infinity }: Partial<Record<SamplingWay, number>>,
  merging: number,
): SamplingWay {
  const withMerging = merged + merging;
  if (fast <= WORTH.fast * Math.min(float32, withMerging)) return "fast";
  return withMerging <= WORTH.merged * float32 ? "merged" : "float32";
}

/**
 * Times steps of the model's first blocks in each way that comes into question, in turns, and chooses.
 * The least time of each counts: whatever else the machine does only adds to it.
 */
export async function chooseSampling(
  checkpoint: Checkpoint,
  backend: Backend,
  options: ChooseSamplingOptions,
): Promise<SamplingChoice> {
  const part = measuredPart(checkpoint);
  const measured = await ways(part, backend, options);
  const chosen = (way: SamplingWay): SamplingChoice => ({
    precision: way === "fast" ? "fast" : "float32",
    sampledAdapter: way === "merged" ? "merged" : options.sampledAdapter ?? "apart",
  });
  if (measured.length === 1) return chosen(measured[0]!);
  await using resources = new AsyncDisposableStack();
  const timed: { way: SamplingWay; decoder: Decoder; least: number }[] = [];
  let merging: number | undefined;
  for (const way of measured) {
    const ready = await prepare(part, backend, way, options, resources);
    timed.push({ way, decoder: ready.decoder, least: Infinity });
    if (way === "merged") merging = ready.milliseconds;
  }
  const inputs = step(timed[0]!.decoder.slots);
  const { signal, stepsPerPolicy = Infinity } = options;
  for (let run = -WARMUPS; run < STEPS; run++) {
    for (const one of timed) {
      const started = performance.now();
      await one.decoder.step.run(inputs, signal ? { signal } : {});
      const took = performance.now() - started;
      if (run >= 0) one.least = Math.min(one.least, took);
    }
  }
  const milliseconds: Partial<Record<SamplingWay, number>> = Object.fromEntries(
    timed.map(({ way, least }) => [way, least]),
  );
  const way = fastestWay(milliseconds, (merging ?? 0) / stepsPerPolicy);
  return { ...chosen(way), milliseconds, ...(merging === undefined ? {} : { merging }) };
}

/** A decoder of the model's part in one way, and how long it took to have one for another policy. */
async function prepare(
  part: Checkpoint,
  backend: Backend,
  way: SamplingWay,
  { rows, lora, keepEncoded = false, signal }: ChooseSamplingOptions,
  resources: AsyncDisposableStack,
): Promise<{ readonly decoder: Decoder; readonly milliseconds: number }> {
  const model = await LanguageModel.load(part, backend, {
    precision: way === "fast" ? "fast" : "float32",
    sampledAdapter: way === "merged" ? "merged" : "apart",
    template: "none",
    slots: rows,
    keepEncoded,
    ...(lora ? { trainable: { kind: "lora", lora } } : {}),
    ...(signal ? { signal } : {}),
  });
  resources.defer(() => model.dispose());
  const decoderOf = async (policy: LocalPolicy): Promise<Decoder> => {
    resources.defer(() => policy.dispose());
    return await model.decoder(policy.trained, PAST + 1, 1);
  };
  if (way === "merged") await (await decoderOf(await trained(model, 1))).dispose();
  const policy = way === "merged" ? await trained(model, 2) : await model.policy();
  const started = performance.now();
  const decoder = await decoderOf(policy);
  const milliseconds = performance.now() - started;
  resources.defer(() => decoder.dispose());
  return { decoder, milliseconds };
}

/** A policy whose adapter is not zero. */
async function trained(model: LanguageModel, seed: number): Promise<LocalPolicy> {
  const tensors = model.trainableTensors().tensors.map(({ name, shape }) => {
    const length = shape.reduce((product, size) => product * size, 1);
    return [name, { shape, data: new Float32Array(length).fill(seed / 1024) }] as const;
  });
  return await model.policyFromTensors(new Map(tensors));
}

/** Whether the backend keeps any matrix of the checkpoint encoded. */
async function canSampleFast({ tensors }: Checkpoint, backend: Backend): Promise<boolean> {
  const store = await backend.createStore([...tensors.values()], { keepEncoded: true });
  const kept = store.names.some((name) => store.encoding(name) !== "f32");
  await store.dispose();
  return kept;
}
