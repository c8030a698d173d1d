/**
 * Tokenizers in a GGUF file's metadata.
 *
 * `tokenizer.ggml.model` is `gpt2` (byte-level BPE, whose rule for cutting text into words is named
 * by `tokenizer.ggml.pre`) or `llama` (SentencePiece with scores). The first becomes the equal
 * `tokenizer.json`.
 *
 * Source: `llm_tokenizer_bpe` in llama.cpp's `src/llama-vocab.cpp` (the rules), and the
 * `tokenizer.json` of the models that the rules are named for.
 *
 * @module
 */

import type { GgufValue } from "../checkpoints/gguf.ts";
import { GgufStrings } from "../checkpoints/gguf_strings.ts";
import { oneLine } from "../checkpoints/one_line.ts";
import {
  GPT2_SPLIT,
  huggingFaceTokenizer,
  isolate,
  type JsonObject,
} from "./huggingface_tokenizer.ts";
import { PIECE, sentencePieceTokenizer } from "./sentencepiece.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** How one family's tokenizer cuts text into words. */
export interface PreRule {
  /** Patterns applied one after another. */
  readonly split: readonly string[];
  /** A word that is a token is taken whole, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Whether BOS is added where the metadata does not say. */
  readonly addBos: boolean;
  /** Unicode normal form applied first. */
  readonly normalizer: JsonObject | null;
}

const GPT2: PreRule = {
  split: [GPT2_SPLIT],
  ignoreMerges: false,
  addBos: false,
  normalizer: null,
};

/** Words as in Llama 3 and Qwen 2, which differ in how many digits stay together. */
const wordsWithDigits = (digits: string) =>
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" + digits +
  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const LLAMA3: PreRule = {
  split: [wordsWithDigits("\\p{N}{1,3}")],
  ignoreMerges: true,
  addBos: true,
  normalizer: null,
};

const QWEN2: PreRule = {
  split: [wordsWithDigits("\\p{N}")],
  ignoreMerges: false,
  addBos: false,
  normalizer: { type: "NFC" },
};

/** Mistral's since Nemo: words end where lower case turns to upper, digits stand alone. */
const TEKKEN: PreRule = {
  ...LLAMA3,
  split: [
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" +
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" +
    "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ],
};

/** By the names that llama.cpp's converter gives them. */
export const PRE_RULES: ReadonlyMap<string, PreRule> = new Map([
  ["default", GPT2],
  ["gpt-2", GPT2],
  ["smollm", { ...GPT2, split: ["\\p{N}", GPT2_SPLIT] }],
  ["llama-bpe", LLAMA3],
  ["llama-v3", LLAMA3],
  ["llama3", LLAMA3],
  ["qwen2", QWEN2],
  ["deepseek-r1-qwen", QWEN2],
  ["tekken", TEKKEN],
]);

/** What every kind of tokenizer in the metadata has. */
function common(metadata: ReadonlyMap<string, GgufValue>, where: string) {
  const tokens = strings(metadata, "tokenizer.ggml.tokens", where);
  const types = metadata.get("tokenizer.ggml.token_type");
  const kinds = types instanceof Int32Array || types instanceof Uint32Array
    ? types
    : new Int32Array(tokens.length).fill(PIECE.normal);
  requireLength(kinds, "tokenizer.ggml.token_type", tokens.length, where);
  const id = (key: string): number | undefined => {
    const value = metadata.get(key);
    if (value === undefined) return undefined;
    if (typeof value !== "number" || tokens[value] === undefined) {
      throw new RangeError(
        `Cannot read ${where} as ${key} must be one of its ${tokens.length} tokens: ${
          oneLine(String(value))
        }`,
      );
    }
    return value;
  };
  const flag = (key: string, otherwise: boolean): boolean => {
    const value = metadata.get(key) ?? otherwise;
    if (typeof value !== "boolean") {
      throw new TypeError(
        `Cannot read ${where} as ${key} must be a boolean: ${oneLine(String(value))}`,
      );
    }
    return value;
  };
  const bosId = id("tokenizer.ggml.bos_token_id");
  const eosId = id("tokenizer.ggml.eos_token_id");
  return { tokens, kinds, flag, bosId, eosId };
}

/** A tokenizer as Hugging Face's two files describe it. */
export interface TokenizerDescription {
  /** `tokenizer.json`. */
  readonly tokenizer: Readonly<Record<string, unknown>>;
  /** `tokenizer_config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * The tokenizer in the metadata as Hugging Face's files, where it is a byte-level BPE; undefined for
 * the others, which have no such form here.
 *
 * @throws {RangeError} If its rule `pre` is not supported.
 * @throws {TypeError} If a key it needs is absent or of the wrong kind.
 */
export function describeGgufTokenizer(
  metadata: ReadonlyMap<string, GgufValue>,
  fileName: string,
): TokenizerDescription | undefined {
  if (metadata.get("tokenizer.ggml.model") !== "gpt2") return undefined;
  const where = `${fileName}'s metadata`;
  const { tokens, kinds, flag, bosId, eosId } = common(metadata, where);
  const pre = metadata.get("tokenizer.ggml.pre");
  const rule = PRE_RULES.get(pre as string);
  if (!rule) {
    throw new RangeError(
      `Cannot read ${where} as tokenizer.ggml.pre must be one of ${
        [...PRE_RULES.keys()].join(", ")
      }: ${oneLine(String(pre ?? "none"))}`,
    );
  }
  const tokenizer = byteLevelJson({
    tokens,
    kinds,
    rule,
    merges: strings(metadata, "tokenizer.ggml.merges", where),
    before: flag("tokenizer.ggml.add_bos_token", rule.addBos) ? bosId : undefined,
    after: flag("tokenizer.ggml.add_eos_token", false) ? eosId : undefined,
  }, where);
  const config = {
    bos_token: bosId === undefined ? null : tokens[bosId],
    eos_token: eosId === undefined ? null : tokens[eosId],
  };
  return { tokenizer, config };
}

/**
 * The tokenizer in the metadata.
 *
 * @param metadata Metadata of a GGUF file.
 * @param fileName For messages.
 * @throws {RangeError} If the tokenizer's model or its rule `pre` is not supported.
 * @throws {TypeError} If a key it needs is absent or of the wrong kind.
 */
export async function ggufTokenizer(
  metadata: ReadonlyMap<string, GgufValue>,
  fileName: string,
): Promise<Tokenizer> {
  const where = `${fileName}'s metadata`;
  const model = metadata.get("tokenizer.ggml.model");
  switch (model) {
    case "llama": {
      const { tokens, kinds, flag, bosId, eosId } = common(metadata, where);
      const scores = metadata.get("tokenizer.ggml.scores");
      if (!(scores instanceof Float32Array)) {
        throw new TypeError(
          `Cannot read ${where} as tokenizer.ggml.scores must be a list of float32: ${typeof scores}`,
        );
      }
      requireLength(scores, "tokenizer.ggml.scores", tokens.length, where);
      return sentencePieceTokenizer({
        pieces: tokens,
        scores,
        kinds,
        space: "\u2581",
        addSpacePrefix: flag("tokenizer.ggml.add_space_prefix", true),
        literalControls: true,
        bosId,
        eosId,
        addBos: flag("tokenizer.ggml.add_bos_token", true),
        addEos: flag("tokenizer.ggml.add_eos_token", false),
      });
    }
    case "gpt2": {
      const { tokenizer, config } = describeGgufTokenizer(metadata, fileName)!;
      return await huggingFaceTokenizer(tokenizer, config, where);
    }
    default:
      throw new RangeError(
        `Cannot read ${where} as tokenizer.ggml.model must be gpt2 or llama: ${
          oneLine(String(model ?? "none"))
        }`,
      );
  }
}

interface ByteLevelParts {
  readonly tokens: readonly string[];
  readonly kinds: ArrayLike<number>;
  readonly merges: readonly string[];
  readonly rule: PreRule;
  /** Token added before a text. */
  readonly before: number | undefined;
  /** Token added after a text. */
  readonly after: number | undefined;
}

/** The `tokenizer.json` of a byte-level BPE tokenizer. */
function byteLevelJson(parts: ByteLevelParts, where: string): JsonObject {
  const { tokens, kinds, merges, rule, before, after } = parts;
  const vocab: Record<string, number> = Object.create(null); // a token may be "__proto__"
  const added: JsonObject[] = [];
  tokens.forEach((content, id) => {
    vocab[content] ??= id;
    const special = kinds[id] === PIECE.control || kinds[id] === PIECE.unknown;
    if (content !== "" && (special || kinds[id] === PIECE.userDefined)) {
      added.push({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special,
      });
    }
  });
  const pairs = merges.map((merge) => {
    const at = merge.indexOf(" ", 1);
    if (at < 0 || at === merge.length - 1) {
      throw new SyntaxError(
        `Cannot read ${where} as a merge must be two pieces with a space between: ${
          JSON.stringify(merge.slice(0, 40))
        }`,
      );
    }
    return [merge.slice(0, at), merge.slice(at + 1)];
  });
  const names = [before, after].filter((id) => id !== undefined).map((id) => tokens[id]!);
  const specialItem = (id: number | undefined) =>
    id === undefined ? [] : [{ SpecialToken: { id: tokens[id]!, type_id: 0 } }];
  const single = [
    ...specialItem(before),
    { Sequence: { id: "A", type_id: 0 } },
    ...specialItem(after),
  ];
  return {
    added_tokens: added,
    normalizer: rule.normalizer,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        ...rule.split.map(isolate),
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: {
      type: "TemplateProcessing",
      single,
      pair: single,
      special_tokens: Object.fromEntries(names.map((name) => [name, { id: name }])),
    },
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    model: {
      type: "BPE",
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: rule.ignoreMerges,
      vocab,
      merges: pairs,
    },
  };
}

function strings(
  metadata: ReadonlyMap<string, GgufValue>,
  key: string,
  where: string,
): readonly string[] {
  const value = metadata.get(key);
  if (!(value instanceof GgufStrings)) {
    throw new TypeError(`Cannot read ${where} as ${key} must be a list of strings: it is not`);
  }
  return [...value];
}

function requireLength(
  list: ArrayLike<number>,
  key: string,
  length: number,
  where: string,
): void {
  if (list.length !== length) {
    throw new RangeError(
      `Cannot read ${where} as ${key} must have one entry for each of ${length} tokens: ${list.length}`,
    );
  }
}
