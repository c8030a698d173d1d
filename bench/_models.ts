/**
 * Random models in memory, for benches that need no checkpoint.
 *
 * @module
 */

import { createOnnxBackend } from "../backends/onnx/mod.ts";
import { normal, randomStream } from "../core/mod.ts";
import { type Backend, fromFloat32 } from "../graph/mod.ts";
import {
  type Checkpoint,
  createTextCodec,
  type DecoderConfig,
  decoderTensors,
  type Tokenizer,
} from "../models/mod.ts";

/** As many threads as the figures in docs/performance.md. */
const THREADS = 2;

/** The size of the embedded policy: 1.3 million weights. */
export const EMBEDDED_SIZE: DecoderConfig = {
  architecture: "llama",
  vocabSize: 1536,
  hiddenSize: 128,
  intermediateSize: 352,
  layers: 6,
  heads: 4,
  kvHeads: 2,
  headDim: 32,
  normEps: 1e-5,
  positions: { kind: "rotary", theta: 10_000 },
  maxPositions: 256,
  tieWordEmbeddings: true,
  eosTokenIds: [0],
};

/** Text is token ids with spaces between. */
const numbers: Tokenizer = {
  vocabSize: EMBEDDED_SIZE.vocabSize,
  encode: (text) => text.split(" ").map(Number),
  decode: (ids) => ids.join(" "),
};

/** The onnx backend. */
export function onnxBackend(): Promise<Backend> {
  return createOnnxBackend({ threads: THREADS });
}

/** Values of a normal distribution, the same for the same name. */
export function randomValues(name: string, length: number, deviation: number): Float32Array {
  const random = randomStream(0, name);
  return new Float32Array(length).map(() => normal(random) * deviation);
}

/** A Llama with random weights. */
export function randomLlama(config: DecoderConfig): Checkpoint {
  const tensors = decoderTensors(config).map(({ name, shape }) => {
    const length = shape.reduce((a, b) => a * b, 1);
    const values = shape.length === 1
      ? new Float32Array(length).fill(1)
      : randomValues(name, length, 0.05);
    return [name, fromFloat32(name, shape, values)] as const;
  });
  return {
    format: "huggingface",
    config,
    tensors: new Map(tensors),
    metadata: new Map(),
    text: () => createTextCodec(numbers),
  };
}

/** Token ids from 3 on. */
export function randomIds(name: string, length: number): number[] {
  const random = randomStream(1, name);
  return Array.from({ length }, () => 3 + Math.floor(random.next() * 1500));
}
