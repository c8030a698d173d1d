import { strict as assert } from "node:assert";
import { inTempFolder, sppo } from "./_run.ts";
import { writeTinyModel } from "./_tiny_model.ts";

Deno.test("sppo judge and sppo train take a model that runs here as a judge", () =>
  inTempFolder(async (cwd) => {
    await writeTinyModel(`${cwd}/tiny`);
    await Deno.writeTextFile(`${cwd}/own.jinja`, "{{ first }}|{{ second }}?");
    const responses = ["a", "ccc", "bb"];
    await Deno.writeTextFile(`${cwd}/in.jsonl`, JSON.stringify({ prompt: "Say.", responses }));
    const judge = ["judge", "--input", "in.jsonl", "--threads", "1", "--judge"];
    const judging = (text: string) => sppo([...judge, text], { cwd });

    const judged = await judging("llm:tiny@template=own.jinja,labels=A/B/C");
    assert.equal(judged.code, 0, judged.stderr);
    const { preferences } = JSON.parse(judged.stdout);
    // Labels of a random model are about as likely as each other, and not exactly.
    assert.ok(preferences[0][1] !== 0.5 && Math.abs(preferences[0][1] - 0.5) < 0.25, judged.stdout);
    assert.ok(Math.abs(preferences[0][1] + preferences[1][0] - 1) < 1e-12);

    const long = await judging("llm:tiny"); // 128 positions
    assert.equal(long.code, 1);
    assert.match(long.stderr, /Cannot judge prompt "\w+" as a question with .* 128 positions/);
    const masked = await judging("llm:tiny@unparsable=pair");
    assert.deepEqual(JSON.parse(masked.stdout).preferences[0], [0.5, null, null]);
    const refused = await judging("llm:tiny@key=file");
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /the server of the model beside key, as in url=URL/);

    await Deno.writeTextFile(`${cwd}/prompts.jsonl`, '{"prompt":"Say."}\n{"prompt":"Tell."}');
    const both =
      "llm:embedded@template=own.jinja,labels=A/B + llm:tiny@template=own.jinja,labels=A/B";
    const run = await sppo([
      ...["train", "--model", "embedded", "--prompts", "prompts.jsonl", "--judge", both],
      ...["--iterations", "1", "--samples", "3", "--max-tokens", "6", "--batch", "8"],
      ...["--threads", "1", "--out", "run"],
    ], { cwd });
    assert.equal(run.code, 0, run.stderr);
    const metrics = (await Deno.readTextFile(`${cwd}/run/metrics.jsonl`)).trim().split("\n")
      .map((line) => JSON.parse(line)).find((line) => "judge_counts/soft" in line);
    assert.ok(metrics["judge_counts/soft"] > 0);
    assert.equal(metrics["judge_counts/hard"] + metrics["judge_counts/unparsable"], 0);
  }));
