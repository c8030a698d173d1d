/**
 * Random models in memory, so that nothing has to be read.
 *
 * @module
 */

import { normal, randomStream } from "../../core/mod.ts";
import { fromFloat32, type TensorSource } from "../../graph/mod.ts";
import {
  type Checkpoint,
  createTextCodec,
  type DecoderConfig,
  decoderTensors,
  type Tokenizer,
} from "../../models/mod.ts";

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

/** Different random numbers in a tensor; more would take longer than what is measured. */
const DISTINCT = 2 ** 16;

/** Values of a normal distribution, the same for the same name; long tensors repeat them. */
export function randomValues(name: string, length: number, deviation: number): Float32Array {
  const random = randomStream(0, name);
  const values = new Float32Array(length);
  const distinct = Math.min(length, DISTINCT);
  for (let at = 0; at < distinct; at++) values[at] = normal(random) * deviation;
  for (let done = distinct; done < length; done *= 2) {
    values.copyWithin(done, 0, Math.min(done, length - done));
  }
  return values;
}

/** Random matrices, and vectors of ones, as norms have them. */
export function randomTensors(
  shapes: readonly { readonly name: string; readonly shape: readonly number[] }[],
): Map<string, TensorSource> {
  return new Map(shapes.map(({ name, shape }) => {
    const length = shape.reduce((a, b) => a * b, 1);
    const values = shape.length === 1
      ? new Float32Array(length).fill(1)
      : randomValues(name, length, 0.05);
    return [name, fromFloat32(name, shape, values)] as const;
  }));
}

/** A Llama with random weights. */
export function randomLlama(config: DecoderConfig): Checkpoint {
  return {
    format: "huggingface",
    config,
    tensors: randomTensors(decoderTensors(config)),
    metadata: new Map(),
    text: () => createTextCodec(numbers),
  };
}

/** Token ids from 3 on. */
export function randomIds(name: string, length: number): number[] {
  const random = randomStream(1, name);
  return Array.from({ length }, () => 3 + Math.floor(random.next() * 1500));
}
