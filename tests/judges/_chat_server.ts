/** A chat server in this process, whose answers a test gives. */

import type { ChatModel } from "../../judges/mod.ts";
import { openAiChat } from "../../models/remote/openai_chat.ts";

/** The two responses of a short question. */
export function shown(question: string): [string, string] {
  const between = (from: string, to: string) =>
    question.slice(question.indexOf(from) + from.length, question.indexOf(to));
  return [
    between("[Response A]\n", "\n[End of response A]"),
    between("[Response B]\n", "\n[End of response B]"),
  ];
}

/** A completion with this text, and with these first tokens' probabilities. */
export const completion = (content: unknown, top?: Readonly<Record<string, number>>): Response =>
  Response.json({
    id: "1",
    object: "chat.completion",
    created: 0,
    model: "m",
    choices: [{
      index: 0,
      message: { role: "assistant", content },
      finish_reason: "stop",
      logprobs: top === undefined ? null : {
        content: [{
          token: "A",
          logprob: 0,
          top_logprobs: Object.entries(top).map(([token, p]) => ({ token, logprob: Math.log(p) })),
        }],
      },
    }],
    usage: { prompt_tokens: 100, completion_tokens: 2, total_tokens: 102 },
  });

/** A refusal that asks for another try. */
export const failure = (status: number): Response =>
  Response.json({ error: { message: "try later" } }, {
    status,
    headers: { "retry-after-ms": "1" },
  });

/** What is asked. */
export interface Asked {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly [field: string]: unknown;
}

/** What the server answers. */
export type Handler = (asked: Asked, times: number) => Response | Promise<Response>;

/** Runs against a server; the handler learns how often it was asked the same before. */
export async function withServer(
  handler: Handler,
  run: (baseUrl: string, asked: Asked[]) => Promise<void>,
): Promise<void> {
  const all: Asked[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const asked: Asked = await request.json();
    const same = JSON.stringify(asked);
    const times = all.filter((other) => JSON.stringify(other) === same).length;
    all.push(asked);
    return await handler(asked, times);
  });
  try {
    await run(`http://127.0.0.1:${server.addr.port}/v1`, all);
  } finally {
    await server.shutdown();
  }
}

/** The model of that server. */
export const chat = (baseUrl: string, maxRetries = 3): ChatModel =>
  openAiChat({ baseUrl, model: "m", maxRetries });

/** The longer response's letter. */
export const longer: Handler = ({ messages }: Asked): Response => {
  const [a, b] = shown(messages[0]!.content);
  return completion(a.length > b.length ? "A" : "B");
};
