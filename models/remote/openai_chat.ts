/**
 * A model on an OpenAI-compatible server that answers conversations greedily, with log-probabilities
 * where the server tells them. Judges ask it.
 *
 * @module
 */

import type { Message } from "../../core/mod.ts";
import { loadOpenAi, type OpenAiClient } from "./_deps.ts";
import type { OpenAiSamplerOptions } from "./openai_sampler.ts";

/** Options of {@linkcode openAiChat}. */
export type OpenAiChatOptions = Omit<OpenAiSamplerOptions, "concurrency">;

/** What a server answered. */
export interface OpenAiAnswer {
  /** The whole of it. */
  readonly text: string;
  /** The likeliest first tokens with their log-probabilities, nats, where the server tells them. */
  readonly firstToken?: readonly { readonly token: string; readonly logProb: number }[];
  /** Tokens read and written, as the server counts them; 0 where it does not. */
  readonly tokens: { readonly prompt: number; readonly response: number };
}

/** As many as OpenAI's own server gives. */
const TOP_TOKENS = 20;

/**
 * A server's model, asked with temperature 0. The client repeats a request that met 429, 5xx, a lost
 * connection or a time-out, with growing pauses.
 *
 * @throws {Error} On answering, when the server gives no answer, naming the reason.
 * @throws {TypeError} On answering, when there is no text in what it gives.
 */
export function openAiChat(options: OpenAiChatOptions): {
  readonly id: string;
  answer(
    messages: readonly Message[],
    options: {
      readonly maxTokens: number;
      readonly logProbs: boolean;
      readonly signal?: AbortSignal;
    },
  ): Promise<OpenAiAnswer>;
} {
  const { baseUrl, model, apiKey = "none", timeoutMs = 120_000, maxRetries = 3 } = options;
  let client: Promise<OpenAiClient> | undefined;
  const connect = async () => {
    const { default: OpenAi } = await loadOpenAi();
    return new OpenAi({ baseURL: baseUrl, apiKey, maxRetries, timeout: timeoutMs });
  };
  return {
    id: `openai:${baseUrl}:${model}`,
    async answer(messages, { maxTokens, logProbs, signal }) {
      const connected = await (client ??= connect());
      const { choices, usage } = await connected.chat.completions.create({
        model,
        messages: messages.map(({ role, content }) => ({ role, content })),
        temperature: 0,
        max_tokens: maxTokens,
        ...(logProbs ? { logprobs: true, top_logprobs: TOP_TOKENS } : {}),
      }, signal ? { signal } : {}).catch((error: unknown) => {
        signal?.throwIfAborted();
        throw new Error(
          `Cannot ask ${model} as the server must answer: ${
            error instanceof Error ? error.message : error
          }`,
          { cause: error },
        );
      });
      const choice = choices?.[0];
      const text = choice?.message?.content;
      if (typeof text !== "string") {
        throw new TypeError(
          `Cannot ask ${model} as the server must return a text: ${
            choice ? "no content" : "no choice"
          }`,
        );
      }
      const first = choice?.logprobs?.content?.[0]?.top_logprobs;
      return {
        text,
        ...(first === undefined || first.length === 0 ? {} : {
          firstToken: first.map(({ token, logprob }) => ({ token, logProb: logprob })),
        }),
        tokens: {
          prompt: usage?.prompt_tokens ?? 0,
          response: usage?.completion_tokens ?? 0,
        },
      };
    },
  };
}
