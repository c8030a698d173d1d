// Adapters over weights that stay encoded.

import assert from "node:assert/strict";
import { fromFloat32 } from "../../../graph/mod.ts";
import { type Checkpoint, LanguageModel, loraTensors, OPTIMIZERS } from "../../../models/mod.ts";
import { prepareGroups } from "../../../models/training/prepare.ts";
import { takeStep } from "../../../models/training/step.ts";
import { randomNumbers } from "../../graph/_cases.ts";
import { assertNear, groups } from "../_fit.ts";
import { quantised } from "../_quantised.ts";
import { LORA, withBackend } from "../_tiny_model.ts";

/** Relative; float32 sums in another order, through two blocks. */
const TOLERANCE = 1e-4;
const LOSS = { name: "sppo", beta: 1 } as const;
const LENGTHS = { maxLength: 128, tooLong: "skip" } as const;

/** Loads a model with an adapter that is not zero, takes a step, and says what came of it. */
async function step(checkpoint: Checkpoint, keepEncoded: boolean, checkpointing = false) {
  let result: { logProbs: Float32Array[]; gradients: Map<string, Float32Array>; bytes: number };
  await withBackend(async (backend) => {
    const options = { template: "none", trainable: LORA, keepEncoded, checkpointing } as const;
    const model = await LanguageModel.load(checkpoint, backend, options);
    const random = randomNumbers(9);
    const tensors = loraTensors(model.config, LORA.lora).map(({ name, shape }) => {
      const data = Float32Array.from({ length: shape[0]! * shape[1]! }, () => random() - 0.5);
      return [name, { shape, data }] as const;
    });
    const policy = await model.policyFromTensors(new Map(tensors));
    const prepared = prepareGroups(model, groups, LENGTHS).groups;
    const responses = prepared.flatMap((group) => group.responses);
    const logProbs = await policy.scoreSequences(responses);
    responses.forEach((response, index) => response.anchorLogProbs = logProbs[index]!);
    const fit = await model.fit(policy, LOSS, OPTIMIZERS.adamw);
    const { tokensPerBatch } = model;
    const how = { optimizer: OPTIMIZERS.adamw, learningRate: 1e-3, maxGradNorm: 0, tokensPerBatch };
    await takeStep(fit, how, prepared, 1);
    const gradients = new Map<string, Float32Array>();
    for (const { name } of fit.trainable.tensors) {
      gradients.set(name, await fit.gradients.read(name));
    }
    result = { logProbs, gradients, bytes: model.weightBytes };
    await fit.trained.dispose();
    await fit.dispose();
    await model.dispose();
  });
  return result!;
}

for (const encoding of ["q4_0", "q4_1", "q8_0"] as const) {
  Deno.test(`training an adapter over ${encoding} weights is that over the decoded ones`, async () => {
    const checkpoint = await quantised(encoding, encoding !== "q4_0");
    const decoded = await step(checkpoint, false);
    for (const checkpointing of [false, true]) {
      const encoded = await step(checkpoint, true, checkpointing);
      assert.ok(encoded.bytes < decoded.bytes / 2, `${encoded.bytes} of ${decoded.bytes}`);
      decoded.logProbs.forEach((values, index) =>
        assertNear(encoded.logProbs[index]!, values, TOLERANCE * 10, "log-probability")
      );
      for (const [name, values] of decoded.gradients) {
        const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        assert.ok(largest > 0, name);
        assertNear(encoded.gradients.get(name)!, values, TOLERANCE * largest, name);
      }
    }
  });
}

Deno.test("LanguageModel.load() refuses to keep weights encoded that are not, or that are trained", () =>
  withBackend(async (backend) => {
    const checkpoint = await quantised("q8_0");
    await assert.rejects(
      LanguageModel.load(checkpoint, backend, {
        template: "none",
        trainable: { kind: "all" },
        keepEncoded: true,
      }),
      {
        name: "TypeError",
        message: "Cannot keep the weights encoded as they must not be trained: all are (train an " +
          "adapter)",
      },
    );
    const tensors = new Map([...checkpoint.tensors].map(([name, { shape }]) => {
      const length = shape.reduce((a, b) => a * b);
      return [name, fromFloat32(name, shape, new Float32Array(length))];
    }));
    await assert.rejects(
      LanguageModel.load({ ...checkpoint, tensors }, backend, {
        template: "none",
        keepEncoded: true,
      }),
      {
        name: "TypeError",
        message: /^Cannot keep the weights encoded as the onnx backend must keep some/,
      },
    );
  }));
