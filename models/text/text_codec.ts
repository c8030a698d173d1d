/**
 * Prompts and responses to token ids and back, by one set of conventions.
 *
 * - With a chat template (`chat`) a prompt is rendered, ends with the opening of the assistant's
 *   turn, and is tokenised without added special tokens, because the template writes them; a
 *   response is tokenised on its own and ends with the end-of-turn token.
 * - Without (`none`) a prompt is raw text, preceded by BOS where the checkpoint's tokenizer adds it
 *   and never twice; a response has nothing after it.
 *
 * @module
 */

import { type ChatTemplate, type Message, parseChatTemplate } from "./chat_template.ts";
import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";

/** Whether the checkpoint's chat template is used. */
export type TemplateMode = "chat" | "none";

/** Turns prompts and responses into token ids and back. */
export interface TextCodec {
  readonly tokenizer: Tokenizer;
  /** Source of the chat template, where the checkpoint has one. */
  readonly template?: string;
  /** Tokens after which a response is over, the one that `encodeResponse` appends first. */
  readonly endOfTurnIds: readonly number[];
  /** A string is one user message in a chat. */
  encodePrompt(prompt: string | readonly Message[], mode: TemplateMode): number[];
  encodeResponse(text: string, mode: TemplateMode): number[];
  /** Text of a response: special tokens left out. */
  decode(ids: readonly number[]): string;
}

/** Options of {@linkcode createTextCodec}. */
export interface TextCodecOptions {
  /** Source of the checkpoint's chat template. */
  readonly template?: string | undefined;
  /** Tokens that the checkpoint's configuration says end a text. */
  readonly eosTokenIds?: readonly number[];
}

/**
 * A codec over a tokenizer and a chat template.
 *
 * The end-of-turn token is the one that the template writes after an assistant's message; where it
 * writes none, the tokenizer's EOS.
 *
 * @throws {SyntaxError} If the template cannot be parsed.
 */
export async function createTextCodec(
  tokenizer: Tokenizer,
  { template, eosTokenIds = [] }: TextCodecOptions = {},
): Promise<TextCodec> {
  const chat = template === undefined ? undefined : await parseChatTemplate(template);
  const literal = (id: number | undefined) => id === undefined ? undefined : tokenizer.decode([id]);
  const names = { bosToken: literal(tokenizer.bosId), eosToken: literal(tokenizer.eosId) };
  const eos = tokenizer.eosId === undefined ? eosTokenIds : [...eosTokenIds, tokenizer.eosId];
  const turnEnd = chat && endOfTurn(tokenizer, chat, names, eos);
  const endOfTurnIds = [...new Set([...(turnEnd === undefined ? [] : [turnEnd]), ...eos])];
  const addsBos = tokenizer.bosId !== undefined &&
    tokenizer.encode("a", { addSpecialTokens: true })[0] === tokenizer.bosId;

  const asIs: EncodeOptions = { addSpecialTokens: false };
  return {
    tokenizer,
    ...(template === undefined ? {} : { template }),
    endOfTurnIds,
    encodePrompt(prompt, mode) {
      if (mode === "none") {
        if (typeof prompt !== "string") {
          throw new TypeError(
            "Cannot encode a conversation as it must have a chat template applied: the template is none",
          );
        }
        const ids = tokenizer.encode(prompt, asIs);
        return addsBos && ids[0] !== tokenizer.bosId ? [tokenizer.bosId!, ...ids] : ids;
      }
      if (!chat) throw new Error(NO_TEMPLATE);
      const messages = typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt;
      return tokenizer.encode(chat.render(messages, { ...names, addGenerationPrompt: true }), asIs);
    },
    encodeResponse(text, mode) {
      const ids = tokenizer.encode(text, asIs);
      if (mode === "none") return ids;
      if (!chat) throw new Error(NO_TEMPLATE);
      const [end] = endOfTurnIds;
      if (end === undefined) {
        throw new Error(
          "Cannot end a response as the chat template or the tokenizer must have an end-of-turn token: neither has",
        );
      }
      return [...ids, end];
    },
    decode: (ids) => tokenizer.decode(ids, { skipSpecialTokens: true }),
  };
}

const NO_TEMPLATE =
  "Cannot encode for chat as the checkpoint must have a chat template: it has none (use template none)";

/** A message that no template writes by itself. */
const MARK = "sppo-mark";

/** The first token after an assistant's message that ends texts, or else that is special. */
function endOfTurn(
  tokenizer: Tokenizer,
  chat: ChatTemplate,
  names: { readonly bosToken: string | undefined; readonly eosToken: string | undefined },
  eosIds: readonly number[],
): number | undefined {
  const messages = [{ role: "user", content: "a" }, { role: "assistant", content: MARK }];
  const text = chat.render(messages, { ...names, addGenerationPrompt: false });
  const at = text.lastIndexOf(MARK);
  if (at < 0) return undefined;
  const ids = tokenizer.encode(text.slice(at + MARK.length));
  const isSpecial = (id: number) =>
    tokenizer.decode([id]) !== "" && tokenizer.decode([id], { skipSpecialTokens: true }) === "";
  return ids.find((id) => eosIds.includes(id)) ?? ids.find(isSpecial);
}
