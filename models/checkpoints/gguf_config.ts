/**
 * The configuration of a decoder in a GGUF file's metadata.
 *
 * Source: `conversion/*.py` and `src/models/*.cpp` of ggml-org/llama.cpp.
 *
 * @module
 */

import { readAsFloat32 } from "../../graph/tensor_source.ts";
import {
  type Architecture,
  checkConfig,
  type DecoderConfig,
  families,
  ropeFrequencies,
  type RopeScaling,
  type RotaryPositions,
  stretchedPositions,
  yarnAttentionFactor,
} from "../architectures/mod.ts";
import { entryOf, type Fields, fieldsOf, tokenIds } from "./config_fields.ts";
import type { Gguf, GgufValue } from "./gguf.ts";
import { GgufStrings } from "./gguf_strings.ts";

/** Families by `general.architecture`; Mistral's files say `llama`. */
const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: "llama",
  qwen2: "qwen2",
  qwen3: "qwen3",
  gemma2: "gemma2",
  gemma3: "gemma3",
  gpt2: "gpt2",
};

/** A generation of Gemma: what llama.cpp knows of it where a file does not say. */
interface Gemma {
  /** Layers of the 27B model, whose score scale follows from its width. */
  readonly largest: number;
  /** Every such block sees all tokens. */
  readonly period: number;
  readonly window?: number;
  readonly scoreCap?: number;
  readonly logitCap?: number;
}

const GEMMAS: { readonly [A in Architecture]?: Gemma } = {
  gemma2: { largest: 46, period: 2, window: 4096, scoreCap: 50, logitCap: 30 },
  gemma3: { largest: 62, period: 6 },
};

/**
 * The configuration in a GGUF file's metadata.
 *
 * @throws {TypeError} If a key is absent or of the wrong kind.
 * @throws {RangeError} If the architecture or one of its features is not supported.
 */
export async function configFromGguf(gguf: Gguf, fileName: string): Promise<DecoderConfig> {
  const { metadata, tensors } = gguf;
  const where = `${fileName}'s metadata`;
  const name = metadata.get("general.architecture");
  const architecture = entryOf(ARCHITECTURES, name, where);
  const fields = fieldsOf(where, (key) => metadata.get(key));
  const { refuseUnless } = fields;
  const key = (rest: string) => `${name}.${rest}`;
  const number = (rest: string, otherwise?: number) => fields.number(key(rest), otherwise);

  const splits = metadata.get("split.count");
  refuseUnless("split.count", splits === undefined || Number(splits) <= 1, splits);
  const experts = metadata.get(key("expert_count"));
  refuseUnless(key("expert_count"), !experts, experts);
  const gemma = GEMMAS[architecture];
  const cap = (name: "scoreCap" | "logitCap", rest: string) => {
    const value = number(rest, gemma?.[name] ?? 0);
    refuseUnless(key(rest), value === 0 || gemma !== undefined, value);
    return value === 0 ? {} : { [name]: shortest(value) };
  };

  const tokens = metadata.get("tokenizer.ggml.tokens");
  const hiddenSize = number("embedding_length");
  const heads = number("attention.head_count");
  const layers = number("block_count");
  const headDim = number("attention.key_length", hiddenSize / heads);
  const rotary = number("rope.dimension_count", headDim);
  refuseUnless(key("rope.dimension_count"), rotary === headDim, rotary);
  const valueDim = number("attention.value_length", headDim);
  refuseUnless(key("attention.value_length"), valueDim === headDim, valueDim);
  const maxPositions = number("context_length");
  const learned = architecture === "gpt2";
  const positions = learned
    ? { kind: "learned" } as const
    : await ropePositions(gguf, fields, key, headDim, maxPositions);
  const bos = metadata.get("tokenizer.ggml.bos_token_id");
  const ends = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"]
    .flatMap((one) => tokenIds(metadata.get(one) ?? null, where));
  const hub = hubName(metadata);
  const has = (tensor: string) => tensors.has(tensor);
  const windows = windowsOf(architecture, fields, key, layers);
  const stretched = architecture === "gemma3" || positions.kind === "learned"
    ? maxPositions
    : stretchedPositions(maxPositions, positions.scaling);
  return checkConfig({
    architecture,
    vocabSize: number("vocab_size", tokens instanceof GgufStrings ? tokens.length : undefined),
    hiddenSize,
    intermediateSize: number("feed_forward_length"),
    layers,
    heads,
    kvHeads: number("attention.head_count_kv", heads),
    headDim,
    // The converter wrote a float32; the number meant is the shortest decimal that rounds to it.
    normEps: shortest(number(`attention.layer_norm${learned ? "" : "_rms"}_epsilon`)),
    positions,
    maxPositions: stretched,
    tieWordEmbeddings: !has("output.weight"),
    ...(has("blk.0.attn_q.bias")
      ? { attentionBias: has("blk.0.attn_output.bias") ? "all" as const : "qkv" as const }
      : {}),
    ...(has("blk.0.ffn_down.bias") && !learned ? { mlpBias: true } : {}),
    ...(windows ? { windows } : {}),
    // Files do not hold it.
    ...(gemma
      ? { scoreScale: (layers === gemma.largest ? hiddenSize / heads : headDim) ** -0.5 }
      : {}),
    ...cap("scoreCap", "attn_logit_softcapping"),
    ...cap("logitCap", "final_logit_softcapping"),
    ...(families[architecture].gated && !gemma ? {} : { activation: "gelu_tanh" as const }),
    ...(bos === undefined ? {} : { bosTokenId: tokenIds(bos, where)[0]! }),
    eosTokenIds: [...new Set(ends)],
    ...(hub === undefined ? {} : { name: hub }),
  }, where);
}

/** Windows of the blocks; Gemmas' leave out some. */
function windowsOf(
  architecture: Architecture,
  fields: Fields,
  key: (rest: string) => string,
  layers: number,
): DecoderConfig["windows"] {
  const gemma = GEMMAS[architecture];
  const window = fields.optionalNumber(key("attention.sliding_window")) ?? gemma?.window;
  if (!window) return undefined;
  // Which of the other families' blocks it would hold for, files do not say.
  const known = architecture === "llama" || gemma !== undefined;
  fields.refuseUnless(key("attention.sliding_window"), known, window);
  const period = gemma
    ? fields.number(key("attention.sliding_window_pattern"), gemma.period)
    : Infinity;
  return Array.from({ length: layers }, (_, layer) => (layer + 1) % period === 0 ? null : window);
}

async function ropePositions(
  { metadata, tensors }: Gguf,
  fields: Fields,
  key: (rest: string) => string,
  headDim: number,
  maxPositions: number,
): Promise<RotaryPositions> {
  const { number, refuseUnless } = fields;
  const gemma = key("") === "gemma3.";
  const theta = shortest(number(key("rope.freq_base"), gemma ? 1_000_000 : 10_000));
  const type = metadata.get(key("rope.scaling.type")) ?? "none";
  const factor = () => shortest(number(key("rope.scaling.factor")));
  const originalPositions = number(key("rope.scaling.original_context_length"), maxPositions);
  let scaling: RopeScaling | undefined;
  const divisors = tensors.get("rope_freqs.weight");
  if (divisors) {
    scaling = llama3Scaling(await readAsFloat32(divisors), headDim, theta, originalPositions);
    refuseUnless("rope_freqs.weight", scaling !== undefined, "another scaling than Llama 3's");
  } else if (type === "linear") {
    const by = factor();
    scaling = {
      kind: "linear",
      factor: by,
      originalPositions: gemma ? maxPositions / by : maxPositions,
    };
  } else if (type === "yarn") {
    for (const factor of ["attn_factor", "yarn_attn_factor", "yarn_ext_factor"]) {
      const name = key(`rope.scaling.${factor}`);
      refuseUnless(name, number(name, 1) === 1, metadata.get(name));
    }
    scaling = {
      kind: "yarn",
      factor: factor(),
      originalPositions,
      attentionFactor: yarnAttentionFactor(factor()),
      betaFast: shortest(number(key("rope.scaling.yarn_beta_fast"), 32)),
      betaSlow: shortest(number(key("rope.scaling.yarn_beta_slow"), 1)),
      truncate: true,
    };
  } else {
    refuseUnless(key("rope.scaling.type"), type === "none", type);
  }
  return {
    kind: "rotary",
    theta,
    ...(scaling ? { scaling } : {}),
    ...(gemma ? { windowTheta: shortest(number(key("rope.freq_base_swa"), 10_000)) } : {}),
  };
}

/** float32 roundings of a divisor, relative. */
const DIVISOR_TOLERANCE = 1e-5;

/**
 * The scaling whose frequencies are the plain ones over these divisors. Files hold Llama 3's as its
 * result alone; its two factors and the length it started from are those of all published models.
 */
function llama3Scaling(
  divisors: Float32Array,
  headDim: number,
  theta: number,
  originalPositions: number,
): RopeScaling | undefined {
  const plain = ropeFrequencies(headDim, theta);
  for (const original of [8192, originalPositions]) {
    const scaling: RopeScaling = {
      kind: "llama3",
      factor: Math.max(...divisors),
      originalPositions: original,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
    };
    const scaled = ropeFrequencies(headDim, theta, scaling);
    const equal = divisors.length === plain.length &&
      scaled.every((frequency, i) =>
        Math.abs(plain[i]! / frequency / divisors[i]! - 1) < DIVISOR_TOLERANCE
      );
    if (equal) return scaling;
  }
  return undefined;
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
