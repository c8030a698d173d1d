/**
 * A prompt and a response as one sequence, for models that read one response at a time.
 *
 * @module
 */

import type { Message } from "../../core/policy.ts";
import { chatTemplateParser } from "../text/chat_template.ts";
import type { TextCodec } from "../text/text_codec.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { PlacedSequence } from "./trunk.ts";

/** Turns a prompt with a response into tokens, and says where to read. */
export interface ConversationLayout {
  /** What the tokens depend on beside the tokenizer. */
  readonly settings: string;
  /** A sequence of at most `maxTokens`; its first place is where the response is read off. */
  encode(
    prompt: string | readonly Message[],
    response: string,
    maxTokens: number,
  ): PlacedSequence;
}

/**
 * The conversation by the checkpoint's chat template, the response as the assistant's turn, without a
 * further generation prompt; read at its last token, as transformers' sequence classifiers do.
 * Without a template: prompt and response after each other, and the token that ends texts.
 *
 * Of a conversation that is too long the beginning is left out.
 *
 * @throws {SyntaxError} If the template cannot be parsed.
 */
export async function decoderLayout(text: TextCodec): Promise<ConversationLayout> {
  const { tokenizer, template } = text;
  const literal = (id: number | undefined) => id === undefined ? undefined : tokenizer.decode([id]);
  const names = { bosToken: literal(tokenizer.bosId), eosToken: literal(tokenizer.eosId) };
  const chat = template === undefined ? undefined : (await chatTemplateParser())(template);
  return {
    settings: template ?? "no template",
    encode(prompt, response, maxTokens) {
      let ids: number[];
      if (chat === undefined) {
        ids = [
          ...text.encodePrompt(prompt, "none"),
          ...text.encodeResponse(response, "none"),
          ...text.eosIds.slice(0, 1),
        ];
      } else {
        const turns: readonly Message[] = typeof prompt === "string"
          ? [{ role: "user", content: prompt }]
          : prompt;
        const said: Message = { role: "assistant", content: response };
        ids = tokenizer.encode(
          chat.render([...turns, said], { ...names, addGenerationPrompt: false }),
        );
      }
      const kept = ids.slice(Math.max(0, ids.length - maxTokens));
      return { ids: kept, places: [kept.length - 1] };
    },
  };
}

/**
 * `[CLS] prompt [SEP] response [SEP]`, read at `[CLS]`: how encoders are given a pair of texts. A
 * conversation is its turns' texts, a line each.
 *
 * Of what is too long the ends are left out, the prompt's first while it has more than half.
 *
 * @throws {RangeError} When the tokenizer does not add [CLS] and [SEP].
 */
export function encoderLayout(tokenizer: Tokenizer): ConversationLayout {
  const around = tokenizer.encode("", { addSpecialTokens: true });
  const [cls, sep] = around;
  if (cls === undefined || sep === undefined || around.length !== 2) {
    throw new RangeError(
      `Cannot lay out texts as the tokenizer must add [CLS] and [SEP] around them: it adds ${around.length} tokens`,
    );
  }
  return {
    settings: "two texts",
    encode(prompt, response, maxTokens) {
      const asked = typeof prompt === "string"
        ? prompt
        : prompt.map(({ content }) => content).join("\n");
      const [first, second] = [tokenizer.encode(asked), tokenizer.encode(response)];
      const room = Math.max(0, maxTokens - 3);
      const forPrompt = Math.min(
        first.length,
        Math.max(Math.floor(room / 2), room - second.length),
      );
      return {
        ids: [
          cls,
          ...first.slice(0, forPrompt),
          sep,
          ...second.slice(0, room - forPrompt),
          sep,
        ],
        places: [0],
      };
    },
  };
}
