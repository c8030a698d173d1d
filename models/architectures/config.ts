/**
 * A decoder-only language model as data: what its family has, and the sizes of one checkpoint.
 *
 * @module
 */

/** Families that the decoder program computes. */
export type Architecture = "llama";

/** How a token's place in the text enters the model. */
export interface RotaryPositions {
  /** Queries and keys are rotated by angles that grow with the position. */
  readonly kind: "rotary";
  /** Base θ of the frequencies θ^(−2i / headDim). */
  readonly theta: number;
}

/** Sizes and constants of a decoder-only language model. */
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
  /** Width of one head; even. */
  readonly headDim: number;
  /** ε of the norms, added to the mean square. */
  readonly normEps: number;
  /** How places enter the model. */
  readonly positions: RotaryPositions;
  /** Positions the model was trained for. */
  readonly maxPositions: number;
  /** Whether the vocabulary matrix is the embedding. */
  readonly tieWordEmbeddings: boolean;
  /** Token that opens a text, where the checkpoint names one. */
  readonly bosTokenId?: number;
  /** Tokens that end a text; may be empty. */
  readonly eosTokenIds: readonly number[];
  /** Name on the model hub, where the checkpoint tells. */
  readonly name?: string;
}

/** Limit of any one size; a header that says more is lying. */
const MAX_SIZE = 1 << 28;

/** Checks that a configuration is one a decoder can have; errors name `where` it came from. */
export function checkConfig(config: DecoderConfig, where: string): DecoderConfig {
  const fail = (rule: string, found: unknown): never => {
    throw new RangeError(`Cannot read ${where} as ${rule}: ${found}`);
  };
  const sizes = {
    "the vocabulary size": config.vocabSize,
    "the hidden size": config.hiddenSize,
    "the intermediate size": config.intermediateSize,
    "the number of layers": config.layers,
    "the number of heads": config.heads,
    "the number of key-value heads": config.kvHeads,
    "the head size": config.headDim,
    "the number of positions": config.maxPositions,
  };
  for (const [what, size] of Object.entries(sizes)) {
    if (!Number.isSafeInteger(size) || size < 1 || size > MAX_SIZE) {
      fail(`${what} must be a whole number from 1 to ${MAX_SIZE}`, size);
    }
  }
  if (config.layers > 4096) fail("the number of layers must be at most 4096", config.layers);
  if (config.heads % config.kvHeads !== 0) {
    fail(`${config.heads} heads must be a multiple of the key-value heads`, config.kvHeads);
  }
  if (config.headDim % 2 !== 0) fail("the head size must be even", config.headDim);
  for (
    const [what, value] of [
      ["the norm's epsilon", config.normEps],
      ["the rotary base", config.positions.theta],
    ] as const
  ) {
    if (!Number.isFinite(value) || value <= 0) fail(`${what} must be a positive number`, value);
  }
  for (const id of [config.bosTokenId ?? 0, ...config.eosTokenIds]) {
    if (!Number.isSafeInteger(id) || id < 0 || id >= config.vocabSize) {
      fail(`special token ids must be below the vocabulary size ${config.vocabSize}`, id);
    }
  }
  return config;
}
