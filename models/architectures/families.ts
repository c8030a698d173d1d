/**
 * What each family has in common, as data that the one forward pass reads.
 *
 * | family | norm | more |
 * |---|---|---|
 * | Llama (Touvron et al. 2023, arXiv:2302.13971) | RMS | |
 * | Mistral (Jiang et al. 2023, arXiv:2310.06825) | RMS | sliding windows |
 * | Qwen2 (arXiv:2407.10671) | RMS | biases of query, key and value |
 * | Qwen3 (arXiv:2505.09388) | RMS | norms of each query and key head |
 * | Gemma 2 (arXiv:2408.00118) | RMS · (1 + w) | norms behind each layer, scaled embeddings, windows, capped scores and logits |
 * | Gemma 3 (arXiv:2503.19786) | RMS · (1 + w) | as Gemma 2, with head norms and no caps |
 * | GPT-2 (Radford et al. 2019) | mean and variance | learned positions, one matrix for query, key and value, plain GELU |
 *
 * @module
 */

import type { Architecture } from "./config.ts";

/**
 * - `rms`: x · w / √(mean x² + ε)
 * - `rms_offset`: x · (1 + w) / √(mean x² + ε)
 * - `layer`: (x − mean) / √(var + ε) · w + b
 */
export type NormKind = "rms" | "rms_offset" | "layer";

/** What the members of a family share. */
export interface Family {
  /** Whose names its tensors have. */
  readonly names: "llama" | "gpt2";
  /** Of every norm. */
  readonly norm: NormKind;
  /** Whether each query and key head is normed, before it is rotated. */
  readonly headNorms: boolean;
  /** Whether what a layer adds to the residual stream is normed too. */
  readonly sandwichNorms: boolean;
  /** Whether the feed-forward layer is act(gate(x)) · up(x), or act(up(x)). */
  readonly gated: boolean;
  /** Whether embeddings are multiplied by √hiddenSize. */
  readonly scaledEmbedding: boolean;
}

const LLAMA: Family = {
  names: "llama",
  norm: "rms",
  headNorms: false,
  sandwichNorms: false,
  gated: true,
  scaledEmbedding: false,
};

const GEMMA2: Family = {
  ...LLAMA,
  norm: "rms_offset",
  sandwichNorms: true,
  scaledEmbedding: true,
};

/** Every family. */
export const families: { readonly [A in Architecture]: Family } = {
  llama: LLAMA,
  mistral: LLAMA,
  qwen2: LLAMA,
  qwen3: { ...LLAMA, headNorms: true },
  gemma2: GEMMA2,
  gemma3: { ...GEMMA2, headNorms: true },
  gpt2: { ...LLAMA, names: "gpt2", norm: "layer", gated: false },
};
