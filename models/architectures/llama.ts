/**
 * Llama as a tensor program: RMSNorm, rotary embedding, grouped-query attention, gated SiLU.
 *
 * Parameter names are Hugging Face's; each linear layer may carry a LoRA pair, y = W x + s · B A x
 * (Hu et al. 2021, arXiv:2106.09685), named as PEFT names it.
 *
 * @module
 */

import { type Dim, product, type ProgramBuilder, type Value } from "../../graph/mod.ts";
import type { LlamaConfig } from "../checkpoints/config.ts";
import { linearShapes, requiredTensors } from "../checkpoints/names.ts";

/** The linear layers of a Llama block, by the names PEFT's `target_modules` uses. */
export const LINEAR_LAYERS = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
] as const;

/** Name of a linear layer of a block. */
export type LinearLayer = typeof LINEAR_LAYERS[number];

/** A low-rank adapter on some of the linear layers. */
export interface LoraShape {
  /** r. */
  readonly rank: number;
  /** s = alpha / rank, or alpha / √rank with `rsLora`. */
  readonly alpha: number;
  /** Layers that carry it, in every block. */
  readonly targets: readonly LinearLayer[];
  /** Rank-stabilised scale (Kalajdzievski 2023, arXiv:2312.03732). */
  readonly rsLora?: boolean;
}

/**
 * The scale s of an adapter.
 *
 * @example
 * ```ts
 * import { loraScale } from "./llama.ts";
 * import assert from "node:assert/strict";
 * assert.equal(loraScale({ rank: 16, alpha: 32 }), 2);
 * assert.equal(loraScale({ rank: 16, alpha: 32, rsLora: true }), 8);
 * ```
 */
export function loraScale({ rank, alpha, rsLora }: Omit<LoraShape, "targets">): number {
  return alpha / (rsLora ? Math.sqrt(rank) : rank);
}

/** Scope of the checkpoint's own tensors. */
export const WEIGHTS = "weights";
/** Scope of the adapter's tensors. */
export const ADAPTER = "adapter";

/** A linear layer of a block. */
interface LinearPlace {
  readonly name: LinearLayer;
  /** Full name, without `.weight`. */
  readonly path: string;
  readonly outputs: number;
  readonly inputs: number;
}

/** The linear layers of a block, in the order of {@linkcode LINEAR_LAYERS}. */
function linearPlaces(config: LlamaConfig, layer: number): LinearPlace[] {
  return [...linearShapes(config)].map(([path, [outputs, inputs]]) => ({
    name: path.split(".")[1] as LinearLayer,
    path: `model.layers.${layer}.${path}`,
    outputs,
    inputs,
  }));
}

/** Name and shape of a tensor. */
export interface NamedShape {
  /** Name in its store. */
  readonly name: string;
  /** Sizes, outermost axis first. */
  readonly shape: readonly number[];
}

/** Every tensor of the checkpoint that the programs read. */
export function llamaTensors(config: LlamaConfig): NamedShape[] {
  return [...requiredTensors(config)].map(([name, shape]) => ({ name, shape }));
}

/** Every tensor of an adapter: A [r, I] and B [O, r] of each targeted layer. */
export function loraTensors(config: LlamaConfig, { rank, targets }: LoraShape): NamedShape[] {
  const tensors: NamedShape[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    for (const { name, path, outputs, inputs } of linearPlaces(config, layer)) {
      if (!targets.includes(name)) continue;
      tensors.push({ name: `${path}.lora_A.weight`, shape: [rank, inputs] });
      tensors.push({ name: `${path}.lora_B.weight`, shape: [outputs, rank] });
    }
  }
  return tensors;
}

/** Query [B, T, H, D], key and value [B, T, Hkv, D] of one layer to attention output [B, T, H, D]. */
export type Attend = (layer: number, query: Value, key: Value, value: Value) => Value;

/** What the hidden states are computed from. */
export interface LlamaInputs {
  /** int32 [B, T]. */
  readonly ids: Value;
  /** int32 [B, T]. */
  readonly positions: Value;
  /** Attention of one layer, with caches or without. */
  readonly attend: Attend;
  /** The adapter the linear layers carry, if any. */
  readonly lora?: LoraShape | undefined;
}

/**
 * Final hidden states, after the last norm.
 *
 * @returns float32 [B, T, hiddenSize].
 */
export function llamaHidden(
  g: ProgramBuilder,
  config: LlamaConfig,
  { ids, positions, attend, lora }: LlamaInputs,
): Value {
  const { hiddenSize, heads, kvHeads, headDim, layers, rmsNormEps, ropeTheta } = config;
  const [batch, time] = ids.shape as [Dim, Dim];
  const weight = (name: string, shape: readonly number[]) =>
    g.parameter(WEIGHTS, `${name}.weight`, shape);
  const scale = lora ? loraScale(lora) : 0;

  const half = headDim / 2;
  const frequencies = Array.from({ length: half }, (_, i) => ropeTheta ** (-i / half));
  const angles = g.mul(
    g.reshape(g.cast(positions, "float32"), [batch, time, 1]),
    g.constant(frequencies, [half]),
  ); // [B, T, D/2]
  const cos = g.cos(angles);
  const sin = g.sin(angles);

  const linear = (layer: number, name: LinearLayer, x: Value): Value => {
    const place = linearPlaces(config, layer).find((one) => one.name === name)!;
    const { path, outputs, inputs } = place;
    const w = weight(path, [outputs, inputs]);
    if (!lora?.targets.includes(name)) return g.linear(x, w);
    return g.linear(x, w, {
      lora: {
        a: g.parameter(ADAPTER, `${path}.lora_A.weight`, [lora.rank, inputs]),
        b: g.parameter(ADAPTER, `${path}.lora_B.weight`, [outputs, lora.rank]),
        scale,
      },
    });
  };
  const norm = (name: string, x: Value) => g.rmsNorm(x, weight(name, [hiddenSize]), rmsNormEps);

  let x = g.gather(vocabulary(g, config, "input"), ids); // [B, T, hidden]
  for (let layer = 0; layer < layers; layer++) {
    const h = norm(`model.layers.${layer}.input_layernorm`, x);
    const split = (value: Value, count: number) => g.reshape(value, [batch, time, count, headDim]);
    const query = g.rotary(split(linear(layer, "q_proj", h), heads), cos, sin);
    const key = g.rotary(split(linear(layer, "k_proj", h), kvHeads), cos, sin);
    const value = split(linear(layer, "v_proj", h), kvHeads);
    const mixed = g.reshape(attend(layer, query, key, value), [batch, time, heads * headDim]);
    x = g.add(x, linear(layer, "o_proj", mixed));

    const m = norm(`model.layers.${layer}.post_attention_layernorm`, x);
    const gated = g.gatedSilu(linear(layer, "gate_proj", m), linear(layer, "up_proj", m));
    x = g.add(x, linear(layer, "down_proj", gated));
  }
  return norm("model.norm", x);
}

/** The embedding table, or the matrix that scores tokens (the same one where they are tied). */
export function vocabulary(g: ProgramBuilder, config: LlamaConfig, use: "input" | "output"): Value {
  const { vocabSize, hiddenSize, tieWordEmbeddings } = config;
  const name = use === "output" && !tieWordEmbeddings ? "lm_head" : "model.embed_tokens";
  return g.parameter(WEIGHTS, `${name}.weight`, [vocabSize, hiddenSize]);
}

/** Hidden states of chosen positions. @returns [N, hidden] of rows int32 [N] into [B·T]. */
export function selectRows(g: ProgramBuilder, hidden: Value, rows: Value): Value {
  const [batch, time, size] = hidden.shape as [Dim, Dim, Dim];
  return g.gather(g.reshape(hidden, [product(batch, time), size]), rows);
}
