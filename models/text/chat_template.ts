/**
 * Conversations to text, by the checkpoint's own Jinja template.
 *
 * @module
 */

import type { Message } from "../../core/policy.ts";
import { oneLine, reasonOf } from "../checkpoints/one_line.ts";
import { type Jinja, loadJinja } from "./_deps.ts";
import { boundedRenderer } from "./bounded_jinja.ts";

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
  /**
   * The conversation as text, special tokens as their literal strings.
   *
   * @throws {RangeError} If the template raises an error, or takes more than a template may.
   */
  render(messages: readonly Message[], options: RenderOptions): string;
}

/** Longest template that is parsed; those in use have some thousand characters. */
const MAX_TEMPLATE_LENGTH = 1 << 18;

/**
 * What parses chat templates, once the package is there. A template is a program of the checkpoint's
 * author: what it may take of time and memory is bounded ({@linkcode boundedRenderer}).
 *
 * @example
 * ```ts
 * import { chatTemplateParser } from "./chat_template.ts";
 * import { strict as assert } from "node:assert";
 *
 * const parse = await chatTemplateParser();
 * const template = parse("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
 * const messages = [{ role: "user", content: "Hi" }] as const;
 * assert.equal(template.render(messages, { addGenerationPrompt: false }), "<user>Hi");
 * ```
 */
export async function chatTemplateParser(): Promise<(source: string) => ChatTemplate> {
  const jinja = await loadJinja();
  return (source) => parseChatTemplate(jinja, source);
}

/** @throws {SyntaxError} If it is not a template this Jinja understands, or too long. */
function parseChatTemplate(jinja: Jinja, source: string): ChatTemplate {
  if (source.length > MAX_TEMPLATE_LENGTH) {
    throw new SyntaxError(
      `Cannot parse the chat template as it must have at most ${MAX_TEMPLATE_LENGTH} characters: ${source.length}`,
    );
  }
  let render: (variables: Record<string, unknown>) => string;
  try {
    render = boundedRenderer(jinja, source);
  } catch (error) {
    // Where a statement is left open, the parser reads past its last token.
    const reason = error instanceof TypeError ? "it is cut short" : reasonOf(error);
    throw new SyntaxError(`Cannot parse the chat template as it must be valid Jinja: ${reason}`);
  }
  return {
    render(messages, { addGenerationPrompt, bosToken, eosToken }) {
      try {
        return render({
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
