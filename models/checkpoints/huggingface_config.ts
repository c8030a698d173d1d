/**
 * The configuration of a decoder in a Hugging Face `config.json`, read and written.
 *
 * Source: the `configuration_*.py` of huggingface/transformers, whose defaults these are.
 *
 * @module
 */

import {
  type Activation,
  type Architecture,
  checkConfig,
  type DecoderConfig,
  stretchedPositions,
} from "../architectures/mod.ts";
import { entryOf, type Fields, fieldsOf, show, tokenIds } from "./config_fields.ts";
import { type Json, ropePositions, ropeToHuggingFace } from "./huggingface_rope.ts";

/** What a family's reader finds beside the fields that all have. */
type Read = (json: Json, fields: Fields) => Omit<DecoderConfig, "eosTokenIds" | "bosTokenId">;

/** `hidden_act` and the like, by transformers' names. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  silu: "silu",
  swish: "silu",
  gelu: "gelu",
  gelu_new: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
};

/** The names that are written. */
const ACTIVATION_NAMES: { readonly [A in Activation]: string } = {
  silu: "silu",
  gelu: "gelu",
  gelu_tanh: "gelu_pytorch_tanh",
};

function activationOf(json: Json, key: string, otherwise: string, fields: Fields) {
  const name = json[key] ?? otherwise;
  const known = typeof name === "string" && Object.hasOwn(ACTIVATIONS, name);
  fields.refuseUnless(key, known, name);
  const activation = ACTIVATIONS[name as string]!;
  return activation === "silu" ? {} : { activation };
}

/** What differs between the families that descend from Llama. */
interface LlamaVariant {
  readonly architecture: Architecture;
  /** Where `config.json` does not say. */
  readonly headDim?: number;
  readonly tied?: boolean;
  readonly attentionBias: (json: Json) => DecoderConfig["attentionBias"];
  readonly windows: (json: Json, fields: Fields, layers: number) => DecoderConfig["windows"];
}

const llamaLike = (variant: LlamaVariant): Read => (json, fields) => {
  const { number } = fields;
  const interleaved = json["rope_interleaved"];
  fields.refuseUnless("rope_interleaved", !interleaved, interleaved);
  const hiddenSize = number("hidden_size");
  const heads = number("num_attention_heads");
  const layers = number("num_hidden_layers");
  const maxPositions = number("max_position_embeddings", 2048);
  const positions = ropePositions(json, fields, maxPositions);
  const attentionBias = variant.attentionBias(json);
  const windows = variant.windows(json, fields, layers);
  return {
    architecture: variant.architecture,
    vocabSize: number("vocab_size"),
    hiddenSize,
    intermediateSize: number("intermediate_size"),
    layers,
    heads,
    kvHeads: number("num_key_value_heads", heads),
    headDim: number("head_dim", variant.headDim ?? hiddenSize / heads),
    normEps: number("rms_norm_eps", 1e-6),
    positions,
    maxPositions: stretchedPositions(maxPositions, positions.scaling),
    tieWordEmbeddings: (json["tie_word_embeddings"] ?? false) === true,
    ...(attentionBias ? { attentionBias } : {}),
    ...(json["mlp_bias"] === true ? { mlpBias: true } : {}),
    ...(windows?.some((window) => window !== null) ? { windows } : {}),
    ...activationOf(json, "hidden_act", "silu", fields),
  };
};

const everywhere = (layers: number, window: number): (number | null)[] =>
  Array.from({ length: layers }, () => window);

/** Windows where `layer_types` says so, or by the rule for layers' numbers where there is none. */
function windowsByType(
  json: Json,
  fields: Fields,
  layers: number,
  windowed: (layer: number) => boolean,
): (number | null)[] {
  const window = fields.number("sliding_window", 4096);
  const types = json["layer_types"] ??
    Array.from(
      { length: layers },
      (_, layer) => windowed(layer) ? "sliding_attention" : "full_attention",
    );
  if (!Array.isArray(types)) {
    throw new TypeError(
      `Cannot read ${fields.where} as layer_types must be a list: ${show(types)}`,
    );
  }
  return types.map((type) => {
    const known = type === "sliding_attention" || type === "full_attention";
    fields.refuseUnless("layer_types", known, type);
    return type === "sliding_attention" ? window : null;
  });
}

/** Qwen's windows, off unless `use_sliding_window`, on the layers from `max_window_layers` on. */
function qwenWindows(json: Json, fields: Fields, layers: number) {
  if (json["use_sliding_window"] !== true || json["sliding_window"] === null) return undefined;
  const first = fields.number("max_window_layers", 28);
  return windowsByType(json, fields, layers, (layer) => layer >= first);
}

const noWindows: LlamaVariant["windows"] = (json, { refuseUnless }) => {
  refuseUnless("sliding_window", (json["sliding_window"] ?? null) === null, json["sliding_window"]);
  return undefined;
};

const biasIf = (json: Json) => json["attention_bias"] === true ? "all" as const : undefined;

/** `config.json`'s names of the caps. */
const CAPS = { scoreCap: "attn_logit_softcapping", logitCap: "final_logit_softcapping" } as const;

/** A generation of Gemma, with what holds where `config.json` does not say. */
interface GemmaVariant {
  readonly architecture: Architecture;
  readonly vocabSize: number;
  readonly maxPositions: number;
  /** Every such block sees all tokens. */
  readonly period: number;
  readonly scoreCap?: number;
  readonly logitCap?: number;
}

const gemma = (variant: GemmaVariant): Read => (json, fields) => {
  const { number, refuseUnless } = fields;
  const both = json["use_bidirectional_attention"];
  refuseUnless("use_bidirectional_attention", !both, both);
  const layers = number("num_hidden_layers");
  const period = number("sliding_window_pattern", variant.period);
  const maxPositions = number("max_position_embeddings", variant.maxPositions);
  const windows = windowsByType(json, fields, layers, (layer) => (layer + 1) % period !== 0);
  const attentionBias = biasIf(json);
  const positions = ropePositions(json, fields, maxPositions);
  const cap = (name: keyof typeof CAPS) => {
    // null says that there is none.
    const value = json[CAPS[name]] === null ? undefined : variant[name];
    const found = fields.optionalNumber(CAPS[name]) ?? value;
    return found === undefined ? {} : { [name]: found };
  };
  return {
    architecture: variant.architecture,
    vocabSize: number("vocab_size", variant.vocabSize),
    hiddenSize: number("hidden_size"),
    intermediateSize: number("intermediate_size"),
    layers,
    heads: number("num_attention_heads", 8),
    kvHeads: number("num_key_value_heads", 4),
    headDim: number("head_dim", 256),
    normEps: number("rms_norm_eps", 1e-6),
    positions,
    maxPositions: variant.architecture === "gemma3"
      ? maxPositions // the stretched length itself
      : stretchedPositions(maxPositions, positions.scaling),
    tieWordEmbeddings: (json["tie_word_embeddings"] ?? true) === true,
    scoreScale: number("query_pre_attn_scalar", 256) ** -0.5,
    ...cap("scoreCap"),
    ...cap("logitCap"),
    windows,
    ...(attentionBias ? { attentionBias } : {}),
    ...activationOf(json, "hidden_activation", "gelu_pytorch_tanh", fields),
  };
};

const gpt2: Read = (json, fields) => {
  const { number, refuseUnless } = fields;
  const scaled = json["scale_attn_weights"] ?? true;
  refuseUnless("scale_attn_weights", scaled === true, scaled);
  for (const flag of ["scale_attn_by_inverse_layer_idx", "add_cross_attention"]) {
    refuseUnless(flag, !json[flag], json[flag]);
  }
  const hiddenSize = number("n_embd");
  const heads = number("n_head");
  return {
    architecture: "gpt2",
    vocabSize: number("vocab_size"),
    hiddenSize,
    intermediateSize: number("n_inner", 4 * hiddenSize),
    layers: number("n_layer"),
    heads,
    kvHeads: heads,
    headDim: hiddenSize / heads,
    normEps: number("layer_norm_epsilon", 1e-5),
    positions: { kind: "learned" },
    maxPositions: number("n_positions", 1024),
    tieWordEmbeddings: (json["tie_word_embeddings"] ?? true) === true,
    ...activationOf(json, "activation_function", "gelu_new", fields),
  };
};

/** Readers by `model_type`. */
const READERS: Readonly<Record<string, Read>> = {
  llama: llamaLike({ architecture: "llama", attentionBias: biasIf, windows: noWindows }),
  mistral: llamaLike({
    architecture: "mistral",
    attentionBias: () => undefined,
    windows: (json, { number }, layers) =>
      json["sliding_window"] === null
        ? undefined
        : everywhere(layers, number("sliding_window", 4096)),
  }),
  qwen2: llamaLike({ architecture: "qwen2", attentionBias: () => "qkv", windows: qwenWindows }),
  qwen3: llamaLike({
    architecture: "qwen3",
    headDim: 128,
    attentionBias: biasIf,
    windows: qwenWindows,
  }),
  gemma2: gemma({
    architecture: "gemma2",
    vocabSize: 256_000,
    maxPositions: 8192,
    period: 2,
    scoreCap: 50,
    logitCap: 30,
  }),
  gemma3_text: gemma({
    architecture: "gemma3",
    vocabSize: 262_208,
    maxPositions: 131_072,
    period: 6,
  }),
  gpt2,
};

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
): DecoderConfig {
  const where = "config.json";
  const fields = fieldsOf(where, (key) => json[key]);
  const read = entryOf(READERS, json["model_type"], where);
  const quantized = json["quantization_config"] ?? null;
  fields.refuseUnless("quantization_config", quantized === null, "set");
  const bos = tokenIds(json["bos_token_id"], where)[0];
  const eosTokenIds = [
    ...new Set([
      ...tokenIds(generation["eos_token_id"], "generation_config.json"),
      ...tokenIds(json["eos_token_id"], where),
    ]),
  ];
  const found = read(json, fields);
  for (const name of Object.keys(CAPS) as (keyof typeof CAPS)[]) {
    const cap = json[CAPS[name]] ?? null;
    fields.refuseUnless(CAPS[name], cap === null || found[name] !== undefined, cap);
  }
  return checkConfig({
    ...found,
    ...(bos === undefined ? {} : { bosTokenId: bos }),
    eosTokenIds,
  }, where);
}

/** `model_type` and the class that transformers loads. */
const CLASSES: { readonly [A in Architecture]: readonly [modelType: string, className: string] } = {
  llama: ["llama", "LlamaForCausalLM"],
  mistral: ["mistral", "MistralForCausalLM"],
  qwen2: ["qwen2", "Qwen2ForCausalLM"],
  qwen3: ["qwen3", "Qwen3ForCausalLM"],
  gemma2: ["gemma2", "Gemma2ForCausalLM"],
  gemma3: ["gemma3_text", "Gemma3ForCausalLM"],
  gpt2: ["gpt2", "GPT2LMHeadModel"],
};

/**
 * The `config.json` that transformers reads as this configuration.
 *
 * @throws {RangeError} If it has a cap that transformers does not compute for its family.
 */
export function configToHuggingFace(config: DecoderConfig): Record<string, unknown> {
  const [modelType, className] = CLASSES[config.architecture];
  const [firstEos] = config.eosTokenIds;
  const activation = ACTIVATION_NAMES[config.activation ?? "silu"];
  const isGemma = config.architecture === "gemma2" || config.architecture === "gemma3";
  const cap = config.scoreCap ?? config.logitCap;
  if (cap !== undefined && !isGemma) {
    throw new RangeError(
      `Cannot write config.json as only a Gemma may cap scores or logits: ${className}, ${cap}`,
    );
  }
  const common = {
    architectures: [className],
    bos_token_id: config.bosTokenId ?? null,
    eos_token_id: config.eosTokenIds.length > 1 ? config.eosTokenIds : firstEos ?? null,
    initializer_range: 0.02,
    model_type: modelType,
    tie_word_embeddings: config.tieWordEmbeddings,
    use_cache: true,
    vocab_size: config.vocabSize,
  };
  if (config.positions.kind === "learned") {
    return {
      ...common,
      activation_function: activation,
      layer_norm_epsilon: config.normEps,
      n_embd: config.hiddenSize,
      n_head: config.heads,
      n_inner: config.intermediateSize,
      n_layer: config.layers,
      n_positions: config.maxPositions,
    };
  }
  return {
    ...common,
    attention_bias: config.attentionBias === "all",
    attention_dropout: 0,
    head_dim: config.headDim,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    mlp_bias: config.mlpBias === true,
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    num_key_value_heads: config.kvHeads,
    rms_norm_eps: config.normEps,
    ...(isGemma
      ? {
        hidden_activation: activation,
        [CAPS.scoreCap]: config.scoreCap ?? null,
        [CAPS.logitCap]: config.logitCap ?? null,
      }
      : { hidden_act: activation }),
    ...(config.scoreScale === undefined
      ? {}
      : { query_pre_attn_scalar: Number((config.scoreScale ** -2).toPrecision(12)) }),
    ...windowFields(config, isGemma),
    ...ropeToHuggingFace(config.positions, config),
  };
}

function windowFields(
  { architecture, windows }: DecoderConfig,
  isGemma: boolean,
): Record<string, unknown> {
  const window = windows?.find((one) => one !== null) ?? null;
  if (architecture === "llama") return {};
  if (architecture === "mistral") return { sliding_window: window };
  return {
    sliding_window: window,
    ...(isGemma ? {} : { use_sliding_window: window !== null }),
    ...(windows
      ? {
        layer_types: windows.map((one) => one === null ? "full_attention" : "sliding_attention"),
      }
      : {}),
  };
}
