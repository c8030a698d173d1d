import { strict as assert } from "node:assert";
import { inTempFolder, sppo } from "./_run.ts";
import { writeTinyModel } from "./_tiny_model.ts";

const DATA = decodeURIComponent(new URL("../parity/data/", import.meta.url).pathname);

/** Prompts with a short, a middling and a long answer; verdicts go round in a circle. */
async function writeLabels(path: string): Promise<void> {
  const verdicts = [[null, 1, 2], [2, null, 1], [1, 2, null]];
  const lines = Array.from({ length: 20 }, (_, id) =>
    JSON.stringify({
      id,
      prompt: `Say ${id}.`,
      responses: ["no", "yes, it is", "this one is the longest of all!"],
      verdicts,
    }));
  await Deno.writeTextFile(path, lines.join("\n"));
}

Deno.test("sppo judge train fits a judge that sppo judge and sppo train take", async () => {
  await inTempFolder(async (cwd) => {
    await writeTinyModel(`${cwd}/tiny`);
    await writeLabels(`${cwd}/labels.jsonl`);
    const trained = await sppo([
      ...["judge", "train", "--model", "tiny", "--labels", "labels.jsonl", "--out", "gpm"],
      ...["--head", "general-preference", "--dimension", "4", "--tau", "1", "--epochs", "60"],
      ...["--learning-rate", "0.05", "--threads", "1"],
    ], { cwd });
    assert.equal(trained.code, 0, trained.stderr);
    assert.match(trained.stdout, /^held out: 4 prompts, 12 pairs, 12 decided$/m);
    assert.match(trained.stdout, /^labels that go round: 4 of 4 triads$/m);
    const report = JSON.parse(await Deno.readTextFile(`${cwd}/gpm/report.json`));
    assert.ok(report.accuracy > 0.95, trained.stdout);

    const judges = {
      "gpm:gpm": /\*gpm:[0-9a-f]{16}@tau=1$/,
      [`pair-rm:"${DATA}tiny_pair_rm"@temperature=2`]: /\*pair-rm:[0-9a-f]{16}@temperature=2$/,
      [`reward:"${DATA}tiny_reward_llama"|"${DATA}tiny_reward_deberta"@weights=2/1,penalty=0.01`]:
        /\*reward:0\.6\d+\*[0-9a-f]{16}\+0\.3\d+\*[0-9a-f]{16}-0\.01\*characters@temperature=1$/,
    };
    for (const judge of Object.keys(judges)) {
      const judged = await sppo([
        ...["judge", "--judge", judge, "--input", "labels.jsonl", "--output", "judged.jsonl"],
        ...["--threads", "1", "--estimator", "scores"],
      ], { cwd });
      assert.equal(judged.code, 0, judged.stderr);
      const [first] = (await Deno.readTextFile(`${cwd}/judged.jsonl`)).split("\n");
      const { preferences } = JSON.parse(first!);
      assert.ok(Math.abs(preferences[0][1] + preferences[1][0] - 1) < 1e-6);
    }
    const together = Object.keys(judges).join(" + ");
    const run = await sppo([
      ...["train", "--model", "embedded", "--prompts", "labels.jsonl", "--judge", together],
      ...["--iterations", "1", "--samples", "2", "--max-tokens", "6", "--batch", "8"],
      ...["--threads", "1", "--out", "run"],
    ], { cwd });
    assert.equal(run.code, 0, run.stderr);
    const facts = JSON.parse(await Deno.readTextFile(`${cwd}/run/run.json`));
    const ids = facts.judge.split(" + ");
    assert.equal(ids.length, 3);
    Object.values(judges).forEach((id, index) => assert.match(ids[index], id));
  });
});

Deno.test("sppo judge says what is wrong with a model judge", async () => {
  await inTempFolder(async (cwd) => {
    await writeTinyModel(`${cwd}/tiny`);
    await writeLabels(`${cwd}/labels.jsonl`);
    const refusals = {
      "pair-rm:nowhere": /nowhere/,
      "reward:tiny": /it must have one head, score\.weight or value_head\.weight: none/,
      [`gpm:"${DATA}tiny_reward_llama"`]: /its head must have an even number of outputs: 1/,
    };
    for (const [judge, message] of Object.entries(refusals)) {
      const args = ["judge", "--judge", judge, "--input", "labels.jsonl", "--output", "-"];
      const { code, stderr } = await sppo(args, { cwd });
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
    }
  });
});
