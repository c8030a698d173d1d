/**
 * The tensors of a decoder: names, which are Hugging Face's, and shapes.
 *
 * @module
 */

import type { DecoderConfig } from "./config.ts";

/** Scope of the checkpoint's own tensors. */
export const WEIGHTS = "weights";

/** The seven linear layers of a block, by their names within it, with their [out, in] sizes. */
export function linearShapes(
  config: DecoderConfig,
): ReadonlyMap<string, readonly [number, number]> {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim } = config;
  return new Map([
    ["self_attn.q_proj", [heads * headDim, hiddenSize]],
    ["self_attn.k_proj", [kvHeads * headDim, hiddenSize]],
    ["self_attn.v_proj", [kvHeads * headDim, hiddenSize]],
    ["self_attn.o_proj", [hiddenSize, heads * headDim]],
    ["mlp.gate_proj", [intermediateSize, hiddenSize]],
    ["mlp.up_proj", [intermediateSize, hiddenSize]],
    ["mlp.down_proj", [hiddenSize, intermediateSize]],
  ]);
}

/**
 * Every tensor that a configuration calls for, with its shape. A model with tied embeddings has no
 * `lm_head.weight`.
 */
export function requiredTensors(config: DecoderConfig): ReadonlyMap<string, readonly number[]> {
  const { vocabSize, hiddenSize } = config;
  const shapes = new Map<string, readonly number[]>();
  shapes.set("model.embed_tokens.weight", [vocabSize, hiddenSize]);
  for (let layer = 0; layer < config.layers; layer++) {
    const block = `model.layers.${layer}`;
    shapes.set(`${block}.input_layernorm.weight`, [hiddenSize]);
    shapes.set(`${block}.post_attention_layernorm.weight`, [hiddenSize]);
    for (const [name, shape] of linearShapes(config)) shapes.set(`${block}.${name}.weight`, shape);
  }
  shapes.set("model.norm.weight", [hiddenSize]);
  if (!config.tieWordEmbeddings) shapes.set("lm_head.weight", [vocabSize, hiddenSize]);
  return shapes;
}

/** Name and shape of a tensor. */
export interface NamedShape {
  /** Name in its store. */
  readonly name: string;
  /** Sizes, outermost axis first. */
  readonly shape: readonly number[];
}

/** Every tensor of the checkpoint that the programs read. */
export function decoderTensors(config: DecoderConfig): NamedShape[] {
  return [...requiredTensors(config)].map(([name, shape]) => ({ name, shape }));
}
