// The remote sampler against a server in this process that speaks OpenAI's chat completions.

import assert from "node:assert/strict";
import type { Prompt, Sampled, SampleOptions } from "../../../core/mod.ts";
import { openAiSampler, type OpenAiSamplerOptions } from "../../../models/mod.ts";

const SAMPLING: SampleOptions = { samples: 2, temperature: 0.7, topP: 0.9, maxTokens: 9, seed: 3 };

/** The body of a request, as far as tests look at it. */
interface Asked {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly seed: number;
  readonly [field: string]: unknown;
}

type Handler = (asked: Asked, request: Request) => Response | Promise<Response>;

const completion = (content: unknown, finish_reason = "stop") =>
  Response.json({
    id: "1",
    object: "chat.completion",
    created: 0,
    model: "m",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason }],
  });

const failure = (status: number, message = "try later") =>
  Response.json({ error: { message } }, { status, headers: { "retry-after-ms": "1" } });

/** The last message and the seed, so that every answer is another. */
const echo: Handler = ({ messages, seed }) => completion(`${messages.at(-1)!.content} ${seed}`);

/** Runs against a server, and ends when all its requests have. */
async function withServer(
  handler: Handler,
  run: (baseUrl: string, asked: readonly Asked[]) => Promise<void>,
): Promise<void> {
  const all: Asked[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      assert.equal(new URL(request.url).pathname, "/v1/chat/completions");
      const asked = await request.json();
      all.push(asked);
      return await handler(asked, request);
    },
  );
  try {
    await run(`http://127.0.0.1:${server.addr.port}/v1`, all);
  } finally {
    await server.shutdown();
  }
}

function sampler(baseUrl: string, options: Partial<OpenAiSamplerOptions> = {}) {
  return openAiSampler({ baseUrl, model: "m", ...options });
}

async function collect(sampled: AsyncIterable<Sampled>): Promise<Sampled[]> {
  const all: Sampled[] = [];
  for await (const one of sampled) all.push(one);
  return all;
}

const prompts: readonly Prompt[] = ["a", "b", "c", "d"].map((id) => ({ id, content: `say ${id}` }));

Deno.test("openAiSampler() asks K times for each prompt, with what the interface has", () =>
  withServer(echo, async (baseUrl, asked) => {
    const conversation: Prompt = {
      id: "chat",
      content: [{ role: "system", content: "be brief" }, { role: "user", content: "hello" }],
    };
    const policy = sampler(baseUrl);
    assert.equal(policy.id, `openai:${baseUrl}:m`);
    const options = { ...SAMPLING, samples: 3, stop: ["\n"] };
    const [first, second] = await collect(policy.sample([prompts[0]!, conversation], options));
    assert.equal(asked.length, 6);
    const of = (content: string) =>
      asked.filter(({ messages }) => messages.at(-1)!.content === content);
    const { seed: _, ...body } = of("hello")[0]!;
    assert.deepEqual(body, {
      model: "m",
      messages: conversation.content,
      temperature: 0.7,
      top_p: 0.9,
      max_tokens: 9,
      stop: ["\n"],
    });
    assert.deepEqual(of("say a")[0]!.messages, [{ role: "user", content: "say a" }]);
    const seeds = asked.map(({ seed }) => seed);
    assert.equal(new Set(seeds).size, 6);
    assert.ok(seeds.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32));
    assert.deepEqual(
      first!.responses.map(({ text }) => text).sort(),
      of("say a").map(({ seed }) => `say a ${seed}`).sort(),
    );
    assert.ok(second!.responses.every(({ finishReason }) => finishReason === "stop"));
    // The same again, with the same seeds.
    assert.deepEqual(await collect(policy.sample([prompts[0]!], options)), [first]);
    assert.notDeepEqual(await collect(policy.sample([prompts[0]!], { ...options, seed: 4 })), [
      first,
    ]);
  }));

Deno.test("openAiSampler() answers in order with at most `concurrency` requests under way", async () => {
  for (const concurrency of [1, 3, 100]) {
    const total = 2 * prompts.length;
    const held: (() => void)[] = [];
    let answered = 0;
    let active = 0;
    let most = 0;
    const handler: Handler = async (asked, request) => {
      most = Math.max(most, ++active);
      const { promise, resolve } = Promise.withResolvers<void>();
      held.push(resolve);
      // As many as can be are gathered, and let go last come, first served.
      if (held.length === Math.min(concurrency, total - answered)) {
        for (const release of held.splice(0).reverse()) release();
      }
      await promise;
      active--;
      answered++;
      return echo(asked, request);
    };
    await withServer(handler, async (baseUrl, asked) => {
      const sampled = await collect(sampler(baseUrl, { concurrency }).sample(prompts, SAMPLING));
      assert.deepEqual(sampled.map(({ prompt }) => prompt), prompts);
      const texts = sampled.flatMap(({ responses }) => responses.map(({ text }) => text));
      assert.equal(new Set(texts).size, total);
      prompts.forEach(({ content }, index) => {
        for (const text of texts.slice(2 * index, 2 * index + 2)) {
          assert.ok(text.startsWith(`${content} `), `${text} for ${content}`);
        }
      });
      assert.equal(asked.length, total);
    });
    assert.equal(most, Math.min(concurrency, total));
  }
});

Deno.test("openAiSampler() says why a response ended", () =>
  withServer(
    ({ messages }) => completion("x", messages[0]!.content.endsWith("a") ? "length" : "stop"),
    async (baseUrl) => {
      const [a, b] = await collect(sampler(baseUrl).sample(prompts.slice(0, 2), SAMPLING));
      assert.deepEqual(a!.responses[0], { text: "x", finishReason: "length" });
      assert.deepEqual(b!.responses[0], { text: "x", finishReason: "stop" });
    },
  ));

for (const status of [429, 500, 503]) {
  Deno.test(`openAiSampler() asks again after status ${status}`, () => {
    const failures = new Map<number, number>();
    const handler: Handler = (asked, request) => {
      const count = failures.get(asked.seed) ?? 0;
      failures.set(asked.seed, count + 1);
      return count < 2 ? failure(status) : echo(asked, request);
    };
    return withServer(handler, async (baseUrl, asked) => {
      const sampled = await collect(sampler(baseUrl, { maxRetries: 2 }).sample(prompts, SAMPLING));
      assert.deepEqual(sampled.map(({ prompt }) => prompt.id), ["a", "b", "c", "d"]);
      assert.equal(asked.length, 3 * 8); // the same request each time
      assert.equal(failures.size, 8);
    });
  });
}

Deno.test("openAiSampler() fails naming prompt and reason when the tries are used up", () =>
  withServer(() => failure(500, "out of memory"), async (baseUrl, asked) => {
    const policy = sampler(baseUrl, { maxRetries: 1, concurrency: 1 });
    await assert.rejects(collect(policy.sample(prompts, SAMPLING)), {
      name: "Error",
      message: "Cannot sample from m as the server must answer for prompt a: 500 out of memory",
    });
    assert.equal(asked.length, 2);
  }));

Deno.test("openAiSampler() does not ask again when the request itself is refused", () =>
  withServer(() => failure(401, "wrong key"), async (baseUrl, asked) => {
    const policy = sampler(baseUrl, { concurrency: 1, apiKey: "secret-key" });
    await assert.rejects(collect(policy.sample(prompts, SAMPLING)), (error: Error) => {
      assert.equal(
        error.message,
        "Cannot sample from m as the server must answer for prompt a: 401 wrong key",
      );
      return true;
    });
    assert.equal(asked.length, 1);
  }));

Deno.test("openAiSampler() sends its key as a bearer token", () => {
  const seen = new Set<string | null>();
  const handler: Handler = (asked, request) => {
    seen.add(request.headers.get("authorization"));
    return echo(asked, request);
  };
  return withServer(handler, async (baseUrl) => {
    await collect(sampler(baseUrl, { apiKey: "secret-key" }).sample(prompts, SAMPLING));
    assert.deepEqual([...seen], ["Bearer secret-key"]);
  });
});

Deno.test("openAiSampler() refuses answers without a text", async () => {
  const cases: [Response, string][] = [
    [completion(null), "no content"],
    [Response.json({ id: "1", choices: [] }), "no choice"],
    [Response.json({ id: "1" }), "no choice"],
    [Response.json({ choices: [{ index: 0 }] }), "no content"],
    [completion(["parts"]), "no content"],
  ];
  for (const [answer, found] of cases) {
    await withServer(() => answer, async (baseUrl) => {
      const asking = sampler(baseUrl).sample([prompts[0]!], { ...SAMPLING, samples: 1 });
      await assert.rejects(collect(asking), {
        name: "TypeError",
        message: `Cannot sample from m as the server must return a text for prompt a: ${found}`,
      });
    });
  }
  await withServer(() => new Response("<html>"), async (baseUrl) => {
    await assert.rejects(
      collect(sampler(baseUrl).sample(prompts, SAMPLING)),
      /Cannot sample from m/,
    );
  });
});

Deno.test("openAiSampler() says that no server answers", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const policy = sampler(`http://127.0.0.1:${port}/v1`, { maxRetries: 0 });
  await assert.rejects(collect(policy.sample(prompts, SAMPLING)), {
    name: "Error",
    message: "Cannot sample from m as the server must answer for prompt a: Connection error.",
  });
});

/** Answers prompts a, and b once two others have come, which it never answers. */
function holding(): { handler: Handler; aborted: Promise<unknown> } {
  const requests: Promise<void>[] = [];
  const gathered = Promise.withResolvers<void>();
  return {
    async handler(asked, request) {
      const which = asked.messages[0]!.content.at(-1)!;
      if (which === "b") await gathered.promise;
      if (which <= "b") return echo(asked, request);
      const { promise, resolve } = Promise.withResolvers<void>();
      request.signal.addEventListener("abort", () => resolve());
      if (request.signal.aborted) resolve();
      requests.push(promise);
      if (requests.length === 2) gathered.resolve();
      await promise;
      return new Response("gone");
    },
    aborted: gathered.promise.then(() => Promise.all(requests)),
  };
}

Deno.test("openAiSampler() ends with the signal's reason when it is aborted, its requests with it", () => {
  const { handler, aborted } = holding();
  return withServer(handler, async (baseUrl) => {
    const controller = new AbortController();
    const seen: string[] = [];
    await assert.rejects(async () => {
      const options = { ...SAMPLING, signal: controller.signal };
      for await (const { prompt } of sampler(baseUrl).sample(prompts, options)) {
        seen.push(prompt.id);
        if (prompt.id === "b") controller.abort(new RangeError("enough"));
      }
    }, { name: "RangeError", message: "enough" });
    assert.deepEqual(seen, ["a", "b"]);
    await aborted;
    const options = { ...SAMPLING, signal: AbortSignal.abort() };
    await assert.rejects(collect(sampler(baseUrl).sample(prompts, options)), {
      name: "AbortError",
    });
  });
});

Deno.test("openAiSampler() aborts its requests when whoever asks stops early", () => {
  const { handler, aborted } = holding();
  return withServer(handler, async (baseUrl) => {
    for await (const { prompt } of sampler(baseUrl).sample(prompts, SAMPLING)) {
      if (prompt.id === "b") break;
    }
    await aborted;
  });
});

Deno.test("openAiSampler() refuses top-k and min-p before any request", () =>
  withServer(echo, async (baseUrl, asked) => {
    for (const options of [{ topK: 5 }, { minP: 0.1 }]) {
      const asking = sampler(baseUrl).sample(prompts, { ...SAMPLING, ...options });
      await assert.rejects(collect(asking), {
        name: "RangeError",
        message:
          "Cannot sample from a server as top-k and min-p must be off: its interface has neither",
      });
    }
    await collect(sampler(baseUrl).sample([], { ...SAMPLING, topK: 0, minP: 0 }));
    assert.equal(asked.length, 0);
  }));

Deno.test("openAiSampler() fetches its package when it first samples, not before", async () => {
  const url = new URL("../../../models/remote/openai_sampler.ts", import.meta.url).href;
  const program = `
    const { openAiSampler } = await import(${JSON.stringify(url)});
    const policy = openAiSampler({ baseUrl: "http://127.0.0.1:1/v1", model: "m" });
    console.log(policy.id);
    const options = { samples: 1, temperature: 1, topP: 1, maxTokens: 1, seed: 0 };
    try {
      for await (const _ of policy.sample([{ id: "a", content: "b" }], options));
    } catch (error) {
      console.log(/npm/.test(error.message));
    }`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-lock", "--no-npm", "--no-prompt", "--quiet", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const child = command.spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const { stdout, stderr } = await child.output();
  const text = new TextDecoder().decode(stdout);
  assert.equal(text, "openai:http://127.0.0.1:1/v1:m\ntrue\n", new TextDecoder().decode(stderr));
});
