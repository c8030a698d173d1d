/**
 * One set of names for the tensors of a decoder, those of `layoutOf`, from the names of each format.
 *
 * @module
 */

import type { TensorSource } from "../../graph/tensor_source.ts";
import {
  type DecoderConfig,
  families,
  layoutOf,
  type LinearRole,
  type NormRole,
} from "../architectures/mod.ts";
import { halfSplitRows, shifted, transposed } from "./tensor_order.ts";

/** What GGUF calls the linear layers of a block. */
const GGUF_LINEAR: { readonly [R in LinearRole]: string } = {
  query: "attn_q",
  key: "attn_k",
  value: "attn_v",
  joined: "attn_qkv",
  output: "attn_output",
  gate: "ffn_gate",
  up: "ffn_up",
  down: "ffn_down",
};

/** What GGUF calls the norms of a block. */
const GGUF_NORMS: { readonly [R in NormRole]: string } = {
  beforeAttention: "attn_norm",
  afterAttention: "post_attention_norm",
  beforeMlp: "ffn_norm",
  afterMlp: "post_ffw_norm",
  queryHeads: "attn_q_norm",
  keyHeads: "attn_k_norm",
};

/**
 * The names of a decoder's tensors in GGUF, by ours; both without `.weight` and `.bias`.
 */
export function ggufNames(config: DecoderConfig): ReadonlyMap<string, string> {
  const { embedding, positionTable, finalNorm, head, blocks, linear, norms } = layoutOf(config);
  const names = new Map([
    [embedding, "token_embd"],
    [finalNorm, "output_norm"],
    [head, "output"],
  ]);
  if (positionTable) names.set(positionTable, "position_embd");
  for (let layer = 0; layer < config.layers; layer++) {
    for (const [role, { path }] of norms) {
      names.set(`${blocks}.${layer}.${path}`, `blk.${layer}.${GGUF_NORMS[role]}`);
    }
    for (const [role, { path }] of linear) {
      names.set(`${blocks}.${layer}.${path}`, `blk.${layer}.${GGUF_LINEAR[role]}`);
    }
  }
  return names;
}

/** Tensors that follow from the configuration. */
const GGUF_DERIVED = new Set(["rope_freqs.weight"]);

/**
 * A GGUF file's tensors under our names, in our order of rows and with Hugging Face's values. What is
 * no tensor of the model keeps its name.
 */
export function ggufTensors(
  found: ReadonlyMap<string, TensorSource>,
  config: DecoderConfig,
): Map<string, TensorSource> {
  const ours = new Map([...ggufNames(config)].map(([name, theirs]) => [theirs, name]));
  const { norm } = families[config.architecture];
  const tensors = new Map<string, TensorSource>();
  for (const [ggufName, source] of found) {
    if (GGUF_DERIVED.has(ggufName)) continue;
    const [, stem = "", kind = ""] = /^(.+)\.(weight|bias)$/.exec(ggufName) ?? [];
    const path = ours.get(stem);
    const name = path === undefined ? ggufName : `${path}.${kind}`;
    tensors.set(name, renamed(ordered(source, stem), name));
  }
  return tensors;

  function ordered(source: TensorSource, stem: string): TensorSource {
    const [rows = 0] = source.shape;
    // Only files of the Llama architecture are rotated by neighbours. Other shapes are refused later,
    // with the name.
    const rotated = config.architecture === "llama" && /\.attn_[qk]$/.test(stem);
    if (rotated && source.shape.length <= 2 && rows % config.headDim === 0) {
      return halfSplitRows(source, config.headDim);
    }
    return norm === "rms_offset" && stem.endsWith("norm") ? shifted(source, -1) : source;
  }
}

/** Buffers of GPT-2's checkpoints that follow from its configuration. */
const GPT2_DERIVED = /(^|\.)h\.\d+\.attn\.(bias|masked_bias)$/;

/**
 * A Hugging Face checkpoint's tensors under our names: GPT-2's linear weights, which are stored as
 * [in, out], the other way round, and its names with the prefix that the first checkpoints lack.
 */
export function huggingFaceTensors(
  found: ReadonlyMap<string, TensorSource>,
  config: DecoderConfig,
): ReadonlyMap<string, TensorSource> {
  if (families[config.architecture].names !== "gpt2") return found;
  const tensors = new Map<string, TensorSource>();
  for (const [stored, source] of found) {
    if (GPT2_DERIVED.test(stored)) continue;
    const name = /^(wte|wpe|h|ln_f)\./.test(stored) ? `transformer.${stored}` : stored;
    const matrix = /\.(c_attn|c_proj|c_fc)\.weight$/.test(name) && source.shape.length === 2;
    tensors.set(name, renamed(matrix ? transposed(source) : source, name));
  }
  return tensors;
}

/** The same tensor under another name. */
export function renamed(source: TensorSource, name: string): TensorSource {
  return {
    name,
    shape: source.shape,
    encoding: source.encoding,
    byteLength: source.byteLength,
    ...(source.file ? { file: source.file } : {}),
    read: (start, end, options) => source.read(start, end, options),
  };
}
