/**
 * The configuration of a decoder in a Hugging Face `config.json`.
 *
 * @module
 */

import { checkConfig, type DecoderConfig } from "../architectures/config.ts";
import { refuseUnless, requireArchitecture, show, tokenIds } from "./config_fields.ts";

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
    normEps: number("rms_norm_eps", 1e-6),
    positions: {
      kind: "rotary",
      theta: typeof theta === "number" ? theta : number("rope_theta", 10_000),
    },
    maxPositions: number("max_position_embeddings", 2048),
    tieWordEmbeddings: json["tie_word_embeddings"] === true,
    ...(bos === undefined ? {} : { bosTokenId: bos }),
    eosTokenIds,
  }, where);
}

/** The `config.json` that transformers reads as this configuration. */
export function configToHuggingFace(config: DecoderConfig): Record<string, unknown> {
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
    rms_norm_eps: config.normEps,
    rope_scaling: null,
    rope_theta: config.positions.theta,
    tie_word_embeddings: config.tieWordEmbeddings,
    use_cache: true,
    vocab_size: config.vocabSize,
  };
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
