import { strict as assert } from "node:assert";
import { isLowered } from "../../backends/onnx/lowering/mod.ts";
import { decoderTensors } from "../../models/architectures/mod.ts";
import { OPTIMIZERS } from "../../models/programs/optimizer.ts";
import { packSequences, planSequences } from "../../models/sequences.ts";
import {
  microBatchSizes,
  type TrainingMemory,
  trainingMemory,
  type TrainingPlan,
} from "../../models/training/memory.ts";
import { tinyConfig as config } from "../cli/_tiny_model.ts";

const plan: TrainingPlan = {
  lora: { rank: 4, alpha: 8, targets: ["all-linear"] },
  loss: { name: "sppo", beta: 1 },
  optimizer: OPTIMIZERS.adamw,
  tokensPerBatch: 512,
  checkpointing: false,
  weightBytes: 1000,
  promptTokens: 20,
  responseTokens: 12,
  rows: 16,
  isLowered,
};
const memory = (changes: Partial<TrainingPlan> = {}): TrainingMemory =>
  trainingMemory(config, { ...plan, ...changes });

Deno.test("microBatchSizes() is the size of the first batch that pairs are planned into", () => {
  for (const tokensPerBatch of [512, 200, 44, 43, 10]) {
    const pairs = Array.from({ length: 40 }, (_, index) => ({
      promptIds: Array<number>(20).fill(Math.floor(index / 2)),
      responseIds: Array<number>(12).fill(index),
    }));
    const [first] = planSequences(pairs, tokensPerBatch);
    const inputs = packSequences(first!.map((index) => pairs[index]!));
    const sizes = microBatchSizes({ ...plan, tokensPerBatch });
    assert.deepEqual([sizes.time], inputs.ids!.shape.slice(1));
    assert.deepEqual([sizes.prompts, sizes.prompt_time], inputs.prompt_tokens!.shape);
    assert.deepEqual([sizes.responses, sizes.response_time], inputs.response_tokens!.shape);
    assert.deepEqual([sizes.responses, sizes.key_time], inputs.key_tokens!.shape);
    assert.deepEqual([sizes.time, sizes.copies], inputs.key_places!.shape);
    assert.deepEqual([sizes.tokens], inputs.targets!.shape);
  }
});

Deno.test("trainingMemory() counts what is trained, and the activations of its program", () => {
  const { trained, gradients, moments, activations } = memory();
  assert.equal(trained, 2 * gradients);
  assert.equal(moments, 2 * gradients);
  const smaller = memory({ tokensPerBatch: 256 }).activations;
  assert.ok(smaller > 0.4 * activations && smaller < 0.6 * activations, `${smaller}`);
  assert.ok(memory({ checkpointing: true }).activations < activations);

  const { lora: _, ...rest } = plan;
  const all = trainingMemory(config, rest);
  const parameters = decoderTensors(config)
    .reduce((sum, { shape }) => sum + shape.reduce((size, length) => size * length, 1), 0);
  assert.equal(all.gradients, 4 * parameters);
  assert.equal(all.packed, 0);
});
