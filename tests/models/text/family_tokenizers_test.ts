// Tokenizers of every family, from tokenizer.json and from GGUF, on the stored ids of
// tests/parity/family_tokenizers.py.

import assert from "node:assert/strict";
import { openGguf } from "../../../models/checkpoints/gguf.ts";
import { bytesSource } from "../../../models/mod.ts";
import { ggufTokenizer } from "../../../models/text/gguf_tokenizer.ts";
import {
  huggingFaceTokenizer,
  type JsonObject,
} from "../../../models/text/huggingface_tokenizer.ts";
import { PIECE } from "../../../models/text/sentencepiece.ts";
import type { Tokenizer } from "../../../models/text/tokenizer.ts";
import { type GgufMetadata, writeGguf } from "../_files.ts";

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
}

interface Family {
  readonly vocabulary: "bytes" | "pieces";
  /** What GGUF says of it. */
  readonly gguf: { readonly pre?: string; readonly add_space_prefix?: boolean };
  readonly steps: JsonObject;
  readonly ids: readonly (readonly number[])[];
  readonly first_with_special: readonly number[];
  readonly decoded: readonly string[];
}

const stored: {
  readonly vocabularies: Readonly<Record<Family["vocabulary"], Vocabulary>>;
  readonly texts: readonly string[];
  readonly families: Readonly<Record<string, Family>>;
} = JSON.parse(
  await Deno.readTextFile(new URL("../../parity/data/tokenizers.json", import.meta.url)),
);

/** `<unk>`, `<s>` and `</s>`. */
const SPECIAL = 3;

function tokenizerJson({ vocabulary, steps }: Family): JsonObject {
  const { tokens, merges } = stored.vocabularies[vocabulary];
  const pieces = vocabulary === "pieces";
  const { ignore_merges, ...around } = steps;
  return {
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    ...around,
    added_tokens: tokens.slice(0, SPECIAL).map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    model: {
      type: "BPE",
      unk_token: pieces ? "<unk>" : null,
      fuse_unk: pieces,
      byte_fallback: pieces,
      ignore_merges: ignore_merges ?? false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

async function fromGguf({ vocabulary, gguf }: Family): Promise<Tokenizer> {
  const { tokens, merges } = stored.vocabularies[vocabulary];
  const kinds = tokens.map((token, id) =>
    id === 0
      ? PIECE.unknown
      : id < SPECIAL
      ? PIECE.control
      : vocabulary === "pieces" && /^<0x..>$/.test(token)
      ? PIECE.byte
      : PIECE.normal
  );
  const rank = new Map(tokens.map((token, id) => [token, id]));
  const made = new Set(merges.map((merge) => merge.join("")));
  const metadata: GgufMetadata = {
    "tokenizer.ggml.model": vocabulary === "pieces" ? "llama" : "gpt2",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.token_type": Int32Array.from(kinds),
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    ...(vocabulary === "pieces"
      ? {
        // What is made earlier scores higher; what is never made scores lowest.
        "tokenizer.ggml.scores": Float32Array.from(
          tokens,
          (token) => made.has(token) ? -rank.get(token)! : -1e6,
        ),
        "tokenizer.ggml.add_space_prefix": gguf.add_space_prefix ?? true,
      }
      : {
        "tokenizer.ggml.merges": merges.map((merge) => merge.join(" ")),
        "tokenizer.ggml.pre": gguf.pre!,
      }),
  };
  const file = bytesSource("m.gguf", writeGguf(metadata, {}));
  return await ggufTokenizer((await openGguf(file)).metadata, "m.gguf");
}

function assertSame(tokenizer: Tokenizer, { ids, decoded, first_with_special }: Family): void {
  stored.texts.forEach((text, at) => {
    assert.deepEqual(tokenizer.encode(text), ids[at], JSON.stringify(text));
    // SentencePiece takes the space away behind BOS too, tokenizer.json only where a text begins.
    if (ids[at]![0]! < SPECIAL) return;
    assert.equal(tokenizer.decode(ids[at]!), decoded[at], JSON.stringify(text));
  });
  assert.deepEqual(
    tokenizer.encode(stored.texts[0]!, { addSpecialTokens: true }),
    first_with_special,
  );
}

for (const [name, family] of Object.entries(stored.families)) {
  Deno.test(`huggingFaceTokenizer() gives the reference's ids when the family is ${name}`, async () => {
    assertSame(await huggingFaceTokenizer(tokenizerJson(family)), family);
  });

  // A file of SentencePiece cannot say that a space goes before the first words only.
  if (name === "mistral") continue;

  Deno.test(`ggufTokenizer() gives the reference's ids when the family is ${name}`, async () => {
    assertSame(await fromGguf(family), family);
  });
}
