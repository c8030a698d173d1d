import { strict as assert } from "node:assert";
import { isLowered } from "../../../backends/onnx/lowering/mod.ts";
import { decoderTensors, layoutOf } from "../../../models/architectures/mod.ts";
import { OPTIMIZERS } from "../../../models/programs/optimizer.ts";
import { packSequences, planSequences } from "../../../models/sequences.ts";
import { type BatchSettings, keepMemory } from "../../../models/memory/keep_training.ts";
import { microBatchSizes, totalBytes } from "../../../models/memory/parts.ts";
import {
  memoryEstimator,
  type MemorySettings,
  type TrainingMemory,
  type TrainingTaskShape,
} from "../../../models/memory/training.ts";
import { tinyConfig as config } from "../../cli/_tiny_model.ts";

const LENGTHS = { promptTokens: 20, responseTokens: 12 };
const task: TrainingTaskShape = {
  lora: { rank: 4, alpha: 8, targets: ["all-linear"] },
  loss: { name: "sppo", beta: 1 },
  optimizer: OPTIMIZERS.adamw,
  weightBytes: 1000,
  packedBytes: 1000,
  keepsFit: false,
  iterations: 1,
  samples: 2,
  lengths: [LENGTHS],
  isLowered,
};
const settings: MemorySettings = {
  tokensPerBatch: 512,
  logitsBytes: 2 ** 29,
  checkpointing: false,
  sampledAdapter: "merged",
  rows: 16,
};
const estimate = memoryEstimator(config, task);
const memory = (changes: Partial<MemorySettings> = {}): TrainingMemory =>
  estimate({ ...settings, ...changes });

Deno.test("microBatchSizes() is the size of the first batch that pairs are planned into", () => {
  for (const tokensPerBatch of [512, 200, 44, 43, 10]) {
    const pairs = Array.from({ length: 40 }, (_, index) => ({
      promptIds: Array<number>(20).fill(Math.floor(index / 2)),
      responseIds: Array<number>(12).fill(index),
    }));
    const [first] = planSequences(pairs, tokensPerBatch);
    const inputs = packSequences(first!.map((index) => pairs[index]!));
    const sizes = microBatchSizes(tokensPerBatch, LENGTHS);
    assert.deepEqual([sizes.time], inputs.ids!.shape.slice(1));
    assert.deepEqual([sizes.prompts, sizes.prompt_time], inputs.prompt_tokens!.shape);
    assert.deepEqual([sizes.responses, sizes.response_time], inputs.response_tokens!.shape);
    assert.deepEqual([sizes.responses, sizes.key_time], inputs.own_key_tokens!.shape);
    assert.deepEqual(
      [sizes.prompts, sizes.prompt_time, sizes.copies],
      inputs.prompt_key_places!.shape,
    );
    assert.deepEqual([sizes.tokens], inputs.targets!.shape);
  }
});

Deno.test("memoryEstimator() counts what is trained, and the activations of its program", () => {
  const { trained, gradients, moments, activations } = memory();
  assert.equal(trained, 2 * gradients);
  assert.equal(moments, 2 * gradients);
  const smaller = memory({ tokensPerBatch: 256 }).activations;
  assert.ok(smaller > 0.4 * activations && smaller < 0.6 * activations, `${smaller}`);
  assert.ok(memory({ checkpointing: true }).activations < activations);

  const { lora: _, ...rest } = task;
  const all = memoryEstimator(config, { ...rest, packedBytes: 0 })(settings);
  const parameters = decoderTensors(config)
    .reduce((sum, { shape }) => sum + shape.reduce((size, length) => size * length, 1), 0);
  assert.equal(all.gradients, 4 * parameters);
  assert.equal(all.trained, all.gradients); // the weights are the start's
  assert.equal(all.kept, 2 * all.gradients);
});

Deno.test("memoryEstimator() counts no caches and no packed copy when nothing is sampled", () => {
  const { packed, caches } = memory({ rows: 0 });
  assert.deepEqual([packed, caches], [0, 0]);
  assert.equal(memory().packed, 1000);
});

Deno.test("memoryEstimator() counts the matrices that an adapter is merged into, where it is", () => {
  const { linear } = layoutOf(config);
  const elements = [...linear.values()].reduce((sum, one) => sum + one.inputs * one.outputs, 0);
  assert.equal(memory().merged, 4 * config.layers * elements);
  assert.equal(memory({ sampledAdapter: "apart" }).merged, 0);
  assert.equal(memory({ rows: 0 }).merged, 0);
  const on = (over: Partial<TrainingTaskShape>) => memoryEstimator(config, { ...task, ...over });
  const { inputs, outputs } = linear.get("query")!;
  const some = on({ lora: { rank: 4, alpha: 8, targets: ["q_proj"] } })(settings);
  assert.equal(some.merged, 4 * config.layers * inputs * outputs);
  // The start's packed copy is beside the policy's.
  assert.equal(on({ mixes: true })(settings).merged, memory().merged + 1000);
});

Deno.test("memoryEstimator() takes the lengths that take most", () => {
  const longer = { promptTokens: 60, responseTokens: 40 };
  const only = (lengths: TrainingTaskShape["lengths"]) =>
    memoryEstimator(config, { ...task, lengths })(settings).activations;
  assert.equal(
    only([LENGTHS, longer]),
    Math.max(only([LENGTHS]), only([longer])),
  );
});

const asked: BatchSettings = {
  tokensPerBatch: 1024,
  logitsBytes: 2 ** 29,
  checkpointing: false,
  sampledAdapter: "merged",
  promptsPerBatch: 32,
};
const total = (of: BatchSettings) =>
  totalBytes(estimate({ ...of, rows: Math.min(64, of.promptsPerBatch * 2) }));

Deno.test("keepMemory() keeps what was asked for when it fits", () => {
  const kept = keepMemory(asked, { budget: total(asked), samples: 2, estimate });
  assert.deepEqual(kept.settings, asked);
  assert.ok(kept.fits);
});

Deno.test("keepMemory() gives up what costs least time when it does not fit, and never exceeds", () => {
  const smallest = keepMemory(asked, { budget: 0, samples: 2, estimate });
  assert.ok(!smallest.fits);
  assert.deepEqual(smallest.settings, {
    tokensPerBatch: 64,
    logitsBytes: 2 ** 25,
    checkpointing: true,
    sampledAdapter: "apart",
    promptsPerBatch: 1,
  });
  const [most, least] = [total(asked), totalBytes(smallest.memory)];
  let before = asked.tokensPerBatch;
  for (const share of [0.9, 0.7, 0.5, 0.3, 0.1, 0]) {
    const budget = least + share * (most - least);
    const { settings, fits, memory } = keepMemory(asked, { budget, samples: 2, estimate });
    assert.ok(fits && totalBytes(memory) <= budget, `${share}`);
    assert.equal(totalBytes(memory), total(settings));
    assert.ok(settings.tokensPerBatch <= before);
    before = settings.tokensPerBatch;
  }
  const near = keepMemory(asked, { budget: most - 1, samples: 2, estimate }).settings;
  assert.ok(!near.checkpointing, JSON.stringify(near)); // it costs most
});
