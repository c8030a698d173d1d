// People asked on a page: by plain requests, and by keys and clicks in a real browser.

import { strict as assert } from "node:assert";
import { type PageVoter, servePage } from "../../cli/people/page_voter.ts";
import { type HumanAnswer, humanJudge, type HumanQuestion } from "../../judges/mod.ts";
import { drivePage, findChromium, NO_CHROMIUM } from "../browser/chromium.ts";
import { inTempFolder, startSppo } from "./_run.ts";

interface Asked {
  readonly state: string;
  readonly id: number;
  readonly question: HumanQuestion;
}

/** What a page is told, from when it is opened to the end. */
async function* eventsOf(url: string): AsyncGenerator<Asked> {
  const { body } = await fetch(`${url}events`);
  let text = "";
  for await (const piece of body!.pipeThrough(new TextDecoderStream())) {
    text += piece;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      yield JSON.parse(text.slice("data: ".length, end));
    }
  }
}

async function post(url: string, path: string, body: unknown): Promise<number> {
  const response = await fetch(url + path, { method: "POST", body: JSON.stringify(body) });
  await response.body?.cancel();
  return response.status;
}

const prompt = { id: "p", content: "Why?" };
const question = { prompt, first: "a", second: "b", number: 1, total: 1 };

async function withPage(run: (page: PageVoter, stopped: () => number) => Promise<void>) {
  let stopped = 0;
  await using page = await servePage({ port: 0, stop: () => void stopped++ });
  await run(page, () => stopped);
}

Deno.test("servePage() asks every page that is open, and takes the first answer", () =>
  withPage(async (page, stopped) => {
    const [one, other] = [eventsOf(page.url), eventsOf(page.url)];
    assert.equal((await one.next()).value.state, "waiting");
    assert.equal((await other.next()).value.state, "waiting");
    {
      using session = await page.begin();
      const answer = session.ask(question);
      const { id, question: shown } = (await one.next()).value as Asked;
      assert.deepEqual(shown, question);
      assert.equal(((await other.next()).value as Asked).id, id);
      assert.equal(await post(page.url, "vote", { id: id + 1, answer: "first" }), 409);
      assert.equal(await post(page.url, "vote", { id, answer: "third" }), 400);
      assert.equal(await post(page.url, "vote", 3), 400);
      assert.equal(await post(page.url, "vote", { id, answer: "tie" }), 204);
      assert.equal(await post(page.url, "vote", { id, answer: "first" }), 409);
      assert.equal(await answer, "tie");
      assert.equal(await post(page.url, "stop", {}), 204);
      assert.equal(stopped(), 1);
      await assert.rejects(session.ask(question, AbortSignal.abort(new Error("enough"))), /enough/);
    }
    await one.return(undefined);
    await other.return(undefined);
  }));

Deno.test("servePage() serves its files at its own path only, and lets nothing else run", () =>
  withPage(async (page) => {
    for (const [name, type] of [["", "html"], ["style.css", "css"], ["script.js", "javascript"]]) {
      const response = await fetch(page.url + name);
      assert.equal(response.status, 200);
      assert.match(response.headers.get("content-type")!, new RegExp(type!));
      assert.match(response.headers.get("content-security-policy")!, /^default-src 'none';/);
      await response.body!.cancel();
    }
    const { origin, port } = new URL(page.url);
    for (const path of ["/", "/events", "/vote", `${new URL(page.url).pathname}../vote`]) {
      const response = await fetch(origin + path, { method: "POST", body: "{}" });
      assert.equal(response.status, 404, path);
      await response.body!.cancel();
    }
    await assert.rejects(servePage({ port: Number(port), stop() {} }), /as port \d+ must be free/);
  }));

Deno.test("servePage() tells open pages that it has ended, and waits for none of them", async () => {
  let events: AsyncGenerator<Asked>;
  {
    await using page = await servePage({ port: 0, stop() {} });
    events = eventsOf(page.url);
    await events.next();
  }
  assert.equal((await events.next()).value.state, "ended");
  assert.equal((await events.next()).done, true);
});

/** A command under way, and the address that it tells. */
async function startAsking(args: readonly string[], cwd: string) {
  const process = startSppo(args, { cwd });
  const url = Promise.withResolvers<string>();
  let stderr = "";
  const reading = (async () => {
    for await (const piece of process.stderr.pipeThrough(new TextDecoderStream())) {
      const found = /at (http:\S+)/.exec(stderr += piece);
      if (found) url.resolve(found[1]!);
    }
    url.reject(new Error(stderr));
  })();
  const stdout = new Response(process.stdout).text();
  url.promise.catch(() => {});
  return {
    url: await url.promise,
    process,
    async ended() {
      const [{ code, signal }] = [await process.status, await reading];
      return { code, signal, stderr, stdout: await stdout };
    },
  };
}

/** Likes the text that comes later in the alphabet. */
const later = ({ first, second }: HumanQuestion): HumanAnswer =>
  first > second ? "first" : "second";

/** Answers on a page until it ends, or so many times; which number of how many each question had. */
async function answering(url: string, most = Infinity): Promise<string[]> {
  const numbers: string[] = [];
  for await (const { state, id, question } of eventsOf(url)) {
    if (state !== "question") continue;
    if (numbers.length === most) break;
    numbers.push(`${question.number}/${question.total}+${question.later}`);
    assert.equal(await post(url, "vote", { id, answer: later(question) }), 204);
  }
  return numbers;
}

Deno.test("sppo train asks people, and after a kill nothing that was answered", () =>
  inTempFolder(async (cwd) => {
    await Deno.writeTextFile(
      `${cwd}/prompts.jsonl`,
      ["Say.", "Tell.", "Sing."].map((prompt) => `{"prompt":"${prompt}"}\n`).join(""),
    );
    const train = [
      ...["train", "--model", "embedded", "--prompts", "prompts.jsonl", "--judge", "human@page=0"],
      ...["--iterations", "1", "--samples", "3", "--max-tokens", "6", "--batch", "8"],
      ...["--prompts-per-batch", "2", "--temperature", "1.5", "--threads", "1", "--out", "run"],
    ];
    const killed = await startAsking(train, cwd);
    const before = await answering(killed.url, 4);
    killed.process.kill("SIGKILL");
    assert.equal((await killed.ended()).signal, "SIGKILL");
    assert.deepEqual(before, ["1/6+1", "2/6+1", "3/6+1", "4/6+1"]);

    const resumed = await startAsking(["train", "--out", "run"], cwd);
    const after = await answering(resumed.url);
    const { code, stderr } = await resumed.ended();
    assert.equal(code, 0, stderr);
    assert.deepEqual(after, ["1/2+1", "2/2+1", "1/3+0", "2/3+0", "3/3+0"]);
    assert.match(stderr, /human: 5 votes, 0 for neither; .* of 5; kept in votes\.jsonl/);
    const lines = async (name: string) =>
      (await Deno.readTextFile(`${cwd}/${name}`)).trim().split("\n").map((line) =>
        JSON.parse(line)
      );
    assert.equal((await lines("votes.jsonl")).length, 9);
    const preferences = await lines("run/iteration-1/preferences.jsonl");
    const texts = await lines("run/iteration-1/responses.jsonl");
    for (const [index, { preferences: rows }] of preferences.entries()) {
      const said = texts[index].responses.map(({ text }: { text: string }) => text);
      assert.deepEqual(
        rows,
        said.map((a: string) => said.map((b: string) => a === b ? 0.5 : +(a > b))),
      );
    }
    const counts = (await lines("run/metrics.jsonl")).find((line) => "judge_counts/pairs" in line);
    assert.deepEqual([counts["judge_counts/pairs"], counts["judge_counts/cached"]], [9, 4]);
  }));

const chromium = await findChromium();

Deno.test({
  name: `sppo judge asks on a page in Chromium, and goes on after a kill${
    chromium === undefined ? ` (skipped: ${NO_CHROMIUM})` : ""
  }`,
  ignore: chromium === undefined,
  fn: () =>
    inTempFolder(async (cwd) => {
      const evil = `<img src=x onerror="globalThis.caught=1"><script>globalThis.caught=1</script>`;
      const responses = [evil, "b\n  two", "c", "d"];
      await Deno.writeTextFile(
        `${cwd}/in.jsonl`,
        JSON.stringify({ prompt: `${evil}?`, responses }) + "\n" +
          JSON.stringify({ prompt: [{ role: "user", content: "Hi" }], responses: ["e", "f"] }),
      );
      const args = [
        "judge",
        "--judge",
        "human:ann@page=0",
        "--input",
        "in.jsonl",
        "--output",
        "out",
      ];
      await using page = await drivePage(chromium!.path, () => {});
      const text = (id: string) => page.read(`document.getElementById("${id}").textContent`);
      const asked = (number: number, total: number) =>
        page.until(`document.getElementById("place").textContent
          === "ann: question ${number} of ${total}" &&
          !document.querySelector('[data-answer="first"]').disabled`);

      const killed = await startAsking(args, cwd);
      await page.open(killed.url);
      await asked(1, 7);
      assert.equal(await text("prompt"), `${evil}?`);
      assert.deepEqual([await text("first"), await text("second")].sort(), [
        responses[0],
        responses[1],
      ]);
      assert.equal(await page.read("globalThis.caught === undefined && document.images.length"), 0);
      assert.equal(
        await page.read(`getComputedStyle(document.getElementById("first")).whiteSpace`),
        "pre-wrap",
      );
      const first = [await text("first")];
      await page.press("1");
      await asked(2, 7);
      await page.press("x");
      await page.press("u");
      await asked(1, 7);
      await page.press("2");
      await asked(2, 7);
      first.push(await text("second"));
      await page.click('[data-answer="second"]');
      await asked(3, 7);
      killed.process.kill("SIGKILL");
      await killed.ended();
      await page.until('document.body.dataset.state === "lost"');

      const stopping = await startAsking(args, cwd);
      await page.open(stopping.url);
      await asked(1, 5);
      await page.press("=");
      await asked(2, 5);
      await page.click("#stop");
      await page.until('document.body.dataset.state === "stopped"');
      assert.equal((await stopping.ended()).code, 130);

      const last = await startAsking(args, cwd);
      await page.open(last.url);
      for (const [index, key] of ["1", "2", "=", "0"].entries()) {
        await asked(index + 1, 4);
        if (index === 3) assert.equal(await text("prompt"), "userHi");
        await page.press(key);
      }
      await page.until('document.body.dataset.state === "ended"');
      const { code, stderr } = await last.ended();
      assert.equal(code, 0, stderr);
      const [one, two] = (await Deno.readTextFile(`${cwd}/out`)).trim().split("\n")
        .map((line) => JSON.parse(line).preferences);
      // The first answer was taken back: its other side counts.
      assert.equal(one[0][1], first[0] === responses[0] ? 0 : 1);
      assert.equal(one[0][2], first[1] === responses[0] ? 1 : 0);
      assert.deepEqual([one[0][3], two[0][1]], [0.5, 0.5]);
      assert.equal(
        (await Deno.readTextFile(`${cwd}/votes-ann.jsonl`)).trim().split("\n").length,
        8,
      );
    }),
});

Deno.test("a person on a page is a judge", async () => {
  let votes: Promise<string[]>;
  {
    await using page = await servePage({ port: 0, stop() {} });
    votes = answering(page.url);
    const groups = [{ prompt, responses: ["a", "b", "c", "a"].map((text) => ({ text })) }];
    const [judgement] = await Array.fromAsync(humanJudge(page).compare(groups, { later: 0 }));
    assert.deepEqual(
      [...judgement!.preferences],
      [[0.5, 0, 0, 0.5], [1, 0.5, 0, 1], [1, 1, 0.5, 1], [0.5, 0, 0, 0.5]].flat(),
    );
  }
  assert.deepEqual(await votes, ["1/3+0", "2/3+0", "3/3+0"]);
});
