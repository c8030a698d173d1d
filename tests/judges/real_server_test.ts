// A judge and a sampler on a real OpenAI-compatible server: its recorded answers, and the server itself
// where SPPO_TEST_LLM_URL (and SPPO_TEST_LLM_MODEL) name one, such as http://127.0.0.1:8091.

import assert from "node:assert/strict";
import recorded from "../parity/data/llm_server.json" with { type: "json" };
import { droppingProxy, failingProxy } from "./_proxy.ts";
import { serverSession } from "./_server_session.ts";

const URL_VARIABLE = "SPPO_TEST_LLM_URL";
const target = Deno.env.get(URL_VARIABLE);

Deno.test("a real server's recorded answers are read as they were, through failures", async () => {
  const asked = new Map(
    recorded.exchanges.map(({ path, request, response, status }) => [
      JSON.stringify([path, request]),
      { response, status },
    ]),
  );
  const unknown: unknown[] = [];
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (incoming) => {
      const request = [new URL(incoming.url).pathname, await incoming.json()];
      const answer = asked.get(JSON.stringify(request));
      if (answer !== undefined) return Response.json(answer.response, { status: answer.status });
      unknown.push(request);
      return Response.json({}, { status: 404 });
    },
  );
  await using failing = failingProxy(`http://127.0.0.1:${server.addr.port}`, [503, 429, 500]);
  await using dropping = droppingProxy(failing.port, 1);
  const session = await serverSession(`http://127.0.0.1:${dropping.port}/v1`, recorded.model);
  assert.deepEqual(unknown, []);
  // As JSON has it: absent is absent.
  assert.deepEqual(JSON.parse(JSON.stringify(session)), recorded.session);
  assert.equal(dropping.dropped(), 1);
  assert.equal(failing.exchanges.length, recorded.exchanges.length);
});

Deno.test({
  name: "a real server judges and samples, through failures" +
    (target === undefined ? ` (skipped: ${URL_VARIABLE} names none)` : ""),
  ignore: target === undefined,
  fn: async () => {
    const model = Deno.env.get("SPPO_TEST_LLM_MODEL") ?? "smollm2";
    await using failing = failingProxy(target!, [503, 429, 500]);
    await using dropping = droppingProxy(failing.port, 1);
    const session = await serverSession(`http://127.0.0.1:${dropping.port}/v1`, model);
    const { soft, hard, marks, sampled } = session;
    const { pairs, soft: read } = soft[0]!.counts;
    assert.equal(
      read,
      2 * pairs!,
      "labels are read from log-probabilities, where the server tells them",
    );
    for (const { preferences, counts } of [...soft, ...hard, ...marks]) {
      assert.ok(preferences.every((p) => p === null || (p >= 0 && p <= 1)));
      assert.ok(counts.first_place! >= 0 && counts.first_place! <= counts.pairs!);
    }
    for (const { counts } of hard) assert.equal(counts.soft, 0);
    assert.deepEqual(sampled.map(({ length }) => length), [2, 2]);
    assert.ok(sampled.flat().every(({ text }) => text !== ""));
    assert.ok(failing.exchanges.every(({ status }) => status === 200));
  },
});
