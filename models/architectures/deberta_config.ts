/**
 * DeBERTa-v2 and v3 as data, and the names and shapes of their tensors.
 *
 * @module
 */

import type { NamedShape } from "./layout.ts";

/** A term of disentangled attention: content to position, or position to content. */
export type RelativeTerm = "c2p" | "p2c";

/** Sizes and constants of a DeBERTa-v2 or v3 encoder. */
export interface DebertaConfig {
  /** V, rows of the embedding. */
  readonly vocabSize: number;
  /** Width of the residual stream. */
  readonly hiddenSize: number;
  /** Width within a feed-forward layer. */
  readonly intermediateSize: number;
  /** Number of blocks. */
  readonly layers: number;
  /** Attention heads of a block; divides `hiddenSize`. */
  readonly heads: number;
  /** ε of the norms, added to the variance. */
  readonly normEps: number;
  /** Distances that embeddings of their own exist for: rows −span to span − 1 of a table. */
  readonly span: number;
  /** Distances up to half of `span` are exact and longer ones share a row by their logarithm. */
  readonly logBuckets: boolean;
  /** Distance from which on all share the last row, with `logBuckets`. */
  readonly maxDistance: number;
  /** Which terms attention has beside content to content. */
  readonly terms: readonly RelativeTerm[];
  /** Whether distances are projected by the queries' and keys' own matrices. */
  readonly shareProjections: boolean;
  /** Whether the distances' embeddings are normed before use. */
  readonly normRelative: boolean;
  /** Absolute positions added to the embedding, or 0. */
  readonly absolutePositions: number;
  /** Kinds of tokens with an embedding of their own, or 0; every token is of the first kind. */
  readonly tokenTypes: number;
  /** How GELU is computed. */
  readonly gelu: "none" | "tanh";
}

/** Limit of any one size; a header that says more is lying. */
const MAX_SIZE = 1 << 28;

/** Checks that a configuration is one an encoder can have; errors name `where` it came from. */
export function checkDebertaConfig(config: DebertaConfig, where: string): DebertaConfig {
  const fail = (rule: string, found: unknown): never => {
    throw new RangeError(`Cannot read ${where} as ${rule}: ${found}`);
  };
  const sizes = {
    "the vocabulary size": config.vocabSize,
    "the hidden size": config.hiddenSize,
    "the intermediate size": config.intermediateSize,
    "the number of layers": config.layers,
    "the number of heads": config.heads,
    "the number of distances": config.span,
    "the largest distance": config.maxDistance,
  };
  for (const [what, size] of Object.entries(sizes)) {
    if (!Number.isSafeInteger(size) || size < 1 || size > MAX_SIZE) {
      fail(`${what} must be a whole number from 1 to ${MAX_SIZE}`, size);
    }
  }
  if (config.layers > 4096) fail("the number of layers must be at most 4096", config.layers);
  if (config.hiddenSize % config.heads !== 0) {
    fail(`${config.heads} heads must divide the hidden size`, config.hiddenSize);
  }
  if (!(config.normEps > 0)) fail("the norm's epsilon must be a positive number", config.normEps);
  if (config.terms.length === 0) fail("attention must have a relative term", "none");
  return config;
}

/** Every tensor of the encoder, by the names in it (without a prefix of the whole model). */
export function debertaTensors(config: DebertaConfig): NamedShape[] {
  const { vocabSize, hiddenSize, intermediateSize } = config;
  const tensors: NamedShape[] = [];
  const linear = (path: string, outputs: number, inputs: number) =>
    tensors.push(
      { name: `${path}.weight`, shape: [outputs, inputs] },
      { name: `${path}.bias`, shape: [outputs] },
    );
  const norm = (path: string) =>
    tensors.push(
      { name: `${path}.weight`, shape: [hiddenSize] },
      { name: `${path}.bias`, shape: [hiddenSize] },
    );
  const table = (path: string, rows: number) =>
    tensors.push({ name: `${path}.weight`, shape: [rows, hiddenSize] });
  table("embeddings.word_embeddings", vocabSize);
  if (config.absolutePositions > 0) {
    table("embeddings.position_embeddings", config.absolutePositions);
  }
  if (config.tokenTypes > 0) table("embeddings.token_type_embeddings", config.tokenTypes);
  norm("embeddings.LayerNorm");
  table("encoder.rel_embeddings", 2 * config.span);
  if (config.normRelative) norm("encoder.LayerNorm");
  for (let layer = 0; layer < config.layers; layer++) {
    const block = `encoder.layer.${layer}`;
    for (const name of attentionProjections(config)) {
      linear(`${block}.attention.self.${name}`, hiddenSize, hiddenSize);
    }
    linear(`${block}.attention.output.dense`, hiddenSize, hiddenSize);
    norm(`${block}.attention.output.LayerNorm`);
    linear(`${block}.intermediate.dense`, intermediateSize, hiddenSize);
    linear(`${block}.output.dense`, hiddenSize, intermediateSize);
    norm(`${block}.output.LayerNorm`);
  }
  return tensors;
}

function attentionProjections({ shareProjections, terms }: DebertaConfig): string[] {
  const shared = ["query_proj", "key_proj", "value_proj"];
  if (shareProjections) return shared;
  return [
    ...shared,
    ...(terms.includes("c2p") ? ["pos_key_proj"] : []),
    ...(terms.includes("p2c") ? ["pos_query_proj"] : []),
  ];
}
