/**
 * A model as a GGUF file that llama.cpp loads.
 *
 * @module
 */

import type { TensorSource } from "../../graph/tensor_source.ts";
import type { Architecture, DecoderConfig } from "../architectures/mod.ts";
import { ggufNames } from "../checkpoints/names.ts";
import type { ByteStream } from "./byte_stream.ts";
import { neighbourRows } from "./neighbour_rows.ts";
import { type GgufEncoding, type GgufEntry, ggufStream, type GgufTensor } from "./gguf.ts";

/** What `general.file_type` calls a file by the type of its matrices. */
const FILE_TYPES = { f32: 0, f16: 1, q8_0: 7 } as const;

/** Options of {@linkcode ggufModel}. */
export interface GgufModelOptions {
  /** Type of the matrices; norms stay float32. */
  readonly encoding: GgufEncoding;
  /** The keys `tokenizer.*`. */
  readonly tokenizer: ReadonlyMap<string, GgufEntry>;
}

/**
 * A model as a GGUF file. Matrices whose rows are no whole blocks become `f16` in a `q8_0` file.
 *
 * @param tensors All tensors of the configuration, by our names.
 * @throws {RangeError} If the model has something that is not written yet.
 */
export function ggufModel(
  config: DecoderConfig,
  tensors: ReadonlyMap<string, TensorSource>,
  { encoding, tokenizer }: GgufModelOptions,
): ByteStream {
  const metadata = new Map<string, GgufEntry>([
    ...ggufMetadata(config),
    ["general.file_type", { u32: FILE_TYPES[encoding] }],
    ["general.quantization_version", { u32: 2 }],
    ...tokenizer,
  ]);
  const names = ggufNames(config);
  const written = new Map<string, GgufTensor>();
  for (const [name, source] of tensors) {
    const [, path, kind] = /^(.+)\.(weight|bias)$/.exec(name)!;
    const theirs = names.get(path!)!;
    // Only files of the Llama architecture are rotated by neighbours.
    const rotated = ARCHITECTURES[config.architecture] === "llama" && /\.attn_[qk]$/.test(theirs);
    const matrix = source.shape.length > 1;
    const blocks = source.shape.at(-1)! % 32 === 0;
    written.set(`${theirs}.${kind}`, {
      source: rotated ? neighbourRows(source, config.headDim) : source,
      encoding: !matrix ? "f32" : encoding === "q8_0" && !blocks ? "f16" : encoding,
    });
  }
  return ggufStream(metadata, written);
}

/** What llama.cpp calls the families that are written. */
const ARCHITECTURES: { readonly [A in Architecture]?: string } = {
  llama: "llama",
  mistral: "llama",
  qwen2: "qwen2",
  qwen3: "qwen3",
  gpt2: "gpt2",
};

/** The configuration by the keys of `configFromGguf`. */
function ggufMetadata(config: DecoderConfig): [string, GgufEntry][] {
  const { name, positions, windows } = config;
  const architecture = ARCHITECTURES[config.architecture];
  const rotary = positions.kind === "rotary" ? positions : undefined;
  const refuse = (what: string, found: unknown) => {
    throw new RangeError(`Cannot write the model to GGUF as ${what}: ${found}`);
  };
  if (architecture === undefined) {
    const known = Object.keys(ARCHITECTURES).join(", ");
    return refuse(`its architecture must be one of ${known}`, config.architecture);
  }
  if (rotary?.scaling && rotary.scaling.kind !== "linear") {
    refuse("its rotary scaling must be none or linear", rotary.scaling.kind);
  }
  const cap = config.scoreCap ?? config.logitCap;
  if (cap !== undefined) refuse("neither scores nor logits may be capped", cap);
  if (windows?.some((window) => window !== null && window < config.maxPositions)) {
    refuse("no layer may have a window", windows.find((window) => window !== null));
  }
  const u32 = (value: number) => ({ u32: value });
  const own: Record<string, GgufEntry> = {
    vocab_size: u32(config.vocabSize),
    context_length: u32(rotary?.scaling?.originalPositions ?? config.maxPositions),
    embedding_length: u32(config.hiddenSize),
    block_count: u32(config.layers),
    feed_forward_length: u32(config.intermediateSize),
    "attention.head_count": u32(config.heads),
    "attention.head_count_kv": u32(config.kvHeads),
    [`attention.layer_norm_${rotary ? "rms_" : ""}epsilon`]: { f32: config.normEps },
    ...(rotary
      ? {
        "attention.key_length": u32(config.headDim),
        "attention.value_length": u32(config.headDim),
        "rope.dimension_count": u32(config.headDim),
        "rope.freq_base": { f32: rotary.theta },
      }
      : {}),
    ...(rotary?.scaling?.kind === "linear"
      ? { "rope.scaling.type": "linear", "rope.scaling.factor": { f32: rotary.scaling.factor } }
      : {}),
  };
  return [
    ["general.architecture", architecture],
    ["general.type", "model"],
    ["general.name", name?.split("/").pop() ?? architecture],
    ...(name?.includes("/")
      ? [["general.source.huggingface.repository", name] as [string, GgufEntry]]
      : []),
    ...Object.entries(own).map(([key, value]): [string, GgufEntry] => [
      `${architecture}.${key}`,
      value,
    ]),
  ];
}
