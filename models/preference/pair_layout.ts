/**
 * How PairRM reads a prompt and two responses: three segments, each with its own opening and end.
 *
 *     [CLS] <|source|> x … [SEP] [CLS] <|candidate1|> y … [SEP] [CLS] <|candidate2|> y′ … [SEP]
 *
 * Source: yuchenlin/LLM-Blender `llm_blender/pair_ranker/collator.py` (`CrossCompareCollator`) and
 * `llm_blender/blender/blender_utils.py` (`tokenize_pair`, `get_pair_from_conv`), which agree.
 *
 * @module
 */

import type { Message } from "../../core/policy.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { PlacedSequence } from "./trunk.ts";

/** Most tokens of a prompt, its opening and end among them. */
const MAX_SOURCE = 1224;
/** Tokens of all three segments. What a prompt leaves is shared between the responses. */
const MAX_TOTAL = 2048;

/** The texts that open segments. */
const PREFIXES = {
  source: "<|source|>",
  left: "<|candidate1|>",
  right: "<|candidate2|>",
} as const;

/** Turns prompts and pairs of responses into tokens. */
export interface PairLayout {
  /**
   * The sequences of pairs of responses to one prompt; the places are those of the three openings.
   *
   * @param pairs Indices (left, right) into `responses`.
   */
  encode(
    prompt: string | readonly Message[],
    responses: readonly string[],
    pairs: readonly (readonly [number, number])[],
  ): PlacedSequence[];
}

/**
 * The layout over a checkpoint's tokenizer. A prompt is cut to 1224 tokens, and each response to half
 * of what the prompt leaves of 2048. Special tokens written out in a text are replaced by a space, as
 * the reference does with `[SEP]`: it would take the others for its own.
 *
 * A conversation of several turns is written as the reference's `get_pair_from_conv` writes it, with
 * earlier answers among each candidate's; a system message stands before it.
 *
 * @param specials Texts of the tokenizer's special tokens.
 * @throws {RangeError} When the tokenizer has not the tokens of PairRM.
 */
export function pairLayout(tokenizer: Tokenizer, specials: readonly string[]): PairLayout {
  const [cls, sep, ...others] = tokenizer.encode("", { addSpecialTokens: true });
  if (cls === undefined || sep === undefined || others.length > 0) {
    throw new RangeError(
      "Cannot lay out pairs as the tokenizer must add [CLS] and [SEP] around a text: it adds " +
        `${others.length + (cls === undefined ? 0 : sep === undefined ? 1 : 2)} tokens to none`,
    );
  }
  const opening = (text: string): number => {
    const ids = tokenizer.encode(text);
    if (ids.length !== 1) {
      throw new RangeError(
        `Cannot lay out pairs as ${text} must be one token of the tokenizer: it is ${ids.length}`,
      );
    }
    return ids[0]!;
  };
  const openings = {
    source: opening(PREFIXES.source),
    left: opening(PREFIXES.left),
    right: opening(PREFIXES.right),
  };
  const literal = literalPattern([...specials, ...Object.values(PREFIXES), "<|candidate|>"]);
  const harmless = (text: string) => text.replace(literal, " ");
  /** Tokens of a segment but for its opening. */
  const body = (text: string): number[] => {
    // Encoded behind an opening, because a tokenizer may treat the first word of a text otherwise.
    const ids = tokenizer.encode(PREFIXES.left + harmless(text));
    if (ids[0] !== openings.left) {
      throw new RangeError(
        `Cannot lay out pairs as the tokenizer must begin with ${PREFIXES.left}: ${ids[0]}`,
      );
    }
    return ids.slice(1);
  };
  const segment = (open: number, tokens: readonly number[], limit: number): number[] => [
    cls,
    open,
    ...tokens.slice(0, Math.max(0, limit - 3)),
    sep,
  ];
  return {
    encode(prompt, responses, pairs) {
      const { source, candidate } = conversation(prompt);
      const first = segment(openings.source, body(source), MAX_SOURCE);
      const limit = Math.floor((MAX_TOTAL - first.length) / 2);
      const bodies = responses.map((response) => body(candidate(response)));
      return pairs.map(([left, right]) => {
        const second = segment(openings.left, bodies[left]!, limit);
        const third = segment(openings.right, bodies[right]!, limit);
        return {
          ids: [...first, ...second, ...third],
          places: [1, first.length + 1, first.length + second.length + 1],
        };
      });
    },
  };
}

/** What the prompt and a response are as texts. */
function conversation(
  prompt: string | readonly Message[],
): { readonly source: string; readonly candidate: (response: string) => string } {
  if (typeof prompt === "string") return { source: prompt, candidate: (response) => response };
  const system = prompt.filter(({ role }) => role === "system").map(({ content }) => content);
  const turns = prompt.filter(({ role }) => role !== "system");
  const alternate = turns.length % 2 === 1 &&
    turns.every(({ role }, index) => role === (index % 2 === 0 ? "user" : "assistant"));
  if (!alternate) {
    throw new RangeError(
      "Cannot compare responses as user and assistant must take turns, the user first and last: " +
        (turns.map(({ role }) => role).join(", ") || "no turns"),
    );
  }
  const before = system.map((text) => `${text}\n`).join("");
  const questions = turns.filter(({ role }) => role === "user").map(({ content }) => content);
  const answers = turns.filter(({ role }) => role === "assistant").map(({ content }) => content);
  if (questions.length === 1) {
    return { source: before + questions[0], candidate: (response) => response };
  }
  const asked = questions.map((text, turn) => `USER: ${text}\nAssistant: <Response ${turn + 1}>`);
  return {
    source: `${before}${INSTRUCTION}${asked.join("\n")}`,
    candidate: (response) =>
      [...answers, response].map((text, turn) => `<Response ${turn + 1}>: ${text}`).join("\n"),
  };
}

/** As the reference spells it; the model was trained on it. */
const INSTRUCTION =
  "Finish the following coversation in each i-th turn by filling in <Response i> with your response.";

/** Matches any of some texts, longer ones first. */
function literalPattern(texts: readonly string[]): RegExp {
  const sorted = [...new Set(texts)].sort((a, b) => b.length - a.length);
  const escaped = sorted.map((text) => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"));
  return new RegExp(escaped.join("|"), "gu");
}
