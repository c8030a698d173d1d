/**
 * Chooses between float32 and fast sampling by measuring both on the machine they run on.
 *
 * @module
 */

import type { Backend, HostTensor } from "../../graph/mod.ts";
import { decoderTensors, type LoraShape } from "../architectures/mod.ts";
import type { Checkpoint } from "../checkpoints/open.ts";
import { firstBlocks } from "../first_blocks.ts";
import { LanguageModel } from "../language_model.ts";
import type { Decoder } from "./generate.ts";
import type { Precision } from "./precision.ts";

/** Options of {@linkcode choosePrecision}. */
export interface ChoosePrecisionOptions {
  /** Responses decoded side by side. */
  readonly rows: number;
  /** The adapter that the linear layers carry, if any. */
  readonly lora?: LoraShape;
  /** Whether weights stay encoded in float32 too. */
  readonly keepEncoded?: boolean;
  /** Ends the measurement with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What was measured, in milliseconds of a decoding step, and what follows. */
export interface PrecisionChoice {
  /** The faster one; `float32` where no matrix of the checkpoint can stay encoded. */
  readonly precision: Precision;
  /** The least time of a step of the measured blocks; absent where nothing was to be chosen. */
  readonly milliseconds?: Readonly<Record<Precision, number>>;
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
/** Fast sampling is not the policy itself: it must pay. */
const WORTH = 0.9;

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

/**
 * Times steps of the model's first blocks in both precisions, in turns, and chooses. The least time of
 * each counts: whatever else the machine does only adds to it.
 */
export async function choosePrecision(
  checkpoint: Checkpoint,
  backend: Backend,
  { rows, lora, keepEncoded = false, signal }: ChoosePrecisionOptions,
): Promise<PrecisionChoice> {
  const part = measuredPart(checkpoint);
  if (!await canSampleFast(part, backend)) return { precision: "float32" };
  await using resources = new AsyncDisposableStack();
  const prepare = async (precision: Precision): Promise<Decoder> => {
    const model = await LanguageModel.load(part, backend, {
      precision,
      template: "none",
      slots: rows,
      keepEncoded,
      ...(lora ? { trainable: { kind: "lora", lora } } : {}),
      ...(signal ? { signal } : {}),
    });
    resources.defer(() => model.dispose());
    const policy = await model.policy();
    resources.defer(() => policy.dispose());
    const decoder = await model.decoder(policy.trained, PAST + 1, 1);
    resources.defer(() => decoder.dispose());
    return decoder;
  };
  const decoders = { float32: await prepare("float32"), fast: await prepare("fast") };
  const milliseconds = { float32: Infinity, fast: Infinity };
  const inputs = step(decoders.fast.slots);
  for (let run = -WARMUPS; run < STEPS; run++) {
    for (const precision of ["float32", "fast"] as const) {
      const started = performance.now();
      await decoders[precision].step.run(inputs, signal ? { signal } : {});
      const took = performance.now() - started;
      if (run >= 0) milliseconds[precision] = Math.min(milliseconds[precision], took);
    }
  }
  const precision = milliseconds.fast <= WORTH * milliseconds.float32 ? "fast" : "float32";
  return { precision, milliseconds };
}

/** Whether the backend keeps any matrix of the checkpoint encoded. */
async function canSampleFast({ tensors }: Checkpoint, backend: Backend): Promise<boolean> {
  const store = await backend.createStore([...tensors.values()], { keepEncoded: true });
  const kept = store.names.some((name) => store.encoding(name) !== "f32");
  await store.dispose();
  return kept;
}
