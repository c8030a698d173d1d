import { strict as assert } from "node:assert";
import { inTempFolder, sppo } from "./_run.ts";

/** A server that says the longer of two responses is better, except of those with "?". */
async function withServer(run: (url: string, asked: () => number) => Promise<void>): Promise<void> {
  let asked = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    assert.equal(request.headers.get("authorization"), "Bearer secret");
    const { messages } = await request.json();
    const [first, second] = String(messages[0].content).split("|") as [string, string];
    asked++;
    const content = first.includes("?") ? "?" : first.length > second.length ? "1" : "2";
    return Response.json({
      choices: [{ message: { content }, finish_reason: "stop" }],
      usage: { prompt_tokens: 10, completion_tokens: 1 },
    });
  });
  try {
    await run(`http://127.0.0.1:${server.addr.port}/v1`, () => asked);
  } finally {
    await server.shutdown();
  }
}

Deno.test("sppo judge and sppo train ask a server, and nothing twice", () =>
  inTempFolder((cwd) =>
    withServer(async (url, asked) => {
      await Deno.writeTextFile(`${cwd}/key`, "secret\n");
      await Deno.writeTextFile(`${cwd}/own.jinja`, "{{ first }}|{{ second }}");
      const responses = ["a", "ccc", "bb"];
      await Deno.writeTextFile(
        `${cwd}/in.jsonl`,
        JSON.stringify({ prompt: "Say.", responses }) + "\n" +
          JSON.stringify({ prompt: "Ask.", responses: ["a", "b?", "a"] }),
      );
      const judge = (more = "") =>
        `llm:m@url=${url},template=own.jinja,labels=1/2,key=key,cache=kept${more}`;
      const judging = (text: string) =>
        sppo(["judge", "--judge", text, "--input", "in.jsonl", "--output", "out.jsonl"], { cwd });

      const refused = await judging(judge());
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /as it must have one of 1, 2 and no more: "\?"/);
      assert.equal(asked(), 8);

      const judged = await judging(judge(",unparsable=pair"));
      assert.equal(judged.code, 0, judged.stderr);
      assert.equal(asked(), 8);
      const rows = (await Deno.readTextFile(`${cwd}/out.jsonl`)).trim().split("\n")
        .map((line) => JSON.parse(line).preferences);
      assert.deepEqual(rows[0], [[0.5, 0, 0], [1, 0.5, 1], [1, 0, 0.5]]);
      assert.deepEqual(rows[1], [[0.5, null, 0.5], [null, 0.5, null], [0.5, null, 0.5]]);

      await Deno.writeTextFile(`${cwd}/prompts.jsonl`, '{"prompt":"Say."}\n{"prompt":"Tell."}');
      const run = await sppo([
        ...["train", "--model", "embedded", "--prompts", "prompts.jsonl"],
        ...["--judge", judge(",unparsable=pair,price=1/2")],
        ...["--iterations", "1", "--samples", "3", "--max-tokens", "6", "--batch", "8"],
        ...["--threads", "1", "--out", "run"],
      ], { cwd });
      assert.equal(run.code, 0, run.stderr);
      const metrics = (await Deno.readTextFile(`${cwd}/run/metrics.jsonl`)).trim().split("\n")
        .map((line) => JSON.parse(line)).find((line) => "judge_cost/requests" in line);
      const requests = metrics["judge_cost/requests"];
      assert.ok(requests > 0);
      assert.equal(metrics["judge_cost/tokens"], 11 * requests);
      assert.ok(Math.abs(metrics["judge_cost/currency"] - 12e-6 * requests) < 1e-12);
      assert.equal(
        metrics["judge_counts/hard"] + metrics["judge_counts/unparsable"],
        requests + metrics["judge_counts/cached"],
      );
      assert.match(
        run.stderr + run.stdout,
        /llm:m: \d+ requests, \d+ tokens read, \d+ written, at a price of/,
      );
    })
  ));

Deno.test("sppo judge refuses a judge on a server that cannot be", () =>
  inTempFolder(async (cwd) => {
    await Deno.writeTextFile(`${cwd}/in.jsonl`, '{"prompt":"p","responses":["a","b"]}');
    const wrong: Readonly<Record<string, RegExp>> = {
      "llm:m@url=ftp": /as url must be one of http or https: ftp/,
      "llm:m@url=http://localhost:1,unparsable=x": /one of throw, pair, prompt: x/,
      "llm:m@url=http://localhost:1,price=1": /price must be two numbers/,
      "llm:m@url=http://localhost:1,template=none.jinja": /Cannot read none\.jinja/,
    };
    for (const [judge, message] of Object.entries(wrong)) {
      const refused = await sppo(["judge", "--judge", judge, "--input", "in.jsonl"], { cwd });
      assert.equal(refused.code, 2, judge);
      assert.match(refused.stderr, message);
    }
  }));
