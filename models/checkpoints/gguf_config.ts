/**
 * The configuration of a decoder in a GGUF file's metadata.
 *
 * @module
 */

import { checkConfig, type DecoderConfig } from "../architectures/config.ts";
import { refuseUnless, requireArchitecture, show, tokenIds } from "./config_fields.ts";
import type { Gguf, GgufValue } from "./gguf.ts";
import { GgufStrings } from "./gguf_strings.ts";

/**
 * The configuration in a GGUF file's metadata.
 *
 * @throws {TypeError} If a key is absent or of the wrong kind.
 * @throws {RangeError} If the architecture or one of its features is not supported.
 */
export function configFromGguf({ metadata, tensors }: Gguf, fileName: string): DecoderConfig {
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
    normEps: shortest(number("llama.attention.layer_norm_rms_epsilon")),
    positions: { kind: "rotary", theta: shortest(number("llama.rope.freq_base", 10_000)) },
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

/** The shortest decimal number that rounds to the same float32. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === Math.fround(value)) return candidate;
  }
  return value;
}
