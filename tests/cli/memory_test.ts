// --memory of the commands that have it.

import { strict as assert } from "node:assert";
import { keepToMemory } from "../../cli/train/memory_plan.ts";
import type { MemorySettings, TrainingMemory } from "../../models/memory/training.ts";
import { inTempFolder, sppo } from "./_run.ts";
import { writeTinyModel } from "./_tiny_model.ts";

const MIB = 2 ** 20;

/** A MiB for each token of a batch, half of it with checkpointing, 400 to merge, and 100 for the rest. */
const estimate = (
  { tokensPerBatch, checkpointing, sampledAdapter }: MemorySettings,
): TrainingMemory => ({
  ...{ program: 100 * MIB, weights: 0, packed: 0, caches: 0, trained: 0, gradients: 0, moments: 0 },
  merged: sampledAdapter === "merged" ? 400 * MIB : 0,
  activations: tokensPerBatch * MIB / (checkpointing ? 2 : 1),
  kept: 0,
});
const values = {
  tokensPerBatch: 1024,
  logitsMemory: 512 * MIB,
  checkpointing: false,
  promptsPerBatch: 32,
  samples: 2,
  sampledAdapter: "auto",
  other: "kept",
} as const;
const options = { estimate, sampling: true, merges: false, fixed: false };

Deno.test("keepToMemory() changes what it must and says so when the memory is short", () => {
  const plenty = keepToMemory(values, { ...options, memory: 2048 * MIB });
  assert.deepEqual(plenty.values, values);
  assert.equal(plenty.line, "Memory: about 1.10 GiB at the peak, within --memory 2.00 GiB");

  const short = keepToMemory(values, { ...options, memory: 750 * MIB });
  assert.deepEqual(short.values, { ...values, tokensPerBatch: 512 });
  assert.equal(
    short.line,
    "Memory: about 612 MiB at the peak, within --memory 750 MiB, with --tokens-per-batch 512",
  );
  const none = keepToMemory(values, { ...options, sampling: false, memory: 750 * MIB });
  assert.equal(none.values.promptsPerBatch, 32);
});

Deno.test("keepToMemory() has the adapter apart before batches are halved, and says so", () => {
  const merging = { ...options, merges: true };
  const plenty = keepToMemory(values, { ...merging, memory: 2048 * MIB });
  assert.deepEqual(plenty.values, values);
  assert.match(plenty.line, /^Memory: about 1.49 GiB at the peak, within --memory 2.00 GiB$/);

  const short = keepToMemory(values, { ...merging, memory: 1500 * MIB });
  assert.deepEqual(short.values, { ...values, sampledAdapter: "apart" });
  assert.match(short.line, /^Memory: about 1.10 GiB .*, with --sampled-adapter apart$/);
  // Where nothing is sampled there is nothing to merge.
  const none = keepToMemory(values, { ...merging, sampling: false, memory: 1500 * MIB });
  assert.deepEqual(none.values, values);
});

Deno.test("keepToMemory() refuses and names what would fit when the smallest does not", () => {
  assert.throws(() => keepToMemory(values, { ...options, memory: 120 * MIB }), {
    name: "RangeError",
    message:
      /^Cannot keep to --memory 120 MiB as the smallest batches \(--tokens-per-batch 64 --checkpointing --prompts-per-batch 1 --logits-memory 32.0MiB\) must fit: about 132 MiB \(program 100 MiB, activations 32.0 MiB, .*\); give --memory 159MiB$/,
  });
  assert.throws(
    () => keepToMemory(values, { ...options, fixed: true, memory: 750 * MIB }),
    /as the run, as it was begun, must fit: about 1.10 GiB/,
  );
  const could = { ...options, memory: 120 * MIB, couldKeepEncoded: true };
  assert.throws(() => keepToMemory(values, could), /, or --keep-encoded, which takes less/);
});

Deno.test("sppo train --memory keeps to it, records how, and goes on so, or refuses", async () => {
  await inTempFolder(async (cwd) => {
    await writeTinyModel(`${cwd}/tiny`);
    await Deno.writeTextFile(`${cwd}/p.txt`, "Why?\nHow so?\nWho?\n");
    const train = [
      ...["train", "--model", "tiny", "--prompts", "p.txt", "--judge", "characters:6-9"],
      ...["--iterations", "1", "--samples", "2", "--max-tokens", "6", "--threads", "1"],
      ...["--out", "run"],
    ];
    const refused = await sppo([...train, "--memory", "64MiB"], { cwd });
    assert.equal(refused.code, 2);
    assert.match(
      refused.stderr,
      /^sppo train: Cannot keep to --memory 64.0 MiB as .*; give --memory \d+MiB\n$/,
    );

    const large = ["--tokens-per-batch", "500000"];
    const kept = await sppo([...train, ...large, "--memory", "0.5 GiB"], { cwd });
    assert.equal(kept.code, 0, kept.stderr);
    const [, tokens] = /within --memory 512 MiB, with .*--tokens-per-batch (\d+)/.exec(
      kept.stderr,
    )!;
    const config = JSON.parse(await Deno.readTextFile(`${cwd}/run/config.json`));
    assert.equal(config.tokens_per_batch, Number(tokens));
    assert.equal(config.memory, 512 * MIB);
    const again = await sppo(["train", "--out", "run"], { cwd });
    assert.equal(again.code, 0, again.stderr);

    const wrong = await sppo([...train, "--memory", "much"], { cwd });
    assert.match(
      wrong.stderr,
      /Cannot use --memory as it must be a size such as 8GiB, .*: much\n$/,
    );
    const web = await sppo(
      [...train, "--out", "web", "--memory", "1GB", "--backend", "reference"],
      { cwd },
    );
    assert.match(web.stderr, /as the memory of --backend must be known/);
  });
});

/** The peak that a command reports, in bytes, and what it says of it. */
function reportedPeak(stderr: string): { readonly bytes: number; readonly said: string } {
  const [, size, unit, said] = /^Peak memory ([\d.]+) (MiB|GiB)(.*)$/m.exec(stderr)!;
  return { bytes: Number(size) * (unit === "GiB" ? 1024 : 1) * MIB, said: said! };
}

Deno.test("sppo generate and score --memory keep to it, or refuse before the start", async () => {
  await inTempFolder(async (cwd) => {
    const prompts = Array.from({ length: 30 }, (_, index) => `What does bird ${index} eat?`);
    await Deno.writeTextFile(`${cwd}/p.txt`, prompts.join("\n"));
    const place = ["--model", "embedded", "--threads", "1"];
    const generate = ["generate", ...place, "--input", "p.txt", "--output", "r.jsonl"]
      .concat("--samples", "3", "--max-tokens", "24");
    const refused = await sppo([...generate, "--memory", "64MiB"], { cwd });
    assert.equal(refused.code, 2);
    assert.match(
      refused.stderr,
      /^sppo generate: Cannot keep to --memory 64.0 MiB as the work in the smallest pieces \(--slots 3\) must fit: about .* \(program .*\); give --memory \d+MiB, or fewer --samples\n$/,
    );

    // What the refusal says will do does.
    const least = /give (--memory) (\d+MiB)/.exec(refused.stderr)!.slice(1);
    const kept = await sppo([...generate, ...least], { cwd });
    assert.equal(kept.code, 0, kept.stderr);
    assert.match(kept.stderr, /^Memory: about \d+ MiB at the peak, within .*, with --slots \d/m);
    const peak = reportedPeak(kept.stderr);
    assert.ok(peak.bytes <= Number.parseInt(least[1]!) * MIB, kept.stderr);
    assert.match(peak.said, /^, within --memory/);

    // As many responses as without, whatever fits side by side.
    const lines = (await Deno.readTextFile(`${cwd}/r.jsonl`)).trim().split("\n").map((line) =>
      JSON.parse(line) as { prompt: string; responses: { text: string; token_ids: number[] }[] }
    );
    assert.deepEqual(lines.map(({ prompt }) => prompt), prompts);
    const pairs = lines.flatMap(({ prompt, responses }) =>
      responses.map(({ text: response, token_ids }) => ({ prompt, response, token_ids }))
    );
    await Deno.writeTextFile(
      `${cwd}/s.jsonl`,
      pairs.map((pair) => JSON.stringify(pair)).join("\n"),
    );
    const score = ["score", ...place, "--input", "s.jsonl"];
    const small = await sppo([...score, "--memory", "64MiB"], { cwd });
    assert.equal(small.code, 2);
    assert.match(small.stderr, /in the smallest pieces \(--tokens-per-batch 64\) must fit/);
    const scored = await sppo(
      [...score, "--tokens-per-batch", "200000", "--memory", "600MiB"],
      { cwd },
    );
    assert.equal(scored.code, 0, scored.stderr);
    assert.match(scored.stderr, /^Memory: .*, with --tokens-per-batch \d+$/m);
    assert.match(reportedPeak(scored.stderr).said, /^, within --memory 600 MiB$/);
    assert.equal(scored.stdout.trim().split("\n").length, pairs.length);

    const web = await sppo([...score, "--memory", "1GiB", "--backend", "reference"], { cwd });
    assert.match(web.stderr, /as the memory of --backend must be known/);
  });
});
