/**
 * The forward pass of decoder-only language models: embedding, blocks of attention and feed-forward
 * layers on a residual stream, last norm. What differs between families comes from their data.
 *
 * @module
 */

import { type Dim, product, type ProgramBuilder, softCapped, type Value } from "../../graph/mod.ts";
import { type Attend, attention, blockOf, feedForward, norm } from "./blocks.ts";
import type { DecoderConfig, RotaryPositions } from "./config.ts";
import { families } from "./families.ts";
import { layoutOf, WEIGHTS } from "./layout.ts";
import type { LoraShape } from "./lora.ts";
import { type RotaryTables, rotaryTables } from "./rope.ts";

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
  const layout = layoutOf(config);
  const rotation = rotations(g, config, positions);
  let x = embed(g, config, ids, positions); // [B, T, hidden]
  onBlock?.(x);
  for (let layer = 0; layer < config.layers; layer++) {
    const block = blockOf(g, config, layer, lora, layout);
    const rotate = rotation(layer);
    const before = block.norm("beforeAttention", x);
    const mixed = attention(g, config, layer, block, before, { attend, rotate });
    x = g.add(x, block.norm("afterAttention", mixed));
    const fed = feedForward(g, config, block, block.norm("beforeMlp", x));
    x = g.add(x, block.norm("afterMlp", fed));
    onBlock?.(x);
  }
  return norm(g, config, layout.finalNorm, x);
}

/** Embeddings of tokens at their positions. */
function embed(g: ProgramBuilder, config: DecoderConfig, ids: Value, positions: Value): Value {
  const { hiddenSize, maxPositions } = config;
  const { positionTable } = layoutOf(config);
  const x = g.gather(vocabulary(g, config, "input"), ids);
  if (positionTable) {
    const table = g.parameter(WEIGHTS, `${positionTable}.weight`, [maxPositions, hiddenSize]);
    return g.add(x, g.gather(table, positions));
  }
  const { scaledEmbedding } = families[config.architecture];
  return scaledEmbedding ? g.mul(x, g.constant(Math.sqrt(hiddenSize))) : x;
}

/** For each layer, the rotation of its queries and keys [B, T, H, D]. */
function rotations(
  g: ProgramBuilder,
  { positions: kind, headDim, windows }: DecoderConfig,
  positions: Value,
): (layer: number) => (x: Value) => Value {
  if (kind.kind === "learned") return () => (x) => x;
  const rotateBy = ({ cos, sin }: RotaryTables) => (x: Value) => g.rotary(x, cos, sin);
  const tables = (by: Pick<RotaryPositions, "theta" | "scaling">) =>
    rotateBy(rotaryTables(g, positions, headDim, by));
  const rotate = tables(kind);
  const { windowTheta } = kind;
  const windowed = windowTheta === undefined ? rotate : tables({ theta: windowTheta });
  return (layer) => windows?.[layer] ? windowed : rotate;
}

/** The embedding table, or the matrix that scores tokens (the same one where they are tied). */
export function vocabulary(
  g: ProgramBuilder,
  config: DecoderConfig,
  use: "input" | "output",
): Value {
  const { vocabSize, hiddenSize, tieWordEmbeddings } = config;
  const { embedding, head } = layoutOf(config);
  const name = use === "output" && !tieWordEmbeddings ? head : embedding;
  return g.parameter(WEIGHTS, `${name}.weight`, [vocabSize, hiddenSize]);
}

/** Logits [..., V] of hidden states [..., hidden]. */
export function vocabularyLogits(g: ProgramBuilder, config: DecoderConfig, hidden: Value): Value {
  const matrix = vocabulary(g, config, "output");
  return softCapped(g, config.logitCap, hidden, (x) => g.linear(x, matrix)).value;
}

/** Hidden states of chosen positions. @returns [N, hidden] of rows int32 [N] into [B·T]. */
export function selectRows(g: ProgramBuilder, hidden: Value, rows: Value): Value {
  const [batch, time, size] = hidden.shape as [Dim, Dim, Dim];
  return g.gather(g.reshape(hidden, [product(batch, time), size]), rows);
}
