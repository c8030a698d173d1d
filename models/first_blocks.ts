/**
 * The beginning of a checkpoint, to measure a machine with.
 *
 * @module
 */

import type { TensorSource } from "../graph/mod.ts";
import { type DecoderConfig, decoderTensors } from "./architectures/mod.ts";
import type { Checkpoint } from "./checkpoints/open.ts";

/** The first blocks of a checkpoint, with all of its vocabulary or the first rows of it. */
export function firstBlocks(
  { tensors, ...checkpoint }: Checkpoint,
  blocks: number,
  vocabulary = Infinity,
): Checkpoint {
  const config: DecoderConfig = {
    ...checkpoint.config,
    layers: Math.min(blocks, checkpoint.config.layers),
    vocabSize: Math.min(vocabulary, checkpoint.config.vocabSize),
  };
  const first = decoderTensors(config).map(({ name, shape }): [string, TensorSource] => {
    const source = tensors.get(name)!;
    const byteLength = source.byteLength / source.shape[0]! * shape[0]!;
    return [name, { ...source, shape, byteLength }];
  });
  return { ...checkpoint, config, tensors: new Map(first) };
}
