/**
 * Decoder-only language models as tensor programs: RMSNorm, rotary embedding, grouped-query
 * attention, gated SiLU.
 *
 * @module
 */

import { type Dim, product, type ProgramBuilder, type Value } from "../../graph/mod.ts";
import type { DecoderConfig } from "./config.ts";
import { WEIGHTS } from "./layout.ts";
import { ADAPTER, type LinearLayer, linearPlaces, loraScale, type LoraShape } from "./lora.ts";

/** Query [B, T, H, D], key and value [B, T, Hkv, D] of one layer to attention output [B, T, H, D]. */
export type Attend = (layer: number, query: Value, key: Value, value: Value) => Value;

/** What the hidden states are computed from. */
export interface DecoderInputs {
  /** int32 [B, T]. */
  readonly ids: Value;
  /** int32 [B, T]. */
  readonly positions: Value;
  /** Attention of one layer, with caches or without. */
  readonly attend: Attend;
  /** The adapter the linear layers carry, if any. */
  readonly lora?: LoraShape | undefined;
  /** Told of the residual stream before the first block and after each one. */
  readonly onBlock?: ((x: Value) => void) | undefined;
}

/**
 * Final hidden states, after the last norm.
 *
 * @returns float32 [B, T, hiddenSize].
 */
export function decoderHidden(
  g: ProgramBuilder,
  config: DecoderConfig,
  { ids, positions, attend, lora, onBlock }: DecoderInputs,
): Value {
  const { hiddenSize, heads, kvHeads, headDim, layers, normEps } = config;
  const [batch, time] = ids.shape as [Dim, Dim];
  const weight = (name: string, shape: readonly number[]) =>
    g.parameter(WEIGHTS, `${name}.weight`, shape);
  const scale = lora ? loraScale(lora) : 0;

  const half = headDim / 2;
  const frequencies = Array.from({ length: half }, (_, i) => config.positions.theta ** (-i / half));
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
  const norm = (name: string, x: Value) => g.rmsNorm(x, weight(name, [hiddenSize]), normEps);

  let x = g.gather(vocabulary(g, config, "input"), ids); // [B, T, hidden]
  onBlock?.(x);
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
    onBlock?.(x);
  }
  return norm("model.norm", x);
}

/** The embedding table, or the matrix that scores tokens (the same one where they are tied). */
export function vocabulary(
  g: ProgramBuilder,
  config: DecoderConfig,
  use: "input" | "output",
): Value {
  const { vocabSize, hiddenSize, tieWordEmbeddings } = config;
  const name = use === "output" && !tieWordEmbeddings ? "lm_head" : "model.embed_tokens";
  return g.parameter(WEIGHTS, `${name}.weight`, [vocabSize, hiddenSize]);
}

/** Hidden states of chosen positions. @returns [N, hidden] of rows int32 [N] into [B·T]. */
export function selectRows(g: ProgramBuilder, hidden: Value, rows: Value): Value {
  const [batch, time, size] = hidden.shape as [Dim, Dim, Dim];
  return g.gather(g.reshape(hidden, [product(batch, time), size]), rows);
}
