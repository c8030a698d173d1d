/**
 * The configuration of a DeBERTa in a Hugging Face `config.json`.
 *
 * @module
 */

import {
  checkDebertaConfig,
  type DebertaConfig,
  type RelativeTerm,
} from "../architectures/deberta_config.ts";
import { refuseUnless, show } from "./config_fields.ts";

/** Activations that are GELU, by transformers' names. */
const GELUS: Readonly<Record<string, DebertaConfig["gelu"]>> = {
  gelu: "none",
  gelu_python: "none",
  gelu_new: "tanh",
  gelu_pytorch_tanh: "tanh",
};

/**
 * The configuration in a `config.json` whose `model_type` is `deberta-v2` (which v3 is, too).
 *
 * @throws {TypeError} If a field is absent or of the wrong kind.
 * @throws {RangeError} If a feature is not supported, or a size cannot be.
 */
export function debertaConfigFromJson(json: Readonly<Record<string, unknown>>): DebertaConfig {
  const where = "config.json";
  refuseUnless(
    where,
    "model_type",
    json["model_type"] === "deberta-v2",
    json["model_type"],
  );
  const number = (key: string, otherwise?: number): number => {
    const value = json[key] ?? otherwise;
    if (typeof value !== "number") {
      throw new TypeError(`Cannot read ${where} as ${key} must be a number: ${show(value)}`);
    }
    return value;
  };
  const hiddenSize = number("hidden_size");
  refuseUnless(where, "relative_attention", json["relative_attention"] === true, false);
  const conv = number("conv_kernel_size", 0);
  refuseUnless(where, "conv_kernel_size", conv === 0, conv);
  const embedding = number("embedding_size", hiddenSize);
  refuseUnless(where, "embedding_size", embedding === hiddenSize, embedding);
  const attention = number("attention_head_size", hiddenSize / number("num_attention_heads"));
  refuseUnless(
    where,
    "attention_head_size",
    attention * number("num_attention_heads") === hiddenSize,
    attention,
  );
  const act = json["hidden_act"] ?? "gelu";
  const gelu = typeof act === "string" && Object.hasOwn(GELUS, act) ? GELUS[act] : undefined;
  refuseUnless(where, "hidden_act", gelu !== undefined, act);
  const positions = number("max_position_embeddings", 512);
  const largest = number("max_relative_positions", -1);
  const maxDistance = largest < 1 ? positions : largest;
  const buckets = number("position_buckets", -1);
  return checkDebertaConfig({
    vocabSize: number("vocab_size"),
    hiddenSize,
    intermediateSize: number("intermediate_size"),
    layers: number("num_hidden_layers"),
    heads: number("num_attention_heads"),
    normEps: number("layer_norm_eps", 1e-7),
    span: buckets > 0 ? buckets : maxDistance,
    logBuckets: buckets > 0,
    maxDistance,
    terms: relativeTerms(json["pos_att_type"], where),
    shareProjections: json["share_att_key"] === true,
    normRelative: parts(json["norm_rel_ebd"]).includes("layer_norm"),
    absolutePositions: json["position_biased_input"] === false ? 0 : positions,
    tokenTypes: number("type_vocab_size", 0),
    gelu: gelu!,
  }, where);
}

/** `"p2c|c2p"`, or a list. */
function parts(value: unknown): string[] {
  const list = typeof value === "string" ? value.toLowerCase().split("|") : value ?? [];
  return Array.isArray(list) ? list.map((part) => String(part).trim()) : [];
}

function relativeTerms(value: unknown, where: string): RelativeTerm[] {
  const names = parts(value);
  const other = names.find((name) => name !== "c2p" && name !== "p2c");
  refuseUnless(where, "pos_att_type", other === undefined, other);
  return (["c2p", "p2c"] as const).filter((term) => names.includes(term));
}

/** Width of a head in every DeBERTa-v3. */
const V3_HEAD = 64;

/**
 * The configuration of a DeBERTa-v3 whose file does not describe it: sizes from its tensors, the rest
 * as all of that family have it.
 *
 * @param tensors By the encoder's own names.
 * @throws {RangeError} If a tensor that a DeBERTa-v3 has is absent, or a size cannot be.
 */
export function debertaConfigFromTensors(
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  where: string,
): DebertaConfig {
  const size = (name: string, axis: number): number => {
    const found = tensors.get(name)?.shape[axis];
    if (found === undefined) {
      throw new RangeError(`Cannot read ${where} as a DeBERTa-v3 must have ${name}: it is absent`);
    }
    return found;
  };
  const hiddenSize = size("embeddings.word_embeddings.weight", 1);
  const layers = [...tensors.keys()].flatMap((name) =>
    /^encoder\.layer\.(\d+)\.output\.dense\.weight$/.exec(name)?.[1] ?? []
  );
  return checkDebertaConfig({
    vocabSize: size("embeddings.word_embeddings.weight", 0),
    hiddenSize,
    intermediateSize: size("encoder.layer.0.intermediate.dense.weight", 0),
    layers: layers.length,
    heads: hiddenSize / V3_HEAD,
    normEps: 1e-7,
    span: size("encoder.rel_embeddings.weight", 0) / 2,
    logBuckets: true,
    maxDistance: 512,
    terms: ["c2p", "p2c"],
    shareProjections: true,
    normRelative: true,
    absolutePositions: 0,
    tokenTypes: 0,
    gelu: "none",
  }, where);
}
