/** Files made by hand, for the tests of this folder. */

import { type DecoderConfig, requiredTensors } from "../../models/architectures/mod.ts";
import { type ByteSource, bytesSource } from "../../models/checkpoints/byte_source.ts";

import type { FloatTensor } from "../../models/checkpoints/safetensors.ts";
import { writeCheckpoint } from "../../models/checkpoints/write.ts";

const utf8 = new TextEncoder();

export const tinyConfig: DecoderConfig = {
  architecture: "llama",
  vocabSize: 12,
  hiddenSize: 8,
  intermediateSize: 6,
  layers: 2,
  heads: 2,
  kvHeads: 1,
  headDim: 4,
  normEps: 1e-5,
  positions: { kind: "rotary", theta: 10_000 },
  maxPositions: 16,
  tieWordEmbeddings: true,
  bosTokenId: 1,
  eosTokenIds: [2],
};

/** Values that differ everywhere, in order of the required tensors. */
export function countingTensors(config: DecoderConfig): Map<string, FloatTensor> {
  let next = 0;
  return new Map(
    [...requiredTensors(config)].map(([name, shape]) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const data = Float32Array.from({ length: size }, () => next++ / 64);
      return [name, { shape, data }];
    }),
  );
}

export function sources(files: Readonly<Record<string, Uint8Array>>): Record<string, ByteSource> {
  return Object.fromEntries(
    Object.entries(files).map(([name, bytes]) => [name, bytesSource(name, bytes)]),
  );
}

export function tinyCheckpoint(): Record<string, Uint8Array> {
  return writeCheckpoint(tinyConfig, countingTensors(tinyConfig));
}

/** Writes little-endian pieces one after another. */
export class Bytes {
  readonly #parts: Uint8Array[] = [];
  length = 0;

  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.length += bytes.length;
    return this;
  }
  #number(size: number, put: (view: DataView) => void): this {
    const bytes = new Uint8Array(size);
    put(new DataView(bytes.buffer));
    return this.raw(bytes);
  }
  u8(value: number): this {
    return this.#number(1, (view) => view.setUint8(0, value));
  }
  u32(value: number): this {
    return this.#number(4, (view) => view.setUint32(0, value, true));
  }
  i32(value: number): this {
    return this.#number(4, (view) => view.setInt32(0, value, true));
  }
  u64(value: number): this {
    return this.#number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }
  f32(value: number): this {
    return this.#number(4, (view) => view.setFloat32(0, value, true));
  }
  floats(values: Iterable<number>): this {
    for (const value of values) this.f32(value);
    return this;
  }
  string(text: string): this {
    const bytes = utf8.encode(text);
    return this.u64(bytes.length).raw(bytes);
  }
  pad(multiple: number): this {
    return this.raw(new Uint8Array((multiple - this.length % multiple) % multiple));
  }
  done(): Uint8Array {
    const out = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

/** Metadata of a hand-made GGUF file. Integers become uint32. */
export type GgufMetadata = Readonly<
  Record<string, number | boolean | string | readonly string[] | Float32Array | Int32Array>
>;

/** A GGUF tensor: shape outermost first, ggml's type number, bytes. */
export interface GgufTensor {
  readonly shape: readonly number[];
  readonly type: number;
  readonly bytes: Uint8Array;
}

export function writeGguf(
  metadata: GgufMetadata,
  tensors: Readonly<Record<string, GgufTensor>>,
  alignment = 32,
): Uint8Array {
  const out = new Bytes().raw(utf8.encode("GGUF")).u32(3);
  out.u64(Object.keys(tensors).length).u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    out.string(key);
    if (typeof value === "string") out.u32(8).string(value);
    else if (typeof value === "boolean") out.u32(7).u8(Number(value));
    else if (typeof value === "number") {
      if (Number.isInteger(value)) out.u32(4).u32(value);
      else out.u32(6).f32(value);
    } else if (value instanceof Float32Array) out.u32(9).u32(6).u64(value.length).floats(value);
    else if (value instanceof Int32Array) {
      out.u32(9).u32(5).u64(value.length);
      for (const each of value) out.i32(each);
    } else {
      out.u32(9).u32(8).u64(value.length);
      for (const each of value as readonly string[]) out.string(each);
    }
  }
  const data = new Bytes();
  for (const [name, { shape, type, bytes }] of Object.entries(tensors)) {
    out.string(name).u32(shape.length);
    for (const size of [...shape].reverse()) out.u64(size);
    out.u32(type).u64(data.length);
    data.raw(bytes).pad(alignment);
  }
  return out.pad(alignment).raw(data.done()).done();
}

const GGUF_NAMES: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens\.weight$/, "token_embd.weight"],
  [/^model\.norm\.weight$/, "output_norm.weight"],
  [/^lm_head\.weight$/, "output.weight"],
  [/^model\.layers\.(\d+)\.input_layernorm\./, "blk.$1.attn_norm."],
  [/^model\.layers\.(\d+)\.post_attention_layernorm\./, "blk.$1.ffn_norm."],
  [/^model\.layers\.(\d+)\.self_attn\.o_proj\./, "blk.$1.attn_output."],
  [/^model\.layers\.(\d+)\.self_attn\.(\w)_proj\./, "blk.$1.attn_$2."],
  [/^model\.layers\.(\d+)\.mlp\.(\w+)_proj\./, "blk.$1.ffn_$2."],
];

/** Rows of q and k as llama.cpp's converter orders them: reshape [2, d/2] within a head, swapped. */
export function interleaveRows({ shape, data }: FloatTensor, headDim: number): FloatTensor {
  const [rows = 0, columns = 0] = shape;
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    const [head, inner] = [Math.floor(row / headDim), row % headDim];
    const [j, i] = [Math.floor(inner / (headDim / 2)), inner % (headDim / 2)];
    const target = head * headDim + 2 * i + j;
    out.set(data.subarray(row * columns, (row + 1) * columns), target * columns);
  }
  return { shape, data: out };
}

export function f32Bytes(data: Float32Array): Uint8Array {
  return new Bytes().floats(data).done();
}

/** A float32 GGUF file of the tiny model, with a byte-level tokenizer of its own. */
export function tinyGguf(overrides: GgufMetadata = {}, config = tinyConfig): Uint8Array {
  const tensors: Record<string, GgufTensor> = {};
  for (const [name, tensor] of countingTensors(config)) {
    const rotated = /\.[qk]_proj\.weight$/.test(name);
    const { shape, data } = rotated ? interleaveRows(tensor, config.headDim) : tensor;
    const [pattern, replacement] = GGUF_NAMES.find(([pattern]) => pattern.test(name))!;
    tensors[name.replace(pattern, replacement)] = { shape, type: 0, bytes: f32Bytes(data) };
  }
  return writeGguf({
    "general.architecture": "llama",
    "general.name": "tiny",
    "llama.block_count": config.layers,
    "llama.context_length": config.maxPositions,
    "llama.embedding_length": config.hiddenSize,
    "llama.feed_forward_length": config.intermediateSize,
    "llama.attention.head_count": config.heads,
    "llama.attention.head_count_kv": config.kvHeads,
    "llama.rope.freq_base": 10_000,
    "llama.attention.layer_norm_rms_epsilon": config.normEps,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": [
      "<|end|>",
      "<|start|>",
      "<|stop|>",
      "a",
      "b",
      "ab",
      "Ġ",
      "Ġa",
      "1",
      "Ã",
      "©",
      "\u010a",
    ],
    "tokenizer.ggml.token_type": Int32Array.of(3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    "tokenizer.ggml.merges": ["a b", "Ġ a"],
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.chat_template":
      "{% for m in messages %}<|start|>{{ m.content }}<|stop|>\n{% endfor %}{% if add_generation_prompt %}<|start|>{% endif %}",
    ...overrides,
  }, tensors);
}

/** A llama2.c checkpoint of the tiny model. */
export function tinyLlama2c(config = tinyConfig): Uint8Array {
  const tensors = countingTensors(config);
  const out = new Bytes();
  const { hiddenSize, intermediateSize, layers, heads, kvHeads, vocabSize } = config;
  out.i32(hiddenSize).i32(intermediateSize).i32(layers).i32(heads).i32(kvHeads)
    .i32(config.tieWordEmbeddings ? vocabSize : -vocabSize).i32(config.maxPositions);
  const put = (name: string) => {
    const tensor = tensors.get(name)!;
    const rotated = /\.[qk]_proj\.weight$/.test(name);
    out.raw(f32Bytes((rotated ? interleaveRows(tensor, config.headDim) : tensor).data));
  };
  put("model.embed_tokens.weight");
  for (
    const kind of [
      "input_layernorm",
      "self_attn.q_proj",
      "self_attn.k_proj",
      "self_attn.v_proj",
      "self_attn.o_proj",
      "post_attention_layernorm",
      "mlp.gate_proj",
      "mlp.down_proj",
      "mlp.up_proj",
    ]
  ) {
    for (let layer = 0; layer < layers; layer++) put(`model.layers.${layer}.${kind}.weight`);
  }
  put("model.norm.weight");
  out.floats(new Float32Array(config.maxPositions * config.headDim));
  if (!config.tieWordEmbeddings) put("lm_head.weight");
  return out.done();
}
