/**
 * The Llama whose training step is compared: sizes, weights and texts that every side starts from.
 *
 * @module
 */

import { randomIds, randomTensors } from "../../cli/bench/random_models.ts";
import { readAsFloat32 } from "../../graph/mod.ts";
import { type DecoderConfig, decoderTensors } from "../../models/mod.ts";

/** Rows, and tokens of each that are read. */
export const [ROWS, TIME] = [4, 128] as const;

/** Hyperparameters of AdamW without decay. */
export const ADAM = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

const common = {
  architecture: "llama",
  vocabSize: 512,
  normEps: 1e-5,
  positions: { kind: "rotary", theta: 10_000 },
  maxPositions: 256,
  tieWordEmbeddings: true,
  eosTokenIds: [0],
} as const;

/** The two models, both with as many heads for keys as for queries. */
export const SIZES = {
  small: {
    ...common,
    hiddenSize: 64,
    intermediateSize: 176,
    layers: 5,
    heads: 4,
    kvHeads: 4,
    headDim: 16,
  },
  large: {
    ...common,
    hiddenSize: 256,
    intermediateSize: 704,
    layers: 6,
    heads: 8,
    kvHeads: 8,
    headDim: 32,
  },
} as const satisfies Readonly<Record<string, DecoderConfig>>;

/** Name of a size. */
export type SizeName = keyof typeof SIZES;

/** A tensor on the host. */
export interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Random weights, the same on every side. */
export async function weightsOf(config: DecoderConfig): Promise<Weight[]> {
  const sources = randomTensors(decoderTensors(config));
  return await Promise.all([...sources].map(async ([name, source]) => ({
    name,
    shape: source.shape,
    values: await readAsFloat32(source),
  })));
}

/** Tokens that are read, and those that follow each: [ROWS · TIME]. */
export function texts({ vocabSize }: DecoderConfig): { inputs: Int32Array; targets: Int32Array } {
  const [inputs, targets] = [new Int32Array(ROWS * TIME), new Int32Array(ROWS * TIME)];
  for (let row = 0; row < ROWS; row++) {
    const ids = randomIds(`text ${row}`, TIME + 1).map((id) => id % vocabSize);
    inputs.set(ids.slice(0, TIME), row * TIME);
    targets.set(ids.slice(1), row * TIME);
  }
  return { inputs, targets };
}

/** One in the column of each id: float32 [ids, width]. */
export function oneHot(ids: Int32Array, width: number): Float32Array {
  const values = new Float32Array(ids.length * width);
  ids.forEach((id, row) => values[row * width + id] = 1);
  return values;
}

/** Tables of rotary positions, each half alike: [TIME, headDim]. */
export function rotaryTables(
  { headDim, positions }: typeof SIZES[SizeName],
): { cos: Float32Array; sin: Float32Array } {
  const [cos, sin] = [new Float32Array(TIME * headDim), new Float32Array(TIME * headDim)];
  const half = headDim / 2;
  for (let time = 0; time < TIME; time++) {
    for (let at = 0; at < headDim; at++) {
      const angle = time / positions.theta ** ((at % half) / half);
      cos[time * headDim + at] = Math.cos(angle);
      sin[time * headDim + at] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
