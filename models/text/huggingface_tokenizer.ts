/**
 * Tokenizers described by a `tokenizer.json`.
 *
 * @module
 */

import { type HuggingFaceTokenizer, loadTokenizers } from "./_deps.ts";
import { reasonOf } from "../checkpoints/one_line.ts";
import { checkIds, type Tokenizer } from "./tokenizer.ts";

/** A parsed `tokenizer.json` or `tokenizer_config.json`. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * A tokenizer from the contents of `tokenizer.json`.
 *
 * Two rules of the JavaScript library are replaced by equal ones of its own that follow the
 * reference: digits and white space are Unicode's there, ECMAScript's in its `Digits` and
 * `ByteLevel` steps. Decoded text is never "cleaned up" (spaces before punctuation removed): it is
 * what the tokens say.
 *
 * @param json Contents of `tokenizer.json`.
 * @param config Contents of `tokenizer_config.json`, for the names of the BOS and EOS tokens.
 * @param where What to call it in messages.
 * @throws {SyntaxError} If the description is not that of a tokenizer.
 */
export async function huggingFaceTokenizer(
  json: JsonObject,
  config: JsonObject = {},
  where = "tokenizer.json",
): Promise<Tokenizer> {
  const added = addedTokens(json, where);
  const vocabSize = checkModel(json, added, where);
  const { Tokenizer: Implementation } = await loadTokenizers();
  const description = {
    normalizer: null,
    post_processor: null,
    decoder: null,
    ...json,
    pre_tokenizer: hasNoSpaces(json["normalizer"]) && splitsAtSpaces(json["pre_tokenizer"])
      ? null
      : unicodePreTokenizer(json["pre_tokenizer"] ?? null, where),
    added_tokens: added,
  };
  let full: HuggingFaceTokenizer;
  try {
    full = new Implementation(description, { clean_up_tokenization_spaces: false });
  } catch (error) {
    throw new SyntaxError(
      `Cannot read ${where} as it must describe a tokenizer: ${reasonOf(error)}`,
    );
  }
  const specialIds = new Set(added.filter(({ special }) => special).map(({ id }) => id));
  const named = (key: string): number | undefined => {
    const value = config[key];
    const content = typeof value === "string" ? value : (value as JsonObject | null)?.["content"];
    return typeof content === "string" ? full.token_to_id(content) : undefined;
  };
  const bosId = named("bos_token");
  const eosId = named("eos_token");
  return {
    vocabSize,
    ...(bosId === undefined ? {} : { bosId }),
    ...(eosId === undefined ? {} : { eosId }),
    encode: (text, { addSpecialTokens = false } = {}) => idsOf(full, text, addSpecialTokens, where),
    decode(ids, { skipSpecialTokens = false } = {}) {
      checkIds(ids);
      const shown = ids.filter((id) =>
        full.id_to_token(id) !== undefined && !(skipSpecialTokens && specialIds.has(id))
      );
      if (shown.length === 0) return "";
      return full.decode(shown, {
        skip_special_tokens: false,
        clean_up_tokenization_spaces: false,
      });
    },
  };
}

function idsOf(
  implementation: HuggingFaceTokenizer,
  text: string,
  addSpecialTokens: boolean,
  where: string,
): number[] {
  const { ids } = implementation.encode(text, { add_special_tokens: addSpecialTokens });
  return ids.map((id, index) => {
    if (id === undefined) {
      throw new RangeError(
        `Cannot encode the text as every piece must be in the vocabulary of ${where}: piece ${index} is not`,
      );
    }
    return id;
  });
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

function addedTokens(json: JsonObject, where: string): readonly AddedToken[] {
  const tokens = json["added_tokens"] ?? [];
  const valid = Array.isArray(tokens) &&
    tokens.every((token) =>
      typeof token === "object" && token !== null && isId(token.id) &&
      typeof token.content === "string" && token.content !== ""
    );
  if (!valid) {
    throw new SyntaxError(
      `Cannot read ${where} as added_tokens must be a list of tokens with id and content: it is not`,
    );
  }
  return tokens.map((token) => ({ ...token, special: token.special === true }));
}

/** Checks the vocabulary and returns its size. */
function checkModel(json: JsonObject, added: readonly AddedToken[], where: string): number {
  const fail = (rule: string): never => {
    throw new SyntaxError(`Cannot read ${where} as ${rule}`);
  };
  const model = json["model"] as JsonObject | undefined;
  if (typeof model !== "object" || model === null) fail("it must have a model: there is none");
  const { type, vocab, merges } = model!;
  let size = 0;
  if (Array.isArray(vocab)) {
    size = vocab.length;
    const valid = vocab.every((entry) =>
      Array.isArray(entry) && typeof entry[0] === "string" && Number.isFinite(entry[1])
    );
    if (!valid) fail("its vocabulary must be pairs of a piece and a score: it is not");
  } else if (typeof vocab === "object" && vocab !== null) {
    for (const id of Object.values(vocab)) {
      if (!isId(id)) fail(`ids of its vocabulary must be whole numbers below ${MAX_IDS}: ${id}`);
      size = Math.max(size, id as number + 1);
    }
  } else fail("its model must have a vocabulary: there is none");
  if (type === "BPE") {
    const valid = Array.isArray(merges) &&
      merges.every((merge) =>
        typeof merge === "string" || Array.isArray(merge) && merge.length === 2 &&
          typeof merge[0] === "string" && typeof merge[1] === "string"
      );
    if (!valid) fail("its merges must be pairs of pieces: they are not");
  }
  return added.reduce((most, { id }) => Math.max(most, id + 1), size);
}

/** Ids index arrays, so a lying file must not name huge ones. */
const MAX_IDS = 1 << 22;

function isId(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < MAX_IDS;
}

/** GPT-2's rule for cutting text into words, which the `ByteLevel` step applies. */
export const GPT2_SPLIT =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** A step that cuts text at each match of a pattern and keeps the matches as pieces. */
export function isolate(regex: string): JsonObject {
  return { type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false };
}

/** Whether a normalizer leaves no space in a text, by writing another character for each. */
function hasNoSpaces(step: unknown): boolean {
  const { type, pattern, content, normalizers } = (step ?? {}) as JsonObject;
  if (type === "Sequence") return Array.isArray(normalizers) && normalizers.some(hasNoSpaces);
  const string = (pattern as JsonObject | undefined)?.["String"];
  return type === "Replace" && string === " " && typeof content === "string" &&
    !content.includes(" ");
}

/** Whether a step cuts at spaces only: Gemma's, which comes after a normalizer that leaves none. */
function splitsAtSpaces(step: unknown): boolean {
  const { type, pattern } = (step ?? {}) as JsonObject;
  return type === "Split" && (pattern as JsonObject | undefined)?.["String"] === " ";
}

/** Replaces steps whose character classes are ECMAScript's by equal ones with Unicode's. */
function unicodePreTokenizer(step: unknown, where: string): unknown {
  if (typeof step !== "object" || step === null) return step;
  const { type, ...rest } = step as JsonObject;
  switch (type) {
    case "Sequence": {
      const steps = rest["pretokenizers"];
      if (!Array.isArray(steps)) return step;
      return { type, pretokenizers: steps.map((inner) => unicodePreTokenizer(inner, where)) };
    }
    case "Digits":
      return isolate(rest["individual_digits"] ? "\\p{N}" : "\\p{N}+");
    case "ByteLevel": {
      if (rest["use_regex"] === false || rest["add_prefix_space"] === true) return step;
      const bytes = { ...rest, type, use_regex: false };
      return { type: "Sequence", pretokenizers: [isolate(GPT2_SPLIT), bytes] };
    }
    case "Split": {
      const behavior = rest["behavior"];
      if (behavior !== "Isolated" && behavior !== "Removed") {
        throw new RangeError(
          `Cannot read ${where} as a Split step must isolate or remove its matches: ${
            reasonOf(behavior)
          }`,
        );
      }
      return step;
    }
    default:
      return step;
  }
}
