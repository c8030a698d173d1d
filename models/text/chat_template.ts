/**
 * Conversations to text, by the checkpoint's own Jinja template.
 *
 * @module
 */

import { oneLine, reasonOf } from "../checkpoints/one_line.ts";
import { loadJinja } from "./_deps.ts";

/** One turn of a conversation. */
export interface Message {
  /** Usually `system`, `user` or `assistant`. */
  readonly role: string;
  readonly content: string;
}

/** Options of {@linkcode ChatTemplate.render}. */
export interface RenderOptions {
  /** End with the opening of the assistant's turn. */
  readonly addGenerationPrompt: boolean;
  /** The BOS token's string; templates that write it need it. */
  readonly bosToken?: string | undefined;
  /** The EOS token's string. */
  readonly eosToken?: string | undefined;
}

/** A parsed template. */
export interface ChatTemplate {
  /** The conversation as text, special tokens as their literal strings. */
  render(messages: readonly Message[], options: RenderOptions): string;
}

/** Longest template that is parsed. */
const MAX_TEMPLATE_LENGTH = 1 << 20;

/**
 * Parses a chat template.
 *
 * @throws {SyntaxError} If it is not a template this Jinja understands.
 */
export async function parseChatTemplate(source: string): Promise<ChatTemplate> {
  if (source.length > MAX_TEMPLATE_LENGTH) {
    throw new RangeError(
      `Cannot parse the chat template as it must have at most ${MAX_TEMPLATE_LENGTH} characters: ${source.length}`,
    );
  }
  const { Template } = await loadJinja();
  let template: InstanceType<typeof Template>;
  try {
    template = new Template(source);
  } catch (error) {
    throw new SyntaxError(
      `Cannot parse the chat template as it must be valid Jinja: ${reasonOf(error)}`,
    );
  }
  return {
    render(messages, { addGenerationPrompt, bosToken, eosToken }) {
      try {
        return template.render({
          messages: messages.map(({ role, content }) => ({ role, content })),
          add_generation_prompt: addGenerationPrompt,
          bos_token: bosToken ?? "",
          eos_token: eosToken ?? "",
        });
      } catch (error) {
        throw new RangeError(
          `Cannot render the chat template as it must accept the roles ${
            oneLine(messages.map(({ role }) => role).join(", "))
          }: ${reasonOf(error)}`,
        );
      }
    },
  };
}

/**
 * Renders one conversation; {@linkcode parseChatTemplate} where there are several.
 *
 * @example
 * ```ts
 * import { renderChat } from "./chat_template.ts";
 * import { strict as assert } from "node:assert";
 *
 * const template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
 * const messages = [{ role: "user", content: "Hi" }];
 * assert.equal(await renderChat(template, messages, { addGenerationPrompt: false }), "<user>Hi");
 * ```
 */
export async function renderChat(
  source: string,
  messages: readonly Message[],
  options: RenderOptions,
): Promise<string> {
  return (await parseChatTemplate(source)).render(messages, options);
}
