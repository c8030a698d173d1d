/** Checkpoints with random matrices in ggml's block encodings. */

import { type Encoding, fromFloat32 } from "../../graph/mod.ts";
import { type Checkpoint, type DecoderConfig, decoderTensors } from "../../models/mod.ts";
import { randomBlocks } from "../_blocks.ts";
import { tinyLlama } from "./_tiny_llama.ts";

/** Of the tiny Llama's shape, with whole blocks. */
export async function quantised(
  encoding: Encoding,
  tied = true,
  sizes: Partial<DecoderConfig> = {},
): Promise<Checkpoint> {
  const tiny = await tinyLlama();
  const config: DecoderConfig = {
    ...tiny.config,
    vocabSize: 67,
    hiddenSize: 64,
    intermediateSize: 96,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    tieWordEmbeddings: tied,
    ...sizes,
  };
  const tensors = decoderTensors(config).map(({ name, shape }) =>
    [
      name,
      shape.length === 2
        ? randomBlocks(encoding, name, shape as [number, number])
        : fromFloat32(name, shape, new Float32Array(shape[0]!).fill(1)),
    ] as const
  );
  return { ...tiny, config, tensors: new Map(tensors) };
}
