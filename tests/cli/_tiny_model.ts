/**
 * A tiny random chat model as a Hugging Face folder, for tests of whole commands.
 *
 * @module
 */

import { randomStream } from "../../core/random.ts";
import { type DecoderConfig, requiredTensors } from "../../models/architectures/mod.ts";
import { writeCheckpoint } from "../../models/checkpoints/write.ts";

const SPECIAL = ["<|end|>", "<|user|>", "<|assistant|>"] as const;

/** Bytes as the characters by which byte-level tokenizers name them. */
function byteCharacters(): string[] {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from(
    { length: 256 },
    (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++),
  );
}

const tokenizer = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: SPECIAL.map((content, index) => ({
    id: 256 + index,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: null,
  pre_tokenizer: {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: true,
  },
  post_processor: null,
  decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    vocab: Object.fromEntries(
      [...byteCharacters(), ...SPECIAL].map((token, id) => [token, id]),
    ),
    merges: [],
  },
};

const template =
  "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/** Its sizes. */
export const tinyConfig: DecoderConfig = {
  architecture: "llama",
  vocabSize: 259,
  hiddenSize: 16,
  intermediateSize: 24,
  layers: 2,
  heads: 2,
  kvHeads: 1,
  headDim: 8,
  normEps: 1e-5,
  positions: { kind: "rotary", theta: 10_000 },
  maxPositions: 128,
  tieWordEmbeddings: true,
  eosTokenIds: [256],
};

/** The model's files. */
export function tinyModelFiles(): Record<string, Uint8Array> {
  const random = randomStream(0, "tiny model");
  const tensors = new Map(
    [...requiredTensors(tinyConfig)].map(([name, shape]) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const values = () => name.includes("norm") ? 1 : (random.next() - 0.5) * 0.6;
      return [name, { shape, data: Float32Array.from({ length: size }, values) }];
    }),
  );
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  return writeCheckpoint(tinyConfig, tensors, {
    extraFiles: {
      "tokenizer.json": json(tokenizer),
      "tokenizer_config.json": json({
        tokenizer_class: "PreTrainedTokenizerFast",
        eos_token: "<|end|>",
        chat_template: template,
      }),
    },
  });
}

/** Writes the model into a folder. */
export async function writeTinyModel(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(tinyModelFiles())) {
    await Deno.writeFile(`${folder}/${name}`, bytes);
  }
}
