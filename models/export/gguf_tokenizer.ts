/**
 * Tokenizers as the metadata of a GGUF file.
 *
 * Source: `_set_vocab_gpt2` and `_set_vocab_sentencepiece` in llama.cpp's `convert_hf_to_gguf.py`.
 *
 * @module
 */

import type { GgufValue } from "../checkpoints/gguf.ts";
import { GgufStrings } from "../checkpoints/gguf_strings.ts";
import { GPT2_SPLIT, type JsonObject } from "../text/huggingface_tokenizer.ts";
import { PRE_RULES } from "../text/gguf_tokenizer.ts";
import { PIECE, type SentencePieceModel } from "../text/sentencepiece.ts";
import type { TextCodec } from "../text/text_codec.ts";
import type { GgufEntry } from "./gguf.ts";

/** What a tokenizer is read from. */
export type TokenizerOrigin =
  | { readonly kind: "gguf"; readonly metadata: ReadonlyMap<string, GgufValue> }
  | { readonly kind: "huggingface"; readonly json: JsonObject }
  | { readonly kind: "sentencepiece"; readonly model: SentencePieceModel };

/**
 * The keys `tokenizer.*` of a tokenizer, its special tokens and its chat template.
 *
 * @param vocabSize Rows of the model's embedding; tokens that the tokenizer lacks become unused ones.
 * @throws {RangeError} If GGUF has no name for how the tokenizer cuts text into words.
 */
export function ggufTokenizer(
  origin: TokenizerOrigin,
  text: TextCodec,
  vocabSize: number,
): Map<string, GgufEntry> {
  if (origin.kind === "gguf") return copied(origin.metadata);
  const entries = origin.kind === "huggingface"
    ? byteLevel(origin.json, vocabSize)
    : sentencePiece(origin.model, vocabSize);
  const { tokenizer: { bosId, eosId }, endOfTurnIds, template } = text;
  const adds = text.tokenizer.encode("a", { addSpecialTokens: true });
  const eos = eosId ?? text.eosIds[0];
  const endOfTurn = endOfTurnIds[0];
  const id = (key: string, value: number | undefined) => {
    if (value !== undefined) entries.set(`tokenizer.ggml.${key}_token_id`, { u32: value });
  };
  id("bos", bosId);
  id("eos", eos);
  if (endOfTurn !== eos) id("eot", endOfTurn);
  entries.set("tokenizer.ggml.add_bos_token", bosId !== undefined && adds[0] === bosId);
  entries.set("tokenizer.ggml.add_eos_token", eosId !== undefined && adds.at(-1) === eosId);
  if (template !== undefined) entries.set("tokenizer.chat_template", template);
  return entries;
}

/** The tokenizer's keys of another GGUF file. */
function copied(metadata: ReadonlyMap<string, GgufValue>): Map<string, GgufEntry> {
  const entries = new Map<string, GgufEntry>();
  for (const [key, value] of metadata) {
    if (!key.startsWith("tokenizer.")) continue;
    if (value instanceof GgufStrings) entries.set(key, [...value]);
    else if (typeof value === "number") {
      entries.set(key, Number.isInteger(value) ? { u32: value } : { f32: value });
    } else if (typeof value === "string" || typeof value === "boolean") entries.set(key, value);
    else if (value instanceof Int32Array || value instanceof Float32Array) entries.set(key, value);
    else if (value instanceof Uint32Array) entries.set(key, Int32Array.from(value));
    else throw new TypeError(`Cannot copy ${key} as it must be of a kind that tokenizers have`);
  }
  return entries;
}

function byteLevel(json: JsonObject, vocabSize: number): Map<string, GgufEntry> {
  const model = json["model"] as JsonObject;
  if (model["type"] !== "BPE" || model["byte_fallback"] === true) {
    throw new RangeError(
      `Cannot write the tokenizer to GGUF as it must be a byte-level BPE: ${model["type"]}${
        model["byte_fallback"] === true ? " with byte fallback" : ""
      }`,
    );
  }
  const { tokens, kinds } = emptyVocabulary(vocabSize);
  for (const [piece, id] of Object.entries(model["vocab"] as Record<string, number>)) {
    tokens[id] = piece;
    kinds[id] = PIECE.normal;
  }
  const added = json["added_tokens"] ?? [];
  for (
    const { id, content, special } of added as { id: number; content: string; special: boolean }[]
  ) {
    tokens[id] = content;
    kinds[id] = special ? PIECE.control : PIECE.userDefined;
  }
  const merges = (model["merges"] as (string | [string, string])[]).map((merge) =>
    typeof merge === "string" ? merge : merge.join(" ")
  );
  return new Map<string, GgufEntry>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", preName(json)],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.token_type", kinds],
    ["tokenizer.ggml.merges", merges],
  ]);
}

function sentencePiece(model: SentencePieceModel, vocabSize: number): Map<string, GgufEntry> {
  const { tokens, kinds } = emptyVocabulary(vocabSize);
  const scores = new Float32Array(vocabSize).fill(-1e4);
  model.pieces.forEach((piece, id) => {
    tokens[id] = model.kinds[id] === PIECE.normal ? piece.replaceAll(model.space, "\u2581") : piece;
    kinds[id] = model.kinds[id]!;
    scores[id] = model.scores[id]!;
  });
  return new Map<string, GgufEntry>([
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.pre", "default"],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.scores", scores],
    ["tokenizer.ggml.token_type", kinds],
    ["tokenizer.ggml.add_space_prefix", model.addSpacePrefix],
  ]);
}

/** As many tokens as the embedding has rows, named as llama.cpp's converter names unused ones. */
function emptyVocabulary(size: number): { tokens: string[]; kinds: Int32Array } {
  return {
    tokens: Array.from({ length: size }, (_, id) => `[PAD${id}]`),
    kinds: new Int32Array(size).fill(PIECE.unused),
  };
}

/** llama.cpp's name for how a tokenizer cuts text into words. */
function preName(json: JsonObject): string {
  const model = json["model"] as JsonObject;
  const found = JSON.stringify([
    splits(json["pre_tokenizer"]),
    model["ignore_merges"] === true,
    (json["normalizer"] as JsonObject | null | undefined)?.["type"] ?? null,
  ]);
  for (const [name, { split, ignoreMerges, normalizer }] of PRE_RULES) {
    const rule = JSON.stringify([split, ignoreMerges, normalizer?.["type"] ?? null]);
    if (name !== "default" && rule === found) return name;
  }
  throw new RangeError(
    `Cannot write the tokenizer to GGUF as it must cut text into words by one of the rules ${
      [...PRE_RULES.keys()].join(", ")
    }: ${found.slice(0, 200)}`,
  );
}

/** The patterns by which steps cut text, one after another; a step of another kind as it is. */
function splits(step: unknown): unknown[] {
  if (typeof step !== "object" || step === null) return [];
  const { type, ...rest } = step as JsonObject;
  switch (type) {
    case "Sequence":
      return (rest["pretokenizers"] as unknown[]).flatMap(splits);
    case "Digits":
      return [rest["individual_digits"] === true ? "\\p{N}" : "\\p{N}+"];
    case "Split":
      return [
        rest["behavior"] === "Isolated" && rest["invert"] !== true
          ? (rest["pattern"] as JsonObject)["Regex"] ?? step
          : step,
      ];
    case "ByteLevel":
      if (rest["add_prefix_space"] === true) return [step];
      return rest["use_regex"] === false ? [] : [GPT2_SPLIT];
    default:
      return [step];
  }
}
