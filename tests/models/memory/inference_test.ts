import { strict as assert } from "node:assert";
import { isLowered } from "../../../backends/onnx/lowering/mod.ts";
import {
  inferenceEstimator,
  type InferenceSettings,
  type InferenceTaskShape,
  keepInferenceMemory,
} from "../../../models/memory/inference.ts";
import { type RunMemory, totalBytes } from "../../../models/memory/parts.ts";
import { cacheBytesPerToken } from "../../../models/programs/decode.ts";
import { tinyConfig as config } from "../../cli/_tiny_model.ts";

const MIB = 2 ** 20;
const task: InferenceTaskShape = {
  kind: "sampling",
  weightBytes: (keepEncoded) =>
    keepEncoded ? { held: 10 * MIB, packed: 11 * MIB } : { held: 40 * MIB, packed: 40 * MIB },
  storedBytes: 9 * MIB,
  samples: 4,
  lengths: [{ promptTokens: 20, responseTokens: 30 }, { promptTokens: 50, responseTokens: 30 }],
  isLowered,
};
const settings: InferenceSettings = {
  slots: 64,
  tokensPerBatch: 1024,
  keepEncoded: false,
  sampledAdapter: "apart",
};

Deno.test("inferenceEstimator() counts the caches of the rows that are decoded and prefilled", () => {
  const estimate = inferenceEstimator(config, task);
  // 80 tokens stand in a capacity of 128; of 64 rows of 16 prompts 8 prompts are prefilled at a time.
  const row = 128 * cacheBytesPerToken(config);
  assert.equal(estimate(settings).caches, (64 + 8) * row);
  assert.equal(estimate({ ...settings, slots: 4 }).caches, (4 + 1) * row);
  assert.ok(estimate({ ...settings, slots: 4 }).activations < estimate(settings).activations);
  const { weights, packed } = estimate({ ...settings, keepEncoded: true });
  assert.deepEqual([weights, packed], [10 * MIB, 11 * MIB]);
  const more = inferenceEstimator(config, { ...task, storedBytes: 29 * MIB })(settings).program;
  assert.equal(more - estimate(settings).program, 20 * MIB);
});

Deno.test("inferenceEstimator() counts an adapter, and nothing of sampling when it scores", () => {
  const scoring: InferenceTaskShape = { ...task, kind: "scoring", samples: 1 };
  const estimate = inferenceEstimator(config, scoring);
  const { packed, caches, trained, activations } = estimate(settings);
  assert.deepEqual([packed, caches, trained], [0, 0, 0]);
  const half = estimate({ ...settings, tokensPerBatch: 512 }).activations;
  assert.ok(half > 0.4 * activations && half < 0.6 * activations, `${half} of ${activations}`);
  const lora = { rank: 4, alpha: 8, targets: ["q_proj"] };
  const merges = { ...settings, sampledAdapter: "merged" } as const;
  assert.equal(inferenceEstimator(config, { ...task, lora })(merges).merged, 2 * 4 * 16 * 16);
  assert.equal(inferenceEstimator(config, { ...scoring, lora })(merges).merged, 0);
  // 2 layers, 16 wide: A [4, 16] and B [16, 4] of each.
  assert.equal(
    inferenceEstimator(config, { ...scoring, lora })(settings).trained,
    2 * 4 * (4 * 16 + 16 * 4),
  );
});

const kinds = {
  sampling: { asked: settings, least: { slots: 4, keepEncoded: true } },
  scoring: { asked: settings, least: { tokensPerBatch: 64, keepEncoded: true } },
} as const;

for (const [kind, { asked, least }] of Object.entries(kinds)) {
  Deno.test(`keepInferenceMemory() never exceeds, and gives up least, for ${kind}`, () => {
    const of = { ...task, kind: kind as keyof typeof kinds };
    const estimate = inferenceEstimator(config, of);
    const total = (settings: InferenceSettings) => totalBytes(estimate(settings));
    const options = { ...of, couldKeepEncoded: true, estimate };
    const plenty = keepInferenceMemory(asked, { ...options, budget: total(asked) });
    assert.deepEqual([plenty.settings, plenty.fits], [asked, true]);
    const smallest = keepInferenceMemory(asked, { ...options, budget: 0 });
    assert.deepEqual([smallest.settings, smallest.fits], [{ ...asked, ...least }, false]);

    const [most, few] = [total(asked), totalBytes(smallest.memory)];
    for (const share of [0.99, 0.8, 0.5, 0.2, 0]) {
      const budget = few + share * (most - few);
      const kept = keepInferenceMemory(asked, { ...options, budget });
      assert.ok(kept.fits && total(kept.settings) <= budget, `${share}`);
      assert.equal(totalBytes(kept.memory), total(kept.settings));
    }
  });
}

Deno.test("keepInferenceMemory() takes what costs less first, and encodes weights only where that may be", () => {
  // Weights of 100 MiB or 20, a copy of 90 that an adapter is merged into, and a MiB for each row.
  const estimate = (
    { slots, keepEncoded, sampledAdapter }: InferenceSettings,
  ): RunMemory => ({
    ...{ program: 0, packed: 0, caches: 0, trained: 0 },
    merged: sampledAdapter === "merged" ? 90 * MIB : 0,
    weights: (keepEncoded ? 20 : 100) * MIB,
    activations: slots * MIB,
  });
  const options = { kind: "sampling", samples: 3, estimate } as const;
  const keep = (budget: number, couldKeepEncoded: boolean) => {
    const { settings: { slots, keepEncoded }, fits } = keepInferenceMemory(settings, {
      ...{ ...options, couldKeepEncoded },
      budget: budget * MIB,
    });
    return { slots, keepEncoded, fits };
  };
  assert.deepEqual(keep(135, true), { slots: 32, keepEncoded: false, fits: true });
  assert.deepEqual(keep(120, true), { slots: 64, keepEncoded: true, fits: true });
  assert.deepEqual(keep(120, false), { slots: 16, keepEncoded: false, fits: true });
  assert.deepEqual(keep(30, true), { slots: 8, keepEncoded: true, fits: true });
  assert.deepEqual(keep(22, true), { slots: 3, keepEncoded: true, fits: false });

  const merging = (budget: number) =>
    keepInferenceMemory({ ...settings, sampledAdapter: "merged" }, {
      ...{ ...options, couldKeepEncoded: true },
      budget: budget * MIB,
    }).settings;
  assert.deepEqual(merging(255), { ...settings, sampledAdapter: "merged" });
  assert.deepEqual(merging(250), settings);
  assert.deepEqual(merging(120), { ...settings, keepEncoded: true });
});
