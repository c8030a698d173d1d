/**
 * The parts that a decoder's blocks are composed of: linear layers with their biases and adapters,
 * norms, attention between its projections, the feed-forward layer.
 *
 * @module
 */

import type { Dim, ProgramBuilder, Value } from "../../graph/mod.ts";
import type { Activation, DecoderConfig } from "./config.ts";
import { families } from "./families.ts";
import { type Layout, layoutOf, type LinearRole, type NormRole, WEIGHTS } from "./layout.ts";
import { ADAPTER, isTarget, loraScale, type LoraShape } from "./lora.ts";

/** One block's layers, by what they are for. */
export interface Block {
  /** Whether the block has such a linear layer. */
  has(role: LinearRole): boolean;
  /** W x + b + s · B A x, as far as the layer has these. */
  linear(role: LinearRole, x: Value): Value;
  /** x normed over its last axis, or x itself where the block has no such norm. */
  norm(role: NormRole, x: Value): Value;
}

/** Norm over the last axis, with the parameters of one path. */
export function norm(g: ProgramBuilder, config: DecoderConfig, path: string, x: Value): Value {
  const shape = [x.shape.at(-1) as number];
  const weight = g.parameter(WEIGHTS, `${path}.weight`, shape);
  const { norm: kind } = families[config.architecture];
  switch (kind) {
    case "rms":
      return g.rmsNorm(x, weight, config.normEps);
    case "rms_offset":
      return g.rmsNorm(x, g.add(weight, g.constant(1)), config.normEps);
    case "layer":
      return g.layerNorm(x, weight, g.parameter(WEIGHTS, `${path}.bias`, shape), config.normEps);
    default:
      return kind satisfies never;
  }
}

/** The layers of block number `layer`. */
export function blockOf(
  g: ProgramBuilder,
  config: DecoderConfig,
  layer: number,
  lora: LoraShape | undefined,
  layout: Layout = layoutOf(config),
): Block {
  const block = `${layout.blocks}.${layer}`;
  return {
    has: (role) => layout.linear.has(role),
    linear(role, x) {
      const one = layout.linear.get(role)!;
      const { outputs, inputs } = one;
      const path = `${block}.${one.path}`;
      const weight = g.parameter(WEIGHTS, `${path}.weight`, [outputs, inputs]);
      return g.linear(x, weight, {
        ...(one.bias ? { bias: g.parameter(WEIGHTS, `${path}.bias`, [outputs]) } : {}),
        ...(lora && isTarget(one, lora.targets)
          ? {
            lora: {
              a: g.parameter(ADAPTER, `${path}.lora_A.weight`, [lora.rank, inputs]),
              b: g.parameter(ADAPTER, `${path}.lora_B.weight`, [outputs, lora.rank]),
              scale: loraScale(lora),
            },
          }
          : {}),
      });
    },
    norm(role, x) {
      const one = layout.norms.get(role);
      return one ? norm(g, config, `${block}.${one.path}`, x) : x;
    },
  };
}

/** How one layer attends. */
export interface AttentionSettings {
  /** Factor of the scores. */
  readonly scale: number;
  /** c: scaled scores s become c · tanh(s / c). */
  readonly scoreCap?: number;
  /** Tokens a query sees, itself with them; all before it where absent. */
  readonly window?: number;
}

/** Query [B, T, H, D], key and value [B, T, Hkv, D] of one layer to attention output [B, T, H, D]. */
export type Attend = (
  layer: number,
  query: Value,
  key: Value,
  value: Value,
  settings: AttentionSettings,
) => Value;

/** How one layer of a decoder attends. */
export function attentionSettings(config: DecoderConfig, layer: number): AttentionSettings {
  const window = config.windows?.[layer] ?? undefined;
  return {
    scale: config.scoreScale ?? 1 / Math.sqrt(config.headDim),
    ...(config.scoreCap === undefined ? {} : { scoreCap: config.scoreCap }),
    ...(window === undefined ? {} : { window }),
  };
}

/** Attention of one layer. @param rotate Puts positions into queries and keys. */
export function attention(
  g: ProgramBuilder,
  config: DecoderConfig,
  layer: number,
  block: Block,
  x: Value,
  { attend, rotate }: { readonly attend: Attend; readonly rotate: (x: Value) => Value },
): Value {
  const { heads, kvHeads, headDim } = config;
  const [batch, time] = x.shape as [Dim, Dim];
  const split = (value: Value, count: number) => g.reshape(value, [batch, time, count, headDim]);
  const joined = block.has("joined") ? block.linear("joined", x) : undefined;
  const width = heads * headDim;
  const part = (role: "query" | "key" | "value", index: number): Value =>
    joined ? g.slice(joined, 2, index * width, (index + 1) * width) : block.linear(role, x);
  const query = rotate(block.norm("queryHeads", split(part("query", 0), heads)));
  const key = rotate(block.norm("keyHeads", split(part("key", 1), kvHeads)));
  const value = split(part("value", 2), kvHeads);
  const mixed = attend(layer, query, key, value, attentionSettings(config, layer));
  return block.linear("output", g.reshape(mixed, [batch, time, width]));
}

function activate(g: ProgramBuilder, activation: Activation, x: Value): Value {
  switch (activation) {
    case "silu":
      return g.mul(x, g.sigmoid(x));
    case "gelu":
      return g.gelu(x);
    case "gelu_tanh":
      return g.gelu(x, "tanh");
    default:
      return activation satisfies never;
  }
}

/** The feed-forward layer: down(act(gate(x)) · up(x)), or down(act(up(x))). */
export function feedForward(
  g: ProgramBuilder,
  { activation = "silu" }: DecoderConfig,
  block: Block,
  x: Value,
): Value {
  if (!block.has("gate")) {
    return block.linear("down", activate(g, activation, block.linear("up", x)));
  }
  const [gate, up] = [block.linear("gate", x), block.linear("up", x)];
  const inner = activation === "silu"
    ? g.gatedSilu(gate, up)
    : g.mul(activate(g, activation, gate), up);
  return block.linear("down", inner);
}
