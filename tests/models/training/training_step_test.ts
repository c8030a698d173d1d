import assert from "node:assert/strict";
import { learningRateAt, type LocalPolicy, OPTIMIZERS } from "../../../models/mod.ts";
import { type PreparedGroup, prepareGroups } from "../../../models/training/prepare.ts";
import { takeStep } from "../../../models/training/step.ts";
import { assertNear, groups, loraModel } from "../_fit.ts";
import { LORA, sum, tinyAdapter, tinyModel, VOCAB_SIZE, withBackend } from "../_tiny_model.ts";

/** Relative; micro-batches add up gradients in another order. */
const GRADIENT_TOLERANCE = 1e-5;

/** Tokens of a micro-batch, parts of the vocabulary, and whether blocks are computed again. */
const SPLITS = [
  [2048, 1, false],
  [34, 1, false],
  [34, 3, true],
  [20, 1, false],
  [1, 1, false],
] as const;

/** Nats per token by which log-ratios are moved away from 0, where losses are at their simplest. */
const ANCHOR_SHIFT = 0.01;

/** The groups with log-probabilities near those of a policy. */
async function scored(policy: LocalPolicy): Promise<PreparedGroup[]> {
  const limits = { maxLength: 128, tooLong: "skip" } as const;
  const { groups: prepared } = prepareGroups(policy.model, groups, limits);
  const responses = prepared.flatMap((group) => group.responses);
  const logProbs = await policy.scoreSequences(responses);
  responses.forEach((response, index) => {
    response.anchorLogProbs = logProbs[index]!.map((value) => value - ANCHOR_SHIFT);
  });
  return prepared;
}

Deno.test("takeStep() adds up the same gradients in micro-batches as in one batch", () =>
  withBackend(async (backend) => {
    const optimizer = OPTIMIZERS.adamw;
    for (
      const [trainable, loss] of [
        [LORA, { name: "sppo", beta: 1 }],
        [{ kind: "all" }, { name: "sft" }],
        [LORA, { name: "dpo", beta: 0.3, against: "previous", labelSmoothing: 0.1 }],
        [LORA, { name: "kto-pair", beta: 0.3, against: "previous" }],
      ] as const
    ) {
      const { tensors, lora } = await tinyAdapter();
      assert.deepEqual(lora.rank, LORA.lora.rank);
      const results = [];
      for (
        const [tokensPerBatch, chunks, checkpointing] of SPLITS.filter(([tokens]) =>
          loss.name === "sft" || tokens !== 34
        )
      ) {
        const logitsBytes = Math.ceil(4 * tokensPerBatch * VOCAB_SIZE / chunks);
        const model = await tinyModel(backend, {
          trainable,
          tokensPerBatch,
          logitsBytes,
          checkpointing,
        });
        assert.equal(model.vocabularyChunks, chunks);
        const policy = trainable.kind === "lora"
          ? await model.policyFromTensors(tensors)
          : await model.policy();
        const prepared = await scored(policy);
        const running = await model.fit(policy, loss, optimizer);
        const options = { optimizer, learningRate: 0, maxGradNorm: 0, tokensPerBatch };
        await takeStep(running, options, prepared, 1); // leaves sums that must not be added to
        const metrics = await takeStep(running, options, prepared, 2);
        const values = new Map<string, Float32Array>();
        for (const { name } of running.trainable.tensors) {
          values.set(name, await running.gradients.read(name));
        }
        // Sums, weights and moments are updated where they are: no tensor has a second buffer.
        const bytes = 4 * running.trainable.tensors.reduce(
          (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
          0,
        );
        assert.equal(running.gradients.bytes, bytes);
        assert.equal(running.trained.bytes, bytes);
        assert.equal(running.moments.bytes, 2 * bytes);
        results.push({ metrics, values });
        await running.trained.dispose();
        await running.dispose();
        await model.dispose();
      }
      const [whole, ...parts] = results;
      for (const { metrics, values } of parts) {
        assert.ok(Math.abs(metrics.loss! / whole!.metrics.loss! - 1) < GRADIENT_TOLERANCE);
        assert.ok(
          Math.abs(metrics.grad_norm! / whole!.metrics.grad_norm! - 1) < GRADIENT_TOLERANCE,
        );
        for (const [name, expected] of whole!.values) {
          const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          assertNear(values.get(name)!, expected, GRADIENT_TOLERANCE * largest, name);
        }
      }
    }
  }));

Deno.test("takeStep() reports the gradients' norm and scales them down to the largest allowed", () =>
  withBackend(async (backend) => {
    const { model, policy } = await loraModel(backend);
    const optimizer = { ...OPTIMIZERS.rmsprop, alpha: 0 }; // √s = |g|, so a step is lr · sign(g)
    const running = await model.fit(policy, { name: "sppo", beta: 1 }, optimizer);
    const options = { optimizer, learningRate: 0, maxGradNorm: 0.5, tokensPerBatch: 99 };
    const unscored = prepareGroups(model, groups, { maxLength: 128, tooLong: "skip" }).groups;
    await assert.rejects(takeStep(running, options, unscored, 1), {
      name: "TypeError",
      message:
        /^Cannot take a step as each of \d+ response tokens must have its previous log-probability: none$/,
    });
    const prepared = await scored(policy);
    const { grad_norm } = await takeStep(running, options, prepared, 1);
    let squares = 0;
    let scaled = 0;
    for (const { name } of running.trainable.tensors) {
      squares += sum((await running.gradients.read(name)).map((value) => value ** 2));
      scaled += sum(await running.moments.read(`${name}.square_avg`)); // squares of scaled gradients
    }
    assert.ok(Math.abs(grad_norm! / Math.sqrt(squares) - 1) < 1e-5);
    assert.ok(grad_norm! > 0.5);
    assert.ok(Math.abs(Math.sqrt(scaled) / 0.5 - 1) < 1e-5, `${Math.sqrt(scaled)}`);
  }));

Deno.test("learningRateAt() gives the rates of transformers' schedulers", () => {
  // get_scheduler(name, num_warmup_steps, num_training_steps) of transformers 5.23, from step 0 on.
  const cases = [
    ["linear", 10, 0.2, [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]],
    ["linear", 7, 0.4, [0, 0.333333333, 0.666666667, 1, 0.75, 0.5, 0.25]], // ⌈2.8⌉ steps of warm-up
    [
      "cosine",
      10,
      0.2,
      [
        0,
        0.5,
        1,
        0.961939766,
        0.853553391,
        0.691341716,
        0.5,
        0.308658284,
        0.146446609,
        0.038060234,
      ],
    ],
    ["cosine", 7, 0.4, [0, 0.333333333, 0.666666667, 1, 0.853553391, 0.5, 0.146446609]],
    ["cosine", 5, 0, [1, 0.904508497, 0.654508497, 0.345491503, 0.095491503]],
    ["constant", 6, 0.3, [0, 0.5, 1, 1, 1, 1]],
  ] as const;
  for (const [schedule, totalSteps, warmupRatio, expected] of cases) {
    const options = { schedule, totalSteps, warmupRatio, learningRate: 2 };
    const rates = expected.map((_, step) => learningRateAt(step, options) / 2);
    assertNear(rates, expected, 1e-9, `${schedule} over ${totalSteps}`);
  }
  // Beyond its end a schedule stays where it ended.
  for (const schedule of ["linear", "cosine"] as const) {
    const options = { schedule, totalSteps: 4, warmupRatio: 0, learningRate: 1 };
    assertNear([4, 5, 9].map((step) => learningRateAt(step, options)), [0, 0, 0], 1e-12, schedule);
  }
});
