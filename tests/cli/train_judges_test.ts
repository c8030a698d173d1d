/** `sppo train` with every kind of judge, whole and killed while it judges. */

import { strict as assert } from "node:assert";
import { ended, filesBelow, inTempFolder, sppo, sppoMany, startSppo } from "./_run.ts";
import { writeTinyModel } from "./_tiny_model.ts";

const ROOT = new URL("../../", import.meta.url);
const DATA = decodeURIComponent(new URL("tests/parity/data/", ROOT).pathname);
const PROMPTS = 4;
const SAMPLES = 3;

async function writePrompts(cwd: string): Promise<void> {
  const lines = Array.from({ length: PROMPTS }, (_, id) => `{"id":${id},"prompt":"Animal ${id}"}`);
  await Deno.writeTextFile(`${cwd}/prompts.jsonl`, lines.join("\n"));
}

function training(judge: string, out: string): string[] {
  return [
    ...["train", "--model", "embedded", "--prompts", "prompts.jsonl", "--judge", judge],
    ...["--iterations", "1", "--samples", `${SAMPLES}`, "--max-tokens", "6", "--epochs", "1"],
    ...["--temperature", "1", "--top-p", "1", "--eta", "20", "--threads", "1", "--out", out],
  ];
}

async function recordsOf(path: string): Promise<Record<string, unknown>[]> {
  const text = await Deno.readTextFile(path);
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** Waits for a condition that another process brings about. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!await holds()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/**
 * A server that prefers the longer response, shown as `first|second`. It answers so many requests, and
 * lets the others wait for ever.
 */
async function withServer(
  run: (server: { url: string; answered: string[]; waiting: string[]; most: number }) => Promise<
    void
  >,
): Promise<void> {
  const held = Promise.withResolvers<Response>();
  const state = { url: "", answered: [] as string[], waiting: [] as string[], most: Infinity };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { messages } = await request.json();
    const question = String(messages[0].content);
    if (state.answered.length >= state.most) {
      state.waiting.push(question);
      return await held.promise;
    }
    state.answered.push(question);
    const [, first, second] = question.split("|") as [string, string, string];
    return Response.json({
      choices: [{
        message: { content: first.length > second.length ? "1" : "2" },
        finish_reason: "stop",
      }],
      usage: { prompt_tokens: 10, completion_tokens: 1 },
    });
  });
  state.url = `http://127.0.0.1:${server.addr.port}/v1`;
  try {
    await run(state);
  } finally {
    held.resolve(new Response());
    await server.shutdown();
  }
}

const TEMPLATE = "{{ prompt }}|{{ first }}|{{ second }}";

Deno.test("sppo train runs with each kind of judge on the embedded policy", () =>
  inTempFolder((cwd) =>
    withServer(async ({ url, answered }) => {
      await writePrompts(cwd);
      await writeTinyModel(`${cwd}/tiny`);
      await Deno.writeTextFile(
        `${cwd}/labels.jsonl`,
        Array.from({ length: 4 }, (_, id) =>
          JSON.stringify({ prompt: `Say ${id}.`, chosen: "yes, it is", rejected: "no" })).join(
            "\n",
          ),
      );
      await Deno.writeTextFile(`${cwd}/own.jinja`, TEMPLATE);
      await Deno.writeTextFile(
        `${cwd}/vowels.ts`,
        `import { judge } from "${new URL("mod.ts", ROOT)}";
         export const oracle = {
           id: "vowels",
           async *compare(groups) {
             for (const group of groups) {
               const vowels = group.responses.map(({ text }) => text.match(/[aeiou]/g)?.length ?? 0);
               yield judge(group, (i, j) => 1 / (1 + Math.exp(vowels[j] - vowels[i])));
             }
           },
         };`,
      );
      const judges: Readonly<Record<string, readonly [judge: string, id: RegExp]>> = {
        scripted: ["characters:10-20", /characters/],
        cycle: ["cycle:lexicon:the|a,regex:/e/,regex:/./", /cycle/],
        module: ["vowels.ts", /^vowels@[0-9a-f]{16}$/],
        pairs: [`pair-rm:"${DATA}tiny_pair_rm"@temperature=0.1`, /^pair-rm:[0-9a-f]{16}/],
        reward: [`reward:"${DATA}tiny_reward_deberta"@temperature=0.1`, /^reward:[0-9a-f]{16}/],
        general: ["gpm:gpm", /^gpm:[0-9a-f]{16}@tau=0.1$/],
        server: [`llm:m@url=${url},template=own.jinja,labels=1/2,cache=kept`, /^llm:/],
      };
      const names = Object.keys(judges);
      const ended = await sppoMany([
        [
          ...["judge", "train", "--model", "tiny", "--labels", "labels.jsonl", "--out", "gpm"],
          ...["--head", "general-preference", "--dimension", "2", "--epochs", "1"],
          ...["--held-out", "1", "--threads", "1"],
        ],
        ...names.map((name) =>
          training(judges[name]![0], name)
        ),
      ], { cwd });
      assert.equal(ended.code, 0, ended.stderr);
      for (const name of names) {
        const { judge } = JSON.parse(await Deno.readTextFile(`${cwd}/${name}/run.json`));
        assert.match(judge, judges[name]![1]);
        let decided = 0;
        for (const record of await recordsOf(`${cwd}/${name}/iteration-1/preferences.jsonl`)) {
          const table = record.preferences as number[][];
          assert.equal(table.length, SAMPLES);
          table.forEach((row, i) =>
            row.forEach((preference, j) => {
              assert.ok(Math.abs(preference + table[j]![i]! - 1) < 1e-12, name);
              if (preference !== 0.5) decided++;
            })
          );
        }
        assert.ok(decided > 0, `${name} has an opinion`);
        const steps = (await recordsOf(`${cwd}/${name}/metrics.jsonl`)).filter((line) =>
          line.step !== undefined
        );
        assert.ok(steps.length > 0 && steps.every(({ loss }) => (loss as number) > 0), name);
        await Deno.stat(`${cwd}/${name}/iteration-1/adapter/adapter_model.safetensors`);
      }
      assert.equal(new Set(answered).size, answered.length);
    })
  ));

Deno.test("sppo train killed while a server judges asks for nothing that was answered", () =>
  inTempFolder((cwd) =>
    withServer(async (server) => {
      await writePrompts(cwd);
      await Deno.writeTextFile(`${cwd}/own.jinja`, TEMPLATE);
      const judge = `llm:m@url=${server.url},template=own.jinja,labels=1/2,cache=kept`;
      const args = training(judge, "run");

      server.most = 7; // the second prompt's first pair, in one order
      const first = startSppo(args, { cwd });
      const over = ended(first);
      await until(() => server.waiting.length > 0);
      await until(async () => {
        const kept = [...(await filesBelow(`${cwd}/kept`)).keys()];
        return kept.filter((path) => path.endsWith(".json")).length === server.most;
      });
      first.kill("SIGKILL");
      assert.equal((await over).signal, "SIGKILL");

      const before = [...server.answered];
      server.most = Infinity;
      const second = await sppo(args, { cwd });
      assert.equal(second.code, 0, second.stderr);
      const after = server.answered.slice(before.length);
      assert.ok(after.length > 0);
      for (const question of server.waiting) assert.ok(after.includes(question), question);
      assert.equal(new Set(server.answered).size, server.answered.length);
      const metrics = await recordsOf(`${cwd}/run/metrics.jsonl`);
      assert.ok(metrics.some((line) => (line["judge_counts/pairs"] as number) > 0));
    })
  ));

Deno.test("sppo train killed while a model judges reads no group again that was judged", () =>
  inTempFolder(async (cwd) => {
    await writePrompts(cwd);
    const importing = (path: string) => `"${new URL(path, ROOT)}"`;
    // PairRM with a list of what it is asked; while there is a file "stop" it never ends its third group.
    await Deno.writeTextFile(
      `${cwd}/counted.ts`,
      `import { createOnnxBackend } from ${importing("backends/onnx/mod.ts")};
       import { openCheckpointFiles } from ${importing("cli/file_source.ts")};
       import { pairJudge } from ${importing("judges/mod.ts")};
       import { PairRanker } from ${importing("models/mod.ts")};
       using opened = await openCheckpointFiles(${JSON.stringify(`${DATA}tiny_pair_rm`)});
       const ranker = await PairRanker.load(opened.files, await createOnnxBackend({ threads: 1 }));
       let groups = 0;
       export const oracle = pairJudge({
         id: ranker.id,
         async logits(prompt, ...rest) {
           Deno.writeTextFileSync("asked", prompt + "\\n", { append: true });
           try {
             Deno.statSync("stop");
             if (++groups === 3) await new Promise((resolve) => setTimeout(resolve, 1e9));
           } catch { /* goes on */ }
           return await ranker.logits(prompt, ...rest);
         },
       });`,
    );
    const asked = async () => (await Deno.readTextFile(`${cwd}/asked`)).trimEnd().split("\n");

    const whole = await sppo(training("counted.ts", "whole"), { cwd });
    assert.equal(whole.code, 0, whole.stderr);
    const all = await asked();
    assert.equal(all.length, PROMPTS);

    await Deno.remove(`${cwd}/asked`);
    await Deno.writeTextFile(`${cwd}/stop`, "");
    const first = startSppo(training("counted.ts", "run"), { cwd });
    const over = ended(first);
    await until(() => asked().then((lines) => lines.length === 3, () => false));
    first.kill("SIGKILL");
    assert.equal((await over).signal, "SIGKILL");
    await Deno.remove(`${cwd}/stop`);
    const second = await sppo(training("counted.ts", "run"), { cwd });
    assert.equal(second.code, 0, second.stderr);
    // The third was under way and not answered.
    assert.deepEqual(await asked(), [...all.slice(0, 3), ...all.slice(2)]);
    const judged = (run: string) =>
      Deno.readTextFile(`${cwd}/${run}/iteration-1/preferences.jsonl`);
    assert.equal(await judged("run"), await judged("whole"));
  }));
