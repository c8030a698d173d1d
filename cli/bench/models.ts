/**
 * Whole models of the embedded policy's size: a step of decoding, a prefill, a training step, a judge's
 * reading.
 *
 * @module
 */

import type { HostTensor } from "../../graph/mod.ts";
import {
  allTargets,
  decoderTensors,
  LanguageModel,
  OPTIMIZERS,
  TRAINING_DEFAULTS,
} from "../../models/mod.ts";
import type { DebertaConfig } from "../../models/architectures/deberta_config.ts";
import { linearHead } from "../../models/preference/response_heads.ts";
import { SequenceReader } from "../../models/preference/sequence_reader.ts";
import { debertaTrunk } from "../../models/preference/trunk.ts";
import type { PreparedGroup } from "../../models/training/prepare.ts";
import { takeStep } from "../../models/training/step.ts";
import { type BenchCase, openParts } from "./case.ts";
import { EMBEDDED_SIZE, randomIds, randomLlama, randomTensors } from "./random_models.ts";

/** Tokens in the caches. */
const PAST = 64;

const elements = (tensors: readonly { readonly shape: readonly number[] }[]) =>
  tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

/** Weights that a token is multiplied with; the tied vocabulary matrix is one of them. */
const WEIGHTS = elements(decoderTensors(EMBEDDED_SIZE).filter(({ shape }) => shape.length > 1));
const { layers, kvHeads, headDim, heads } = EMBEDDED_SIZE;

/** The inputs of `decodeProgram` for rows that all have the same number of new tokens. */
function decodeInputs(rows: number, time: number, past: number): Record<string, HostTensor> {
  const each = (of: (row: number, t: number) => number) => ({
    shape: [rows, time],
    data: Int32Array.from({ length: rows * time }, (_, at) => of(Math.floor(at / time), at % time)),
  });
  const perRow = (of: (row: number) => number) => ({
    shape: [rows],
    data: Int32Array.from({ length: rows }, (_, row) => of(row)),
  });
  const ids = randomIds("decode", rows * time);
  return {
    ids: each((row, t) => ids[row * time + t]!),
    positions: each((_, t) => past + t),
    past: perRow(() => past),
    count: perRow(() => time),
    last: perRow((row) => row * time + time - 1),
    inverse_temperature: { shape: [1], data: Float32Array.of(1 / 0.7) },
  };
}

/** One run of the decoder: a token of some rows after a past, or fresh texts. */
function decoding(kind: "step" | "prefill", rows: number): BenchCase {
  const [time, past] = kind === "step" ? [1, PAST] : [PAST, 0];
  const tokens = rows * time;
  const seen = kind === "step" ? PAST + 1 : (PAST + 1) / 2;
  const keys = layers * kvHeads * headDim * 2; // elements of a token's cache
  return {
    name: kind === "step"
      ? `one token of ${rows} row${rows > 1 ? "s" : ""}, ${PAST} in the cache`
      : `prefill of ${rows}×${PAST} tokens`,
    flops: tokens * (2 * WEIGHTS + 4 * layers * heads * headDim * seen),
    bytes: 4 * (WEIGHTS + keys * rows * (past + time)),
    tokens,
    open: (backend) =>
      openParts(async (parts) => {
        const checkpoint = randomLlama(EMBEDDED_SIZE);
        const model = await parts.add(
          "loadMs",
          () => LanguageModel.load(checkpoint, backend, { template: "none", slots: rows }),
        );
        const decoder = await parts.add("compileMs", () => model.decoder(undefined, 128, rows));
        const given = decodeInputs(rows, time, past);
        return async () => void await decoder[kind].run(given);
      }),
  };
}

/** Steps of 1, 5 and 20 rows, and a prefill. Of 5 rows: a prompt's samples. */
export const decodingCases: readonly BenchCase[] = [
  decoding("prefill", 4),
  decoding("step", 1),
  decoding("step", 20),
  decoding("step", 5),
];

const PROMPT = 16;
const RESPONSE = 48;

function pairs(count: number): PreparedGroup[] {
  return Array.from({ length: count }, (_, pair): PreparedGroup => {
    const promptIds = randomIds(`prompt ${pair}`, PROMPT);
    return {
      responses: [0.8, 0.2].map((winRate) => ({
        promptIds,
        responseIds: randomIds(`response ${pair} ${winRate}`, RESPONSE),
        target: winRate - 0.5,
        weight: 0.5,
        winRate,
        anchorLogProbs: new Float32Array(RESPONSE).fill(-Math.log(EMBEDDED_SIZE.vocabSize)),
      })),
    };
  });
}

/** What is trained: an adapter on all linear layers, or all weights. */
const TRAINABLE = {
  "rank 16": {
    kind: "lora",
    lora: { rank: 16, alpha: 32, targets: allTargets(EMBEDDED_SIZE) },
  },
  "all weights": { kind: "all" },
} as const;

/**
 * Gradients, clipping and AdamW of some pairs, as the trainer takes a step. Twice 2 operations a weight
 * and token with an adapter (its own and attention's not counted), three times with all weights; a
 * prompt counts once.
 */
function trainingStep(what: keyof typeof TRAINABLE, count: number): BenchCase {
  const trainable = TRAINABLE[what];
  const tokens = count * (PROMPT + 2 * RESPONSE);
  return {
    name: `${what}, ${count} pairs of ${PROMPT} + ${RESPONSE} tokens`,
    flops: (trainable.kind === "lora" ? 4 : 6) * WEIGHTS * tokens,
    bytes: 8 * WEIGHTS,
    tokens,
    open: (backend) =>
      openParts(async (parts) => {
        const checkpoint = randomLlama(EMBEDDED_SIZE);
        const model = await parts.add(
          "loadMs",
          () => LanguageModel.load(checkpoint, backend, { template: "none", trainable }),
        );
        const policy = await parts.add("loadMs", () => model.policy());
        const loss = { name: "sppo", beta: 1 } as const;
        const fit = await parts.add("compileMs", () => model.fit(policy, loss, OPTIMIZERS.adamw));
        const groups = pairs(count);
        const options = { ...TRAINING_DEFAULTS, learningRate: 1e-6, tokensPerBatch: 2048 };
        let step = 0;
        return async () => void await takeStep(fit, options, groups, ++step);
      }),
  };
}

/** A step of all weights, and of an adapter. */
export const trainingCases: readonly BenchCase[] = [
  trainingStep("all weights", 4),
  trainingStep("rank 16", 4),
];

/** A DeBERTa-v3 of the embedded policy's width. */
const ENCODER: DebertaConfig = {
  vocabSize: EMBEDDED_SIZE.vocabSize,
  hiddenSize: 128,
  intermediateSize: 512,
  layers: 6,
  heads: 4,
  normEps: 1e-7,
  span: 256,
  logBuckets: true,
  maxDistance: 512,
  terms: ["c2p", "p2c"],
  shareProjections: true,
  normRelative: true,
  absolutePositions: 0,
  tokenTypes: 0,
  gelu: "none",
};

/** Some texts read by an encoder with a reward head. */
function reading(rows: number, time: number): BenchCase {
  const trunk = debertaTrunk(ENCODER);
  const head = linearHead("score", ENCODER.hiddenSize, 1);
  const blocks = trunk.tensors.filter(({ name }) => /^encoder\.layer.*weight$/.test(name));
  const tokens = rows * time;
  return {
    name: `a DeBERTa reads ${rows}×${time} tokens`,
    flops: tokens * (2 * elements(blocks) + 8 * ENCODER.layers * ENCODER.hiddenSize * time),
    bytes: 4 * elements(blocks),
    tokens,
    open: (backend) =>
      openParts(async (parts) => {
        const tensors = randomTensors([...trunk.tensors, ...head.tensors]);
        const reader = await parts.add(
          "compileMs",
          () => SequenceReader.load(trunk, head, tensors, backend, { tokensPerBatch: tokens }),
        );
        const sequences = Array.from(
          { length: rows },
          (_, row) => ({ ids: randomIds(`text ${row}`, time), places: [0] }),
        );
        return async () => void await reader.read(sequences);
      }),
  };
}

/** A judge's batch. */
export const judgingCases: readonly BenchCase[] = [reading(4, 128)];
