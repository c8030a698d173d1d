// What sppo info says of time: measured rates times counts.

import { strict as assert } from "node:assert";
import { expectedSteps } from "../../cli/train/decoding_steps.ts";
import { describeTime, runCounts, timeOf, type TimeValues } from "../../cli/train/train_time.ts";
import { ratesOfAll, type RunRates } from "../../models/training/run_rates.ts";
import { inTempFolder, sppo } from "./_run.ts";
import { writeTinyModel } from "./_tiny_model.ts";

const values: TimeValues = {
  ...{ promptTokens: 10, maxTokens: 21, promptCount: 100, promptsPerBatch: 32, samples: 4 },
  ...{ iterations: 2, promptsPerIteration: "split", epochs: 3, batch: 8, tokensPerBatch: 1024 },
};

Deno.test("runCounts() counts what the run's batches come to", () => {
  const { steps, ...counts } = runCounts(values);
  // 50 prompts an iteration: 7 steps an epoch.
  assert.deepEqual(counts, {
    ...{ prompts: 100, scored: 100, fitted: 300 },
    optimizerSteps: 2 * 3 * 7,
  });
  // 16 prompts of 4 samples fill the slots: batches of 32 and of 18 prompts are 16, 16, 16 and 2, each of
  // 20 steps after the prefill.
  assert.deepEqual([...steps], [[16, 2 * 3 * 20], [2, 2 * 20]]);

  const repeated = runCounts({ ...values, promptsPerIteration: "repeat" });
  assert.equal(repeated.fitted, 600);
  // More samples than slots are decoded a prompt at a time.
  assert.deepEqual([...runCounts({ ...values, samples: 100 }).steps], [[1, 100 * 20]]);
});

Deno.test("expectedSteps() is half of the steps of all that a policy answers", () => {
  const trained = { prompts: 50, promptsPerBatch: 32, samples: 4, maxTokens: 21 };
  // Batches of 32 and 18 prompts are 16, 16, 16 and 2; of 10 held out 10.
  const heldOut = { ...trained, prompts: 10 };
  assert.equal(expectedSteps([trained, heldOut]), (4 + 1) * 20 / 2);
  assert.equal(expectedSteps([{ ...trained, slots: 8 }]), 25 * 20 / 2);
  assert.equal(expectedSteps([{ ...trained, prompts: 0 }]), 0);
});

const rates: RunRates = {
  ...{ loading: 2, compiling: 5, prefill: 0.5, fewRows: 1, allRows: 4 },
  ...{ scoring: 0.1, gradient: 0.2, optimizer: 0.3 },
};

Deno.test("timeOf() is measured rates times counts, of rows in between as many more", () => {
  const counts = {
    ...{ prompts: 10, steps: new Map([[16, 5], [6, 2]]), scored: 10, fitted: 30 },
    optimizerSteps: 4,
  };
  // A step of 16 prompts takes 4, of 6 prompts 1 + 3 · 5/15 = 2.
  const time = timeOf(counts, rates, 16);
  const close = (actual: number, expected: number) =>
    assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} is not ${expected}`);
  close(time.starting, 7);
  close(time.sampling, 10 * 0.5 + 5 * 4 + 2 * 2);
  close(time.scoring, 1);
  close(time.fitting, 30 * 0.2 + 4 * 0.3);
  close(timeOf({ ...counts, steps: new Map([[1, 3]]) }, rates, 1).sampling, 5 + 3);
});

Deno.test("ratesOfAll() adds what a block takes for each that was not measured", () => {
  const few: RunRates = { ...rates, gradient: 0.1, allRows: 5 };
  const all = ratesOfAll(few, rates, [1, 3], 30);
  // 0.05 a block, and 27 more of them.
  assert.ok(Math.abs(all.gradient - (0.2 + 27 * 0.05)) < 1e-9);
  // More than in proportion, less than by the square, as SmolLM2-135M's 0.07, 0.22 and 11.8 s.
  const smol = ratesOfAll(
    { ...rates, compiling: 0.07 },
    { ...rates, compiling: 0.22 },
    [1, 3],
    30,
  );
  assert.ok(smol.compiling > 11 && smol.compiling < 13.5, `${smol.compiling}`);
  assert.equal(all.scoring, rates.scoring);
  assert.equal(all.allRows, rates.allRows); // noise makes no block take less than nothing
});

Deno.test("describeTime() says that it estimates, and from what", () => {
  const counts = runCounts(values);
  const measured = { rates, blocks: [1, 3] };
  const described = describeTime(
    { counts, measured, time: { starting: 7, sampling: 20, scoring: 3, fitting: 60 } },
    { layers: 30 },
  );
  assert.deepEqual(described, [
    ["training lasts", "~ 2 min"],
    ["  starting", "~ 7.0 s"],
    ["  sampling", "~ 20 s, 100 prompts, 160 decoding steps"],
    ["  scoring", "~ 3.0 s, 100 pairs"],
    ["  fitting", "~ 60 s, 42 steps"],
    ["  measured on", "the first 1 and the first 3 of 30 blocks, for a moment"],
  ]);
});

Deno.test("sppo info measures what is trained, an adapter or all weights", async () => {
  await inTempFolder(async (cwd) => {
    await writeTinyModel(`${cwd}/tiny`);
    const info = ["info", "--model", "tiny", "--threads", "1", "--max-tokens", "8"]
      .concat("--prompt-tokens", "16", "--prompt-count", "12", "--samples", "2");
    for (const trainable of ["lora", "all"]) {
      const { code, stdout, stderr } = await sppo([...info, "--trainable", trainable], { cwd });
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^training lasts {3}~ [\d.]+ s$/m);
      // 4 prompts an iteration: a step of 5 pairs at most in each of 3 epochs.
      assert.match(stdout, /^ {2}fitting {8}~ [\d.]+ s, 9 steps$/m);
      assert.match(stdout, /^ {2}measured on {4}the whole model, for a moment$/m);
    }
    await Deno.remove(`${cwd}/tiny/tokenizer.json`);
    const mute = await sppo(info, { cwd });
    assert.equal(mute.code, 0, mute.stderr);
    assert.match(mute.stdout, /^tokenizer {8}unusable: .*$/m);
    assert.match(mute.stdout, /^training takes .*$/m);
    assert.doesNotMatch(mute.stdout, /lasts/);
  });
});

Deno.test("sppo info --preset has the preset's batches and passes", async () => {
  await inTempFolder(async (cwd) => {
    await writeTinyModel(`${cwd}/tiny`);
    const info = ["info", "--model", "tiny", "--threads", "1", "--max-tokens", "8"]
      .concat("--prompt-tokens", "16", "--prompt-count", "12", "--samples", "2");
    const paper = await sppo([...info, "--preset", "paper"], { cwd });
    assert.match(paper.stdout, /, 3 steps$/m);
  });
});
