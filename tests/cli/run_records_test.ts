import { strict as assert } from "node:assert";
import { estimateWinRates } from "../../core/estimators.ts";
import { openRunFolder } from "../../cli/run_folder.ts";
import { runRecorder } from "../../cli/run_records.ts";
import { filesBelow, inTempFolder } from "./_run.ts";

Deno.test("runRecorder() takes chosen_probs of the estimator's table, preferences of the judge's", async () => {
  await inTempFolder(async (cwd) => {
    using folder = await openRunFolder(`${cwd}/run`);
    await using recorder = runRecorder(folder, { baseModel: "m", policyFolder: "adapter" });
    // The judge says 0.9; its logits differ by 2, which at temperature 2 is σ(1).
    const judgement = {
      size: 2,
      preferences: Float64Array.of(0.5, 0.9, 0.1, 0.5),
      mask: Uint8Array.of(1, 1, 1, 1),
      logits: Float64Array.of(0, 2, 0, 0),
    };
    const { winRates, preferences } = estimateWinRates(judgement, { preferenceTemperature: 2 });
    const sampled = {
      prompt: { id: "p", content: "?" },
      responses: [{ text: "a" }, { text: "b" }],
    };
    const iteration = 1, restored = false, stage = "judge";
    await recorder.record({ type: "stage-started", iteration, stage, total: 1 });
    await recorder.record({
      ...{ type: "judged", iteration, sampled, judgement, preferences, winRates },
      ...{ selected: [0, 1], restored },
    });
    await recorder.record({ type: "stage-finished", iteration, stage });
    const read = async (name: string) =>
      JSON.parse(await Deno.readTextFile(`${cwd}/run/iteration-1/${name}.jsonl`));
    const pair = await read("pairs");
    assert.ok(Math.abs(pair.chosen_probs - Math.E / (Math.E + 1)) < 1e-12);
    assert.equal(pair.chosen_probs_win, (0.5 + pair.chosen_probs) / 2);
    assert.deepEqual((await read("preferences")).preferences, [[0.5, 0.9], [0.1, 0.5]]);
  });
});

Deno.test("runRecorder() leaves nothing of a stage that did not end, nor the held-out of another iteration", async () => {
  await inTempFolder(async (cwd) => {
    using folder = await openRunFolder(`${cwd}/run`);
    const sampled = { prompt: { id: "p", content: "?" }, responses: [{ text: "a" }] };
    const restored = false;
    {
      await using recorder = runRecorder(folder, { baseModel: "m", policyFolder: "adapter" });
      const stage = "evaluate";
      await recorder.record({ type: "stage-started", iteration: 2, stage, total: 1 });
      await recorder.record({ type: "held-out", iteration: 1, sampled, restored });
      await recorder.record({ type: "held-out", iteration: 2, sampled, restored });
      await recorder.record({ type: "stage-finished", iteration: 2, stage });
      await recorder.record({ type: "stage-started", iteration: 3, stage: "generate", total: 2 });
      await recorder.record({ type: "sampled", iteration: 3, sampled, restored });
    }
    assert.deepEqual(
      [...(await filesBelow(`${cwd}/run`, [".lock"])).keys()],
      ["iteration-2/held_out.jsonl"],
    );
    const held = await Deno.readTextFile(`${cwd}/run/iteration-2/held_out.jsonl`);
    assert.equal(held, '{"prompt_id":"p","prompt":"?","responses":[{"text":"a"}]}\n');
  });
});
