/**
 * A decoder-only language model as data: its family, and the sizes and constants of one checkpoint.
 *
 * @module
 */

import type { RopeScaling } from "./rope.ts";

/** Families that the decoder program computes; see {@linkcode families}. */
export type Architecture = "llama" | "mistral" | "qwen2" | "qwen3" | "gemma2" | "gemma3" | "gpt2";

/** Queries and keys are rotated by angles that grow with the position. */
export interface RotaryPositions {
  /** Which kind of positions these are. */
  readonly kind: "rotary";
  /** Base θ of the frequencies θ^(−2i / headDim). */
  readonly theta: number;
  /** How the frequencies are stretched over longer texts; absent where they are not. */
  readonly scaling?: RopeScaling;
  /** Base of the layers with a window, whose frequencies are never stretched; θ where absent. */
  readonly windowTheta?: number;
}

/** A row of a table is added to a token's embedding: one for each of `maxPositions`. */
export interface LearnedPositions {
  /** Which kind of positions these are. */
  readonly kind: "learned";
}

/** The function within a feed-forward layer; `gelu_tanh` is GELU by the tanh approximation. */
export type Activation = "silu" | "gelu" | "gelu_tanh";

/** Sizes and constants of a decoder-only language model. What may be absent is then as in Llama. */
export interface DecoderConfig {
  /** Its family. */
  readonly architecture: Architecture;
  /** V, rows of the embedding; a tokenizer may have fewer tokens. */
  readonly vocabSize: number;
  /** Width of the residual stream. */
  readonly hiddenSize: number;
  /** Width within a block's feed-forward layer. */
  readonly intermediateSize: number;
  /** Number of blocks. */
  readonly layers: number;
  /** Query heads of a block. */
  readonly heads: number;
  /** Key and value heads of a block; divides `heads`. */
  readonly kvHeads: number;
  /** Width of one head; even where positions are rotary. */
  readonly headDim: number;
  /** ε of the norms, added to the mean square or the variance. */
  readonly normEps: number;
  /** How a token's place in the text enters the model. */
  readonly positions: RotaryPositions | LearnedPositions;
  /** Most tokens of a text. */
  readonly maxPositions: number;
  /** Whether the vocabulary matrix is the embedding. */
  readonly tieWordEmbeddings: boolean;
  /** Attention's linear layers that have a bias: query, key and value, or the output too. None if absent. */
  readonly attentionBias?: "qkv" | "all";
  /** Whether the feed-forward layers have biases. */
  readonly mlpBias?: boolean;
  /** Of the feed-forward layers; `silu` if absent. */
  readonly activation?: Activation;
  /** Factor of the attention scores; 1/√headDim if absent. */
  readonly scoreScale?: number;
  /** c: a scaled score s becomes c · tanh(s / c). Scores are not capped if absent. */
  readonly scoreCap?: number;
  /** The same for the logits of the vocabulary. */
  readonly logitCap?: number;
  /**
   * For each block, how many tokens a query sees, itself with them; null where it sees all before it.
   * No block has a window if absent.
   */
  readonly windows?: readonly (number | null)[];
  /** Token that opens a text, where the checkpoint names one. */
  readonly bosTokenId?: number;
  /** Tokens that end a text; may be empty. */
  readonly eosTokenIds: readonly number[];
  /** Name on the model hub, where the checkpoint tells. */
  readonly name?: string;
}

/**
 * Where texts end, for messages. Dynamic scaling has no fixed angles beyond the original length; see
 * {@linkcode RopeScaling}.
 */
export function positionsInWords({ positions, maxPositions }: DecoderConfig): string {
  const dynamic = positions.kind === "rotary" && positions.scaling?.kind === "dynamic";
  return dynamic
    ? `the ${maxPositions} positions that dynamic rotary scaling leaves as they are`
    : `the model's ${maxPositions} positions`;
}

/** Limit of any one size; a header that says more is lying. */
const MAX_SIZE = 1 << 28;

/** Checks that a configuration is one a decoder can have; errors name `where` it came from. */
export function checkConfig(config: DecoderConfig, where: string): DecoderConfig {
  const fail = (rule: string, found: unknown): never => {
    throw new RangeError(`Cannot read ${where} as ${rule}: ${found}`);
  };
  const requireSize = (what: string, size: number) => {
    if (!Number.isSafeInteger(size) || size < 1 || size > MAX_SIZE) {
      fail(`${what} must be a whole number from 1 to ${MAX_SIZE}`, size);
    }
  };
  requireSize("the vocabulary size", config.vocabSize);
  requireSize("the hidden size", config.hiddenSize);
  requireSize("the intermediate size", config.intermediateSize);
  requireSize("the number of layers", config.layers);
  requireSize("the number of heads", config.heads);
  requireSize("the number of key-value heads", config.kvHeads);
  requireSize("the head size", config.headDim);
  requireSize("the number of positions", config.maxPositions);
  for (const window of config.windows ?? []) {
    if (window !== null) requireSize("the sliding window", window);
  }
  if (config.layers > 4096) fail("the number of layers must be at most 4096", config.layers);
  if (config.windows && config.windows.length !== config.layers) {
    fail(
      `there must be one kind of attention for each of ${config.layers} layers`,
      config.windows.length,
    );
  }
  if (config.heads % config.kvHeads !== 0) {
    fail(`${config.heads} heads must be a multiple of the key-value heads`, config.kvHeads);
  }
  const positive = new Map<string, number | undefined>([
    ["the norm's epsilon", config.normEps],
    ["the scale of the scores", config.scoreScale],
    ["the cap of the scores", config.scoreCap],
    ["the cap of the logits", config.logitCap],
  ]);
  if (config.positions.kind === "rotary") {
    const { theta, windowTheta = theta, scaling } = config.positions;
    if (config.headDim % 2 !== 0) fail("the head size must be even", config.headDim);
    positive.set("the rotary base", theta).set("the rotary base of windows", windowTheta);
    for (const [key, value] of Object.entries(scaling ?? {})) {
      if (typeof value === "number") positive.set(`${key} of the rotary scaling`, value);
    }
  }
  for (const [what, value] of positive) {
    if (value !== undefined && !(Number.isFinite(value) && value > 0)) {
      fail(`${what} must be a positive number`, value);
    }
  }
  for (const id of [config.bosTokenId ?? 0, ...config.eosTokenIds]) {
    if (!Number.isSafeInteger(id) || id < 0 || id >= config.vocabSize) {
      fail(`special token ids must be below the vocabulary size ${config.vocabSize}`, id);
    }
  }
  return config;
}
