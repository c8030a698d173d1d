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

import type { Message } from "../../core/policy.ts";
import { type ChatTemplate, chatTemplateParser } from "./chat_template.ts";
import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";

export type { Message };

/** Whether the checkpoint's chat template is used. */
export type TemplateMode = "chat" | "none";

/** Turns prompts and responses into token ids and back. */
export interface TextCodec {
  /** The tokenizer beneath. */
  readonly tokenizer: Tokenizer;
  /** Source of the chat template, where the checkpoint has one; it may be one that is refused. */
  readonly template?: string;
  /** Tokens after which a text is over: those that end a response without a template. */
  readonly eosIds: readonly number[];
  /**
   * Tokens after which a response in a chat is over, the one that `encodeResponse` appends first.
   * `eosIds` where no template can say more.
   */
  readonly endOfTurnIds: readonly number[];
  /**
   * Ids of a prompt. A string is one user message in a chat.
   *
   * @throws {SyntaxError} In a chat, if the template cannot be parsed.
   * @throws {RangeError} In a chat, if the template raises an error.
   * @throws {TypeError} In a chat without a template, or for messages with the template `none`.
   */
  encodePrompt(prompt: string | readonly Message[], mode: TemplateMode): number[];
  /** Ids of a response, with the end of the turn in a chat. Throws as `encodePrompt` does. */
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

/** A template that works, with the tokens that end a turn; or why it does not. */
type Chat =
  | { readonly template: ChatTemplate; readonly endOfTurnIds: readonly number[] }
  | { readonly refused: unknown };

/**
 * A codec over a tokenizer and a chat template.
 *
 * The end-of-turn token is the one that the template writes after an assistant's message; where it
 * writes none, the tokenizer's EOS. The template is parsed and tried when a chat is first encoded, so
 * that one which is broken is an error of chats only.
 */
export async function createTextCodec(
  tokenizer: Tokenizer,
  { template, eosTokenIds = [] }: TextCodecOptions = {},
): Promise<TextCodec> {
  const parse = template === undefined ? undefined : await chatTemplateParser();
  const literal = (id: number | undefined) => id === undefined ? undefined : tokenizer.decode([id]);
  const names = { bosToken: literal(tokenizer.bosId), eosToken: literal(tokenizer.eosId) };
  const eos = tokenizer.eosId === undefined ? eosTokenIds : [...eosTokenIds, tokenizer.eosId];
  const eosIds = [...new Set(eos)];
  const addsBos = tokenizer.bosId !== undefined &&
    tokenizer.encode("a", { addSpecialTokens: true })[0] === tokenizer.bosId;

  let tried: Chat | undefined;
  const tryTemplate = (): Chat => {
    if (parse === undefined) return { refused: new TypeError(NO_TEMPLATE) };
    try {
      const chat = parse(template!);
      const end = endOfTurn(tokenizer, chat, names, eosIds);
      const endOfTurnIds = end === undefined ? eosIds : [...new Set([end, ...eosIds])];
      return { template: chat, endOfTurnIds };
    } catch (refused) {
      return { refused };
    }
  };
  const chat = () => tried ??= tryTemplate();
  const requireChat = () => {
    const found = chat();
    if ("refused" in found) throw found.refused;
    return found;
  };

  const asIs: EncodeOptions = { addSpecialTokens: false };
  return {
    tokenizer,
    ...(template === undefined ? {} : { template }),
    eosIds,
    get endOfTurnIds() {
      const found = chat();
      return "refused" in found ? eosIds : found.endOfTurnIds;
    },
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
      const messages: readonly Message[] = typeof prompt === "string"
        ? [{ role: "user", content: prompt }]
        : prompt;
      const text = requireChat().template.render(messages, { ...names, addGenerationPrompt: true });
      return tokenizer.encode(text, asIs);
    },
    encodeResponse(text, mode) {
      if (mode === "none") return tokenizer.encode(text, asIs);
      const [end] = requireChat().endOfTurnIds;
      if (end === undefined) {
        throw new RangeError(
          "Cannot end a response as the chat template or the tokenizer must have an end-of-turn token: neither has",
        );
      }
      return [...tokenizer.encode(text, asIs), end];
    },
    decode: (ids) => tokenizer.decode(ids, { skipSpecialTokens: true }),
  };
}

const NO_TEMPLATE =
  "Cannot encode for chat as the checkpoint must have a chat template (use template none): it has none";

/** A message that no template writes by itself. */
const MARK = "sppo-mark";

/** The first token after an assistant's message that ends texts, or else that is special. */
function endOfTurn(
  tokenizer: Tokenizer,
  chat: ChatTemplate,
  names: { readonly bosToken: string | undefined; readonly eosToken: string | undefined },
  eosIds: readonly number[],
): number | undefined {
  const messages: readonly Message[] = [
    { role: "user", content: "a" },
    { role: "assistant", content: MARK },
  ];
  const text = chat.render(messages, { ...names, addGenerationPrompt: false });
  const at = text.lastIndexOf(MARK);
  if (at < 0) return undefined;
  const ids = tokenizer.encode(text.slice(at + MARK.length));
  const isSpecial = (id: number) =>
    tokenizer.decode([id]) !== "" && tokenizer.decode([id], { skipSpecialTokens: true }) === "";
  return ids.find((id) => eosIds.includes(id)) ?? ids.find(isSpecial);
}
