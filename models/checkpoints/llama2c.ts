/**
 * The checkpoint format of karpathy/llama2.c, version 0 ("legacy"): seven int32, then float32
 * tensors of all layers one kind after another.
 *
 * Source: `export.py` (legacy_export) and `run.c` (memory_map_weights).
 *
 * @module
 */

import type { TensorSource } from "../../graph/tensor_source.ts";
import {
  checkConfig,
  type DecoderConfig,
  layoutOf,
  type LinearRole,
} from "../architectures/mod.ts";
import type { ByteSource, ReadOptions } from "./byte_source.ts";
import { elementCount, rangedTensor } from "./ranged_tensor.ts";
import { halfSplitRows } from "./tensor_order.ts";

const HEADER_BYTES = 28;
/** "ak42": the magic of the later versions, which hold other layouts. */
const LATER_MAGIC = 0x616b3432;

/** A llama2.c checkpoint. */
export interface Llama2c {
  readonly config: DecoderConfig;
  /** Tensors under Hugging Face's names and row order. */
  readonly tensors: ReadonlyMap<string, TensorSource>;
}

/**
 * Reads a llama2.c checkpoint. Its tokenizer has `<s>` = 1 and `</s>` = 2; a text ends at either
 * (`run.c` stops at the `<s>` that opens the next one).
 *
 * @throws {SyntaxError} If the file's size is not the one its header calls for.
 * @throws {RangeError} If the header's sizes do not make a Llama.
 */
export async function openLlama2c(file: ByteSource, options: ReadOptions = {}): Promise<Llama2c> {
  if (file.size < HEADER_BYTES) {
    throw new SyntaxError(
      `Cannot read ${file.name} as a llama2.c checkpoint must have a header of ${HEADER_BYTES} bytes: ${file.size}`,
    );
  }
  const bytes = await file.read(0, HEADER_BYTES, options);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) === LATER_MAGIC) {
    throw new RangeError(
      `Cannot read ${file.name} as a llama2.c checkpoint must be of version 0 (export.py --version 0): ${
        view.getInt32(4, true)
      }`,
    );
  }
  const field = (index: number) => view.getInt32(index * 4, true);
  const [hiddenSize, intermediateSize, layers, heads] = [field(0), field(1), field(2), field(3)];
  const [kvHeads, signedVocab, maxPositions] = [field(4), field(5), field(6)];
  const config = checkConfig({
    architecture: "llama",
    vocabSize: Math.abs(signedVocab),
    hiddenSize,
    intermediateSize,
    layers,
    heads,
    kvHeads,
    headDim: hiddenSize / heads,
    normEps: 1e-5,
    positions: { kind: "rotary", theta: 10_000 },
    maxPositions,
    tieWordEmbeddings: signedVocab > 0,
    bosTokenId: 1,
    eosTokenIds: [1, 2],
  }, `${file.name}'s header`);

  const { linear } = layoutOf(config);
  const matrices = (roles: readonly LinearRole[]) =>
    roles.map((role) => {
      const { path, outputs, inputs } = linear.get(role)!;
      return [path, [outputs, inputs]] as const;
    });
  const perLayer: readonly (readonly [string, readonly number[]])[] = [
    ["input_layernorm", [hiddenSize]],
    ...matrices(["query", "key", "value", "output"]),
    ["post_attention_layernorm", [hiddenSize]],
    ...matrices(["gate", "down", "up"]), // w1, w2, w3
  ];
  const layerElements = perLayer.reduce((sum, [, shape]) => sum + elementCount(shape), 0);
  const vocabElements = config.vocabSize * hiddenSize;
  const elements = vocabElements * (config.tieWordEmbeddings ? 1 : 2) + layers * layerElements +
    hiddenSize + maxPositions * config.headDim; // the last are rotary tables, not used
  const expected = HEADER_BYTES + elements * 4;
  if (expected !== file.size) {
    throw new SyntaxError(
      `Cannot read ${file.name} as a llama2.c checkpoint with its header must have ${expected} bytes: ${file.size}`,
    );
  }

  const tensors = new Map<string, TensorSource>();
  let offset = HEADER_BYTES;
  const add = (name: string, shape: readonly number[]) => {
    const tensor = rangedTensor(file, name, shape, "f32", offset);
    offset += tensor.byteLength;
    const rotated = /\.[qk]_proj\.weight$/.test(name);
    tensors.set(name, rotated ? halfSplitRows(tensor, config.headDim) : tensor);
  };
  add("model.embed_tokens.weight", [config.vocabSize, hiddenSize]);
  for (const [name, shape] of perLayer) {
    for (let layer = 0; layer < layers; layer++) add(`model.layers.${layer}.${name}.weight`, shape);
  }
  add("model.norm.weight", [hiddenSize]);
  offset += maxPositions * config.headDim * 4;
  if (!config.tieWordEmbeddings) add("lm_head.weight", [config.vocabSize, hiddenSize]);
  return { config, tensors };
}
