/**
 * The package of this folder, pinned here once and fetched only when a server is first asked.
 *
 * @module
 */

/** Client of OpenAI-compatible servers. */
const OPENAI = "npm:openai@7.57.0";

/** One choice of a chat completion. */
export interface ChatChoice {
  readonly message?: { readonly content?: string | null };
  readonly finish_reason?: string | null;
  readonly logprobs?: {
    readonly content?:
      | readonly {
        readonly top_logprobs?: readonly { readonly token: string; readonly logprob: number }[];
      }[]
      | null;
  } | null;
}

/** What is used of the client. */
export interface OpenAiClient {
  readonly chat: {
    readonly completions: {
      create(
        body: Readonly<Record<string, unknown>>,
        options: { readonly signal?: AbortSignal },
      ): Promise<{
        readonly choices?: readonly ChatChoice[];
        readonly usage?: { readonly prompt_tokens?: number; readonly completion_tokens?: number };
      }>;
    };
  };
}

/** Options of the client's constructor. */
export interface OpenAiClientOptions {
  readonly baseURL: string;
  readonly apiKey: string;
  readonly maxRetries: number;
  readonly timeout: number;
}

/** Loads `openai`. */
export async function loadOpenAi(): Promise<{
  readonly default: new (options: OpenAiClientOptions) => OpenAiClient;
}> {
  return await import(OPENAI);
}
