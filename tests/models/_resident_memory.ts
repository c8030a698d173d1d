/**
 * A program of its own: loads a checkpoint, uses it in every way, and prints the memory that is resident
 * after each. `_resident_memory.ts KIND` with
 *
 * - `float32`: from a source, as if it had been decoded;
 * - `file`: float32 values, all zero, in a safetensors file;
 * - `merged`: as `float32`, and then with adapters merged to sample;
 * - `q4_0`: kept encoded, with fast sampling.
 */

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import { encodedByteLength, type TensorSource } from "../../graph/mod.ts";
import {
  type Checkpoint,
  type DecoderConfig,
  decoderTensors,
  LanguageModel,
  type LocalPolicy,
  OPTIMIZERS,
  TRAINING_DEFAULTS,
} from "../../models/mod.ts";
import { openSafetensors } from "../../models/checkpoints/safetensors.ts";
import { takeStep } from "../../models/training/step.ts";
import { tinyLlama } from "./_tiny_llama.ts";

/** Large matrices in few layers, so that compiled programs are small beside their weights. */
const config: DecoderConfig = {
  ...(await tinyLlama()).config,
  vocabSize: 256,
  hiddenSize: 1024,
  intermediateSize: 4096,
  layers: Deno.args[0] === "q4_0" ? 12 : 4,
  heads: 8,
  kvHeads: 4,
  headDim: 128,
  tieWordEmbeddings: true,
};

/** What is printed: MiB of the weights and after each use. */
export interface ResidentMemory {
  readonly weights: number;
  /** Memory of the process's own, and of files, after each use, above what there was at the start. */
  readonly uses: readonly {
    readonly use: string;
    readonly own: number;
    readonly files: number;
  }[];
}

function resident(): { own: number; files: number } {
  const status = Deno.readTextFileSync("/proc/self/status");
  const mib = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)![1]) / 1024;
  return { own: mib("RssAnon"), files: mib("RssFile") };
}

/** Bytes of q4_0 are scales of 2⁻¹⁰ and any quants. */
const SCALE = [0x00, 0x14];

/** Bytes [start, end) that differ between tensors: onnxruntime packs equal ones only once. */
function values(seed: number, encoding: "f32" | "q4_0", start: number, end: number): Uint8Array {
  const mixed = (i: number) => Math.imul(i + seed, 0x9e3779b1) >>> 0;
  if (encoding === "f32") {
    const floats = new Float32Array((end - start) / 4);
    return new Uint8Array(floats.map((_, i) => mixed(start / 4 + i) / 2 ** 37 - 2 ** -6).buffer);
  }
  return new Uint8Array(end - start).map((_, i) =>
    SCALE[(start + i) % 18] ?? mixed(start + i) >>> 24
  );
}

function madeUp(name: string, shape: readonly number[], kind: string): TensorSource {
  const elements = shape.reduce((product, size) => product * size, 1);
  const encoding = kind === "q4_0" && shape.length === 2 ? "q4_0" : "f32";
  const seed = [...name].reduce((sum, letter) => Math.imul(sum, 31) + letter.charCodeAt(0), 7);
  return {
    name,
    shape,
    encoding,
    byteLength: encodedByteLength(encoding, elements),
    read: (start, end) => Promise.resolve(values(seed, encoding, start, end)),
  };
}

/** Zeros in a safetensors file, which take no room on disk. */
async function writeFile(path: string): Promise<void> {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape } of decoderTensors(config)) {
    const start = end;
    end += 4 * shape.reduce((product, size) => product * size, 1);
    header[name] = { dtype: "F32", shape, data_offsets: [start, end] };
  }
  const json = JSON.stringify(header);
  const text = new TextEncoder().encode(json.padEnd(8 * Math.ceil(json.length / 8)));
  using file = await Deno.open(path, { write: true, create: true });
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  await file.write(length);
  await file.write(text);
  await file.truncate(8 + text.length + end);
}

async function main(kind: string): Promise<ResidentMemory> {
  await using resources = new AsyncDisposableStack();
  let tensors = new Map(
    decoderTensors(config).map(({ name, shape }) => [name, madeUp(name, shape, kind)]),
  );
  if (kind === "file") {
    const path = await Deno.makeTempFile({ suffix: ".safetensors" });
    resources.defer(() => Deno.remove(path));
    await writeFile(path);
    const opened = resources.use(await openCheckpointFiles(path));
    tensors = new Map((await openSafetensors(Object.values(opened.files)[0]!)).tensors);
  }
  const checkpoint: Checkpoint = { ...await tinyLlama(), config, tensors };
  const backend = await createOnnxBackend({ threads: 1 });
  resources.defer(() => backend.dispose());
  const start = resident();
  const uses: ResidentMemory["uses"][number][] = [];
  const note = (use: string) => {
    (globalThis as { gc?: () => void }).gc?.();
    const { own, files } = resident();
    uses.push({ use, own: own - start.own, files: files - start.files });
  };

  const model = await LanguageModel.load(checkpoint, backend, {
    template: "none",
    trainable: { kind: "lora", lora: { rank: 4, alpha: 8, targets: ["all-linear"] } },
    ...(kind === "q4_0" ? { keepEncoded: true, precision: "fast" as const } : {}),
    ...(kind === "merged" ? { sampledAdapter: "merged" as const } : {}),
    slots: 4,
  });
  resources.defer(() => model.dispose());
  note("load");
  const policy = await model.policy();
  await use(model, policy, note);
  for (const value of kind === "merged" ? [1, 2, 3] : []) {
    const tensors = model.trainableTensors().tensors.map(({ name, shape }) =>
      [name, { shape, data: new Float32Array(shape[0]! * shape[1]!).fill(value / 1024) }] as const
    );
    await using trained = new AsyncDisposableStack();
    const adapted = await model.policyFromTensors(new Map(tensors));
    trained.defer(() => adapted.dispose());
    await decode(model, adapted, 16);
    note(`merged ${value}`);
  }
  return { weights: model.weightBytes / 2 ** 20, uses };
}

async function use(
  model: LanguageModel,
  policy: LocalPolicy,
  note: (use: string) => void,
): Promise<void> {
  const promptIds = [1, 2, 3];
  const responses = [[4, 5], [6, 7]].map((responseIds) => ({ promptIds, responseIds }));
  const scored = await policy.scoreSequences(responses);
  note("score");
  const fit = await model.fit(policy, { name: "sppo", beta: 1 }, OPTIMIZERS.adamw);
  const group = {
    responses: responses.map((response, index) => ({
      ...response,
      ...{ target: 0.5 - index, weight: 0.5, winRate: 0.5, anchorLogProbs: scored[index]! },
    })),
  };
  const options = { ...TRAINING_DEFAULTS, tokensPerBatch: 64, learningRate: 1e-4 };
  await takeStep(fit, options, [group], 1);
  note("step");
  for (const tokens of [16, 80]) { // programs of two capacities
    await decode(model, policy, tokens);
    note(`decode ${tokens}`);
  }
}

/** A decoding step by a program of a capacity. */
async function decode(model: LanguageModel, policy: LocalPolicy, tokens: number): Promise<void> {
  const decoder = await model.decoder(policy.trained, tokens, 2);
  const one = { shape: [1], data: Int32Array.of(1) };
  await decoder.step.run({
    ids: { shape: [1, 1], data: Int32Array.of(4) },
    positions: { shape: [1, 1], data: Int32Array.of(1) },
    past: one,
    count: one,
    last: { shape: [1], data: Int32Array.of(0) },
    inverse_temperature: { shape: [1], data: Float32Array.of(1) },
  });
  await decoder.dispose();
}

if (import.meta.main) {
  const measured = await main(Deno.args[0]!);
  await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(measured)));
}
