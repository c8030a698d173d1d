/**
 * A policy on an OpenAI-compatible server. It samples and cannot score, so it is a `Sampler` and not
 * a `Policy`: it can be evaluated and compared with, not trained.
 *
 * @module
 */

import {
  deriveSeed,
  type Prompt,
  type Response,
  type Sampled,
  type SampleOptions,
  type Sampler,
} from "../../core/mod.ts";
import { loadOpenAi, type OpenAiClient } from "./_deps.ts";

/** Options of {@linkcode openAiSampler}. */
export interface OpenAiSamplerOptions {
  /** Such as `http://localhost:8080/v1`. */
  readonly baseUrl: string;
  /** The model's name on the server. */
  readonly model: string;
  /** Sent as a bearer token; servers on this machine often need none. */
  readonly apiKey?: string;
  /** Requests under way at once; 4 when not given. */
  readonly concurrency?: number;
  /** Limit of one request; 120,000 when not given. */
  readonly timeoutMs?: number;
  /** Tries after a failed one (429, 5xx, time-out), with growing pauses; 3 when not given. */
  readonly maxRetries?: number;
}

async function ask(
  client: OpenAiClient,
  model: string,
  { id, content }: Prompt,
  sample: number,
  options: SampleOptions,
): Promise<Response> {
  const messages = typeof content === "string" ? [{ role: "user", content }] : content;
  const { temperature, topP, maxTokens, stop, seed, signal } = options;
  const { choices } = await client.chat.completions.create({
    model,
    messages,
    temperature,
    top_p: topP,
    max_tokens: maxTokens,
    seed: deriveSeed(seed, id, sample),
    ...(stop?.length ? { stop } : {}),
  }, signal ? { signal } : {}).catch((error: unknown) => {
    throw new Error(
      `Cannot sample from ${model} as the server must answer for prompt ${id}: ${
        error instanceof Error ? error.message : error
      }`,
      { cause: error },
    );
  });
  const choice = choices?.[0];
  const text = choice?.message?.content;
  if (typeof text !== "string") {
    throw new TypeError(
      `Cannot sample from ${model} as the server must return a text for prompt ${id}: ` +
        (choice ? "no content" : "no choice"),
    );
  }
  return { text, finishReason: choice?.finish_reason === "length" ? "length" : "stop" };
}

/**
 * A sampler over the chat completions of a server. Requests still under way are aborted when one of
 * them fails, or when whoever asks stops early.
 *
 * @throws {RangeError} When `concurrency` is not a whole number from 1 on; on sampling, when asked for
 *   top-k or min-p, which the interface lacks.
 */
export function openAiSampler(options: OpenAiSamplerOptions): Sampler {
  const { baseUrl, model, apiKey = "none", concurrency = 4, timeoutMs = 120_000, maxRetries = 3 } =
    options;
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new RangeError(
      `Cannot sample from a server as the requests at once must be a whole number from 1 on: ${concurrency}`,
    );
  }
  let client: Promise<OpenAiClient> | undefined;
  const connect = async () => {
    const { default: OpenAi } = await loadOpenAi();
    return new OpenAi({ baseURL: baseUrl, apiKey, maxRetries, timeout: timeoutMs });
  };
  return {
    id: `openai:${baseUrl}:${model}`,
    async *sample(prompts: readonly Prompt[], sampling: SampleOptions): AsyncGenerator<Sampled> {
      if ((sampling.topK ?? 0) > 0 || (sampling.minP ?? 0) > 0) {
        throw new RangeError(
          "Cannot sample from a server as top-k and min-p must be off: its interface has neither",
        );
      }
      const { signal } = sampling;
      signal?.throwIfAborted();
      const connected = await (client ??= connect());
      const ending = new AbortController();
      const own = {
        ...sampling,
        signal: signal ? AbortSignal.any([signal, ending.signal]) : ending.signal,
      };
      const waiting: Promise<Response>[] = [];
      const queue = prompts.flatMap((prompt) =>
        Array.from({ length: sampling.samples }, (_, sample) => ({ prompt, sample }))
      );
      // A window of requests slides over the queue, so that order and concurrency both hold.
      const fill = (until: number) => {
        while (waiting.length < Math.min(until, queue.length)) {
          const { prompt, sample } = queue[waiting.length]!;
          const answer = ask(connected, model, prompt, sample, own);
          answer.catch(() => {}); // reported where it is awaited
          waiting.push(answer);
        }
      };
      let done = 0;
      try {
        for (const prompt of prompts) {
          const responses: Response[] = [];
          for (let sample = 0; sample < sampling.samples; sample++) {
            fill(done + concurrency);
            responses.push(await waiting[done]!);
            done++;
          }
          yield { prompt, responses };
        }
      } catch (error) {
        signal?.throwIfAborted(); // with its own reason, not the client's
        throw error;
      } finally {
        ending.abort();
      }
    },
  };
}
