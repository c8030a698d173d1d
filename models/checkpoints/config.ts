/**
 * The sizes and constants of a Llama, from each format's own description.
 *
 * What the Llama program does not compute yet (scaled rotary frequencies, biases, windows, experts
 * …) is refused here by name: running without it would give other numbers, silently.
 *
 * @module
 */

import type { Gguf, GgufList, GgufValue } from "./gguf.ts";
import { GgufStrings } from "./gguf_strings.ts";
import { oneLine } from "./one_line.ts";

export type { Gguf, GgufList, GgufStrings, GgufValue };

/** Sizes and constants of a model of the Llama family. */
export interface LlamaConfig {
  /** Which program computes it. */
  readonly architecture: "llama";
  /** V, rows of the embedding; a tokenizer may have fewer tokens. */
  readonly vocabSize: number;
  /** Width of the residual stream. */
  readonly hiddenSize: number;
  /** Width within a block's gated feed-forward layer. */
  readonly intermediateSize: number;
  /** Number of blocks. */
  readonly layers: number;
  /** Query heads of a block. */
  readonly heads: number;
  /** Key and value heads of a block; divides `heads`. */
  readonly kvHeads: number;
  /** Width of one head; even. */
  readonly headDim: number;
  /** ε of RMSNorm, added to the mean square. */
  readonly rmsNormEps: number;
  /** Base θ of the rotary frequencies θ^(−2i / headDim). */
  readonly ropeTheta: number;
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

/** Architectures that can be opened. */
const ARCHITECTURES = ["llama"];

/** Limit of any one size; a header that says more is lying. */
const MAX_SIZE = 1 << 28;

/** Checks that a configuration is one a Llama can have; errors name `where` it came from. */
export function checkConfig(config: LlamaConfig, where: string): LlamaConfig {
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
      ["the norm's epsilon", config.rmsNormEps],
      ["the rotary base", config.ropeTheta],
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

/**
 * The configuration in a Hugging Face `config.json`.
 *
 * @param generation What `generation_config.json` holds, for the tokens that end a text.
 * @throws {TypeError} If a field is absent or of the wrong kind.
 * @throws {RangeError} If the architecture or one of its features is not supported.
 */
export function configFromHuggingFace(
  json: Readonly<Record<string, unknown>>,
  generation: Readonly<Record<string, unknown>> = {},
): LlamaConfig {
  const where = "config.json";
  const architecture = json["model_type"];
  requireArchitecture(architecture, where);
  const rope = asRecord(json["rope_parameters"]);
  const scaling = json["rope_scaling"] ?? (json["rope_parameters"] ? rope : null);
  if (scaling !== null) {
    const type = asRecord(scaling)["rope_type"] ?? asRecord(scaling)["type"];
    refuseUnless(where, "rope_scaling", type === "default", type);
  }
  refuseUnless(where, "hidden_act", json["hidden_act"] === "silu", json["hidden_act"]);
  for (const flag of ["attention_bias", "mlp_bias", "rope_interleaved"]) {
    refuseUnless(where, flag, !json[flag], json[flag]);
  }
  for (const field of ["sliding_window", "quantization_config"]) {
    refuseUnless(where, field, (json[field] ?? null) === null, "set");
  }
  const partial = json["partial_rotary_factor"] ?? rope["partial_rotary_factor"] ?? 1;
  refuseUnless(where, "partial_rotary_factor", partial === 1, partial);

  const number = (key: string, otherwise?: number): number => {
    const value = json[key] ?? otherwise;
    if (typeof value !== "number") {
      throw new TypeError(`Cannot read ${where} as ${key} must be a number: ${show(value)}`);
    }
    return value;
  };
  const hiddenSize = number("hidden_size");
  const heads = number("num_attention_heads");
  const theta = rope["rope_theta"];
  const bos = tokenIds(json["bos_token_id"], where)[0];
  const eosTokenIds = [
    ...new Set([
      ...tokenIds(generation["eos_token_id"], "generation_config.json"),
      ...tokenIds(json["eos_token_id"], where),
    ]),
  ];
  return checkConfig({
    architecture: "llama",
    vocabSize: number("vocab_size"),
    hiddenSize,
    intermediateSize: number("intermediate_size"),
    layers: number("num_hidden_layers"),
    heads,
    kvHeads: number("num_key_value_heads", heads),
    headDim: number("head_dim", hiddenSize / heads),
    rmsNormEps: number("rms_norm_eps", 1e-6),
    ropeTheta: typeof theta === "number" ? theta : number("rope_theta", 10_000),
    maxPositions: number("max_position_embeddings", 2048),
    tieWordEmbeddings: json["tie_word_embeddings"] === true,
    ...(bos === undefined ? {} : { bosTokenId: bos }),
    eosTokenIds,
  }, where);
}

/** The `config.json` that transformers reads as this configuration. */
export function configToHuggingFace(config: LlamaConfig): Record<string, unknown> {
  const [firstEos] = config.eosTokenIds;
  return {
    architectures: ["LlamaForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: config.bosTokenId ?? null,
    eos_token_id: config.eosTokenIds.length > 1 ? config.eosTokenIds : firstEos ?? null,
    head_dim: config.headDim,
    hidden_act: "silu",
    hidden_size: config.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: config.intermediateSize,
    max_position_embeddings: config.maxPositions,
    mlp_bias: false,
    model_type: "llama",
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    num_key_value_heads: config.kvHeads,
    rms_norm_eps: config.rmsNormEps,
    rope_scaling: null,
    rope_theta: config.ropeTheta,
    tie_word_embeddings: config.tieWordEmbeddings,
    use_cache: true,
    vocab_size: config.vocabSize,
  };
}

/**
 * The configuration in a GGUF file's metadata.
 *
 * @throws {TypeError} If a key is absent or of the wrong kind.
 * @throws {RangeError} If the architecture or one of its features is not supported.
 */
export function configFromGguf({ metadata, tensors }: Gguf, fileName: string): LlamaConfig {
  const where = `${fileName}'s metadata`;
  requireArchitecture(metadata.get("general.architecture"), where);
  const splits = metadata.get("split.count");
  refuseUnless(where, "split.count", splits === undefined || Number(splits) <= 1, splits);
  const scaling = metadata.get("llama.rope.scaling.type") ?? "none";
  refuseUnless(where, "llama.rope.scaling.type", scaling === "none", scaling);
  for (const key of ["llama.attention.sliding_window", "llama.expert_count"]) {
    refuseUnless(where, key, !metadata.get(key), metadata.get(key));
  }
  refuseUnless(where, "rope_freqs.weight", !tensors.has("rope_freqs.weight"), "set");

  const number = (key: string, otherwise?: number): number => {
    const value = metadata.get(key) ?? otherwise;
    if (typeof value !== "number") {
      throw new TypeError(`Cannot read ${where} as ${key} must be a number: ${show(value)}`);
    }
    return value;
  };
  const tokens = metadata.get("tokenizer.ggml.tokens");
  const hiddenSize = number("llama.embedding_length");
  const heads = number("llama.attention.head_count");
  const headDim = number("llama.attention.key_length", hiddenSize / heads);
  const rotary = number("llama.rope.dimension_count", headDim);
  refuseUnless(where, "llama.rope.dimension_count", rotary === headDim, rotary);
  const valueDim = number("llama.attention.value_length", headDim);
  refuseUnless(where, "llama.attention.value_length", valueDim === headDim, valueDim);
  const bos = metadata.get("tokenizer.ggml.bos_token_id");
  const ends = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"]
    .flatMap((key) => tokenIds(metadata.get(key) ?? null, where));
  const name = hubName(metadata);
  return checkConfig({
    architecture: "llama",
    vocabSize: number(
      "llama.vocab_size",
      tokens instanceof GgufStrings ? tokens.length : undefined,
    ),
    hiddenSize,
    intermediateSize: number("llama.feed_forward_length"),
    layers: number("llama.block_count"),
    heads,
    kvHeads: number("llama.attention.head_count_kv", heads),
    headDim,
    // The converter wrote a float32; the number meant is the shortest decimal that rounds to it.
    rmsNormEps: shortest(number("llama.attention.layer_norm_rms_epsilon")),
    ropeTheta: shortest(number("llama.rope.freq_base", 10_000)),
    maxPositions: number("llama.context_length"),
    tieWordEmbeddings: !tensors.has("output.weight"),
    ...(bos === undefined ? {} : { bosTokenId: tokenIds(bos, where)[0]! }),
    eosTokenIds: [...new Set(ends)],
    ...(name === undefined ? {} : { name }),
  }, where);
}

const HUB_NAME_KEYS = [
  "general.source.huggingface.repository",
  "general.source.repo_url",
  "general.repo_url",
];

/** The repository that the metadata names, as `owner/name`. */
function hubName(metadata: ReadonlyMap<string, GgufValue>): string | undefined {
  for (const key of HUB_NAME_KEYS) {
    const value = metadata.get(key);
    const match = typeof value === "string"
      ? /^(?:https?:\/\/huggingface\.co\/)?([\w.-]+\/[\w.-]+)\/?$/.exec(value)
      : null;
    if (match) return match[1];
  }
  return undefined;
}

function requireArchitecture(architecture: unknown, where: string): void {
  if (typeof architecture !== "string" || !ARCHITECTURES.includes(architecture)) {
    throw new RangeError(
      `Cannot open the model as its architecture in ${where} must be one of ${
        ARCHITECTURES.join(", ")
      }: ${show(architecture)}`,
    );
  }
}

function refuseUnless(where: string, feature: string, supported: boolean, found: unknown): void {
  if (supported) return;
  throw new RangeError(
    `Cannot open the model as ${feature} in ${where} is not supported yet: ${show(found)}`,
  );
}

/** One id, a list of ids, or none. */
function tokenIds(value: unknown, where: string): number[] {
  if (value === undefined || value === null) return [];
  const ids = Array.isArray(value) ? value : [value];
  for (const id of ids) {
    if (!Number.isSafeInteger(id) || id < 0) {
      throw new TypeError(
        `Cannot read ${where} as a special token must be given by its id: ${show(id)}`,
      );
    }
  }
  return ids as number[];
}

/** The shortest decimal number that rounds to the same float32. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === Math.fround(value)) return candidate;
  }
  return value;
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function show(value: unknown): string {
  if (typeof value === "bigint") return `${value}`;
  const text = oneLine(JSON.stringify(value) ?? "none");
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
