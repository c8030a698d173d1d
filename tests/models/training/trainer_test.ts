// Fitting the tiny random Llama on the onnx backend. Parity with PyTorch is in llama_parity_test.ts.

import assert from "node:assert/strict";
import { memoryJournal } from "../../../core/mod.ts";
import {
  bytesSource,
  lmTrainer,
  loadAdapter,
  type LocalPolicy,
  openCheckpoint,
  openSafetensors,
  type TrainingOptions,
} from "../../../models/mod.ts";
import { prepareGroups } from "../../../models/training/prepare.ts";
import { assertNear, BETA, fit, groups, loraModel, OPTIONS } from "../_fit.ts";
import { groupLogProbs, promptOf, sum, tinyModel, withBackend } from "../_tiny_model.ts";

/** Log-ratios before the first step come from the same program twice: only sums of tokens round. */
const ZERO_TOLERANCE = 1e-5;

const responseSums = async (policy: LocalPolicy) => (await groupLogProbs(policy, groups)).map(sum);

Deno.test("lmTrainer() starts at log-ratios of 0, whatever the batches", () =>
  withBackend(async (backend) => {
    for (const tokensPerBatch of [2048, 30, 1]) {
      const { policy } = await loraModel(backend, { tokensPerBatch });
      for (const batchSize of [3, 1]) {
        const { steps: [first] } = await fit(policy, { batchSize });
        for (const name of ["log_ratios/chosen", "log_ratios/rejected", "rewards/margins"]) {
          assert.ok(Math.abs(first![name]!) <= ZERO_TOLERANCE, `${name}: ${first![name]}`);
        }
      }
    }
  }));

Deno.test("lmTrainer() starts at log-ratios of 0 when responses have hundreds of tokens", () =>
  withBackend(async (backend) => {
    const long = groups.map(({ prompt, responses }, group) => ({
      prompt,
      responses: responses.map((one, index) => ({
        ...one,
        response: {
          text: "",
          tokenIds: Array.from(
            { length: 256 + 64 * index + 10 * group },
            (_, at) => 3 + (at * at + 7 * index) % 60,
          ),
        },
      })),
    }));
    for (const tokensPerBatch of [4096, 700, 1]) {
      const { policy } = await loraModel(backend, { tokensPerBatch, maxPositions: 512 });
      for (const batchSize of [3, 1]) {
        const { steps: [first] } = await fit(policy, { batchSize }, { train: long });
        for (const name of ["log_ratios/chosen", "log_ratios/rejected"]) {
          assert.ok(Math.abs(first![name]!) <= ZERO_TOLERANCE, `${name}: ${first![name]}`);
        }
      }
    }
  }));

Deno.test("lmTrainer() with sppo raises the chosen, lowers the rejected and brings down the loss", () =>
  withBackend(async (backend) => {
    const { policy } = await loraModel(backend);
    const before = await responseSums(policy);
    const { steps, policy: fitted } = await fit(policy, { epochs: 40 });
    assert.equal(steps.length, 40);
    const [first, last] = [steps[0]!, steps.at(-1)!];
    // At log-ratios of 0 the loss is the mean over pairs of half the sum of squared targets.
    const start = sum(groups.map(({ responses: [a, b] }) => (a!.target ** 2 + b!.target ** 2) / 2));
    assert.ok(Math.abs(first.loss! - start / groups.length) < 1e-5, `${first.loss}`);
    assert.ok(Math.abs(first["loss/normalized"]! - first.loss! * BETA ** 2) < 1e-9);
    assert.ok(last.loss! < 0.02 * first.loss!, `${first.loss} to ${last.loss}`);
    assert.ok(last["log_ratios/chosen"]! > 0.1 && last["log_ratios/rejected"]! < -0.1);
    assert.equal(last["rewards/accuracies"], 1);
    const chosen = last["rewards/chosen"]!;
    assert.ok(Math.abs(chosen - BETA * last["log_ratios/chosen"]!) < 1e-9);
    assert.ok(Math.abs(last["rewards/margins"]! - (chosen - last["rewards/rejected"]!)) < 1e-9);
    assert.deepEqual(
      [last.step, last.epoch, last.total_steps, last.iteration, last.learning_rate],
      [40, 40, 40, 1, 5e-3],
    );
    // The targets are reached by the policy itself, as its scorer sees it.
    const ratios = (await responseSums(fitted)).map((value, index) => value - before[index]!);
    const targets = groups.flatMap(({ responses }) => responses.map(({ target }) => target));
    assertNear(ratios, targets, 0.1, "log-ratio");
  }));

Deno.test("lmTrainer() leaves the policies given as they were and returns one of another id", () =>
  withBackend(async (backend) => {
    const { policy } = await loraModel(backend);
    const before = await groupLogProbs(policy, groups);
    const { policy: first } = await fit(policy, { epochs: 3 });
    const { policy: second } = await fit(first, { epochs: 3 }, { iteration: 2 });
    assert.deepEqual(await groupLogProbs(policy, groups), before);
    assert.equal(new Set([policy.id, first.id, second.id]).size, 3);
    const after = await groupLogProbs(first, groups);
    await second.dispose();
    assert.deepEqual(await groupLogProbs(first, groups), after);
    assert.notDeepEqual(after, before);
  }));

Deno.test("lmTrainer() starts the optimizer anew in each fit", () =>
  withBackend(async (backend) => {
    const { policy } = await loraModel(backend);
    const journals = [memoryJournal(), memoryJournal()];
    for (const journal of journals) await fit(policy, { epochs: 2 }, { journal });
    const [first, second] = journals.map((journal) => journal.read("policy.safetensors"));
    assert.deepEqual(await first, await second);
  }));

Deno.test("lmTrainer() visits the groups in an order of the seed and the iteration", () =>
  withBackend(async (backend) => {
    const { policy } = await loraModel(backend);
    const many = Array.from({ length: 6 }, (_, index) => groups[index % 3]!);
    const tokens = async (options: Partial<TrainingOptions>, iteration = 1) => {
      const sizes = many.map((group, index) => ({
        ...group,
        responses: group.responses.map((one) => ({
          ...one,
          response: { text: "", tokenIds: Array(index + 1).fill(7) },
        })),
      }));
      const { steps } = await fit(
        policy,
        { batchSize: 1, learningRate: 0, epochs: 2, ...options },
        {
          train: sizes,
          iteration,
        },
      );
      const totals = steps.map(({ num_tokens }) => num_tokens!);
      return totals.map((total, index) => total - (totals[index - 1] ?? 0));
    };
    const first = await tokens({});
    assert.deepEqual(await tokens({}), first);
    const others = [await tokens({ seed: 1 }), await tokens({}, 2), first.slice(6)];
    for (const other of others) assert.notDeepEqual(other.slice(0, 6), first.slice(0, 6));
    for (const order of [first.slice(0, 6), ...others.map((one) => one.slice(0, 6))]) {
      assert.deepEqual(
        order.toSorted((a, b) => a - b),
        first.slice(0, 6).toSorted((a, b) => a - b),
      );
    }
  }));

Deno.test("lmTrainer() lays its schedule out over scheduleSteps and stops at maxSteps", () =>
  withBackend(async (backend) => {
    const { policy } = await loraModel(backend);
    const schedule = { schedule: "linear", warmupRatio: 0.1, learningRate: 1e-3 } as const;
    const { steps } = await fit(policy, {
      ...schedule,
      batchSize: 2, // three groups: two steps an epoch, the second of one group
      epochs: 10,
      maxSteps: 5,
      scheduleSteps: 20,
    });
    assert.equal(steps.length, 5);
    const rates = steps.map(({ learning_rate }) => learning_rate!);
    assertNear(rates, [0.5, 1, 1, 17 / 18, 16 / 18].map((rate) => rate * 1e-3), 1e-12);
    assert.deepEqual(steps.map(({ epoch }) => epoch), [0.5, 1, 1.5, 2, 2.5]);
    assert.deepEqual(steps.map(({ total_steps }) => total_steps), [5, 5, 5, 5, 5]);
  }));

Deno.test("lmTrainer() leaves out or cuts responses that are too long, and counts them", () =>
  withBackend(async (backend) => {
    const { model, policy } = await loraModel(backend, { endOfTurnIds: [2] });
    const respond = (tokens: number, target: number) => ({
      response: { text: "", tokenIds: [...Array(tokens - 1).fill(9), 2] },
      target,
      weight: 0.5,
    });
    const prompt = promptOf("p", [5, 6, 7]);
    const fits = { prompt, responses: [respond(4, 1), respond(5, -1)] };
    const half = { prompt, responses: [respond(6, 1), respond(4, -1)] };
    const three = { prompt, responses: [respond(4, 1), respond(7, 0), respond(5, -1)] };
    const train = [fits, half, three];
    const limits = { maxLength: 8, batchSize: 8, learningRate: 0 };

    // A pair without its partner goes too; of three the two that fit stay.
    const skipped = await fit(policy, { ...limits, tooLong: "skip" }, { train });
    assert.equal(skipped.steps[0]!.skipped_responses, 3);
    assert.equal(skipped.steps[0]!.num_tokens, sum([4, 5, 4, 5].map((tokens) => tokens + 2)));
    const cut = await fit(policy, { ...limits, tooLong: "cut" }, { train });
    assert.equal(cut.steps[0]!.skipped_responses, undefined);
    assert.equal(cut.steps[0]!.num_tokens, sum([4, 5, 5, 4, 4, 5, 5].map((tokens) => tokens + 2)));
    const prepared = prepareGroups(model, train, { maxLength: 8, tooLong: "cut" });
    assert.deepEqual(
      prepared.groups.flatMap(({ responses }) => responses.map(({ responseIds }) => responseIds)),
      [[9, 9, 9, 2], [9, 9, 9, 9, 2], [9, 9, 9, 9, 9], [9, 9, 9, 2]].concat(
        [[9, 9, 9, 2], [9, 9, 9, 9, 9], [9, 9, 9, 9, 2]],
      ),
    );
  }));

Deno.test("lmTrainer() moves the policy in a fit of one step, whatever the warm-up", () =>
  withBackend(async (backend) => {
    const { policy } = await loraModel(backend);
    for (const schedule of ["constant", "linear", "cosine"] as const) {
      for (const warmupRatio of [0.1, 1]) {
        const { steps, policy: fitted } = await fit(policy, { schedule, warmupRatio });
        assert.deepEqual(steps.map(({ learning_rate }) => learning_rate), [OPTIONS.learningRate]);
        assert.notEqual(fitted.id, policy.id);
      }
    }
  }));

Deno.test("lmTrainer() returns the policy as it was, and says so, when no response fits", () =>
  withBackend(async (backend) => {
    const { model, policy } = await loraModel(backend);
    const journal = memoryJournal();
    const options = { maxLength: 3 };
    const { steps, policy: same } = await fit(policy, options, { journal });
    assert.deepEqual(steps, [{ iteration: 1, total_steps: 0, skipped_responses: 6 }]);
    assert.equal(same.id, policy.id);
    await same.dispose();
    const restored = await lmTrainer(model, { ...OPTIONS, ...options }).restore(policy, journal);
    assert.equal(restored!.id, policy.id);
    assert.deepEqual(await groupLogProbs(restored!, groups), await groupLogProbs(policy, groups));
  }));

Deno.test("lmTrainer() counts what is beyond the model's positions as too long; logProbs() refuses it", () =>
  withBackend(async (backend) => {
    const { policy } = await loraModel(backend);
    const [fits, beyond] = [100, 126].map((tokens) => ({
      prompt: promptOf(`p${tokens}`, [5, 6, 7]),
      responses: [{
        response: { text: "", tokenIds: Array(tokens).fill(9) },
        target: 1,
        weight: 1,
      }],
    }));
    const train = [fits!, beyond!];
    const { steps: [skipped] } = await fit(policy, { maxLength: 1024 }, { train });
    assert.deepEqual([skipped!.skipped_responses, skipped!.num_tokens], [1, 102]);
    const cut = await fit(policy, { maxLength: 1024, tooLong: "cut" }, { train });
    assert.equal(cut.steps[0]!.num_tokens, 102 + 127);
    await assert.rejects(groupLogProbs(policy, train), {
      name: "RangeError",
      message:
        "Cannot score as prompt p126 and its response must fit the model's 128 positions: 3 + 126",
    });
  }));

Deno.test("lmTrainer() with sft measures no log-ratios", () =>
  withBackend(async (backend) => {
    const { policy } = await loraModel(backend);
    const { steps: [first] } = await fit(policy, { loss: { name: "sft" } });
    assert.deepEqual(Object.keys(first!).filter((name) => name.includes("/")), [
      "logps/chosen",
      "logps/rejected",
    ]);
  }));

Deno.test("lmTrainer() has another id when the model packs its micro-batches otherwise", () =>
  withBackend(async (backend) => {
    const ids = [];
    for (const options of [{}, { tokensPerBatch: 100 }, { logitsBytes: 2 ** 18 }]) {
      ids.push(lmTrainer((await loraModel(backend, options)).model, OPTIONS).id);
    }
    assert.equal(new Set(ids).size, 3);
  }));

/** Responses of one token sequence, each to be made likely. */
const sequences = groups.map(({ prompt, responses: [chosen] }) => ({
  prompt,
  responses: [{ response: chosen!.response, target: 0, weight: 1 }],
}));

for (const variant of ["tiny_llama", "tiny_llama_untied"] as const) {
  Deno.test(`lmTrainer() with sft on all weights of ${variant} learns the responses by heart`, () =>
    withBackend(async (backend) => {
      const model = await tinyModel(backend, { variant, trainable: { kind: "all" } });
      const policy = await model.policy();
      const before = await groupLogProbs(policy, sequences);
      const options = { loss: { name: "sft" }, epochs: 60, learningRate: 1e-2 } as const;
      const { steps, policy: fitted } = await fit(policy, options, { train: sequences });
      // The loss is the mean over groups of −log π(y | x).
      const start = -sum(before.map(sum)) / sequences.length;
      assert.ok(Math.abs(steps[0]!.loss! / start - 1) < 1e-5, `${steps[0]!.loss}, not ${start}`);
      assert.ok(Math.abs(steps[0]!["logps/chosen"]! + steps[0]!.loss!) < 1e-4);
      assert.equal(steps[0]!["rewards/margins"], undefined);
      const after = await groupLogProbs(fitted, sequences);
      assert.ok(after.flat().every((logProb) => logProb > -0.1), `${after.flat()}`);
      assert.deepEqual(await groupLogProbs(policy, sequences), before);

      // Every tensor moved, the embedding too, and the files give the same model.
      const own = await fitted.trained!;
      for (const name of own.names) {
        assert.notDeepEqual(await own.read(name), await policy.trained!.read(name), name);
      }
      const files = await fitted.files();
      const sources = Object.fromEntries(
        Object.entries(files).map(([name, bytes]) => [name, bytesSource(name, bytes)]),
      );
      const { config, tensors } = await openCheckpoint(sources);
      assert.equal(config.tieWordEmbeddings, variant === "tiny_llama");
      assert.deepEqual([...tensors.keys()].sort(), [...own.names].sort());
      const read = await openSafetensors(sources["model.safetensors"]!);
      assert.equal(read.tensors.size, own.names.length);
    }));
}

Deno.test("lmTrainer() with all weights samples from what it has fitted", () =>
  withBackend(async (backend) => {
    const model = await tinyModel(backend, { trainable: { kind: "all" } });
    const policy = await model.policy();
    const options = { loss: { name: "sft" }, epochs: 60, learningRate: 1e-2 } as const;
    const { policy: fitted } = await fit(policy, options, { train: sequences });
    const greedy = { samples: 1, temperature: 0, topP: 1, seed: 0 };
    for (const { prompt, responses } of sequences) {
      const { response } = responses[0]!;
      const maxTokens = response.tokenIds!.length;
      for await (const sampled of fitted.sample([prompt], { ...greedy, maxTokens })) {
        assert.deepEqual(sampled.responses[0]!.tokenIds, response.tokenIds);
      }
      for await (const sampled of policy.sample([prompt], { ...greedy, maxTokens })) {
        assert.notDeepEqual(sampled.responses[0]!.tokenIds, response.tokenIds);
      }
    }
  }));

for (const rsLora of [false, true]) {
  Deno.test(`LocalPolicy.files() are an adapter that reads back the same, rsLora ${rsLora}`, () =>
    withBackend(async (backend) => {
      const lora = {
        rank: 3,
        alpha: 5,
        targets: ["q_proj", "v_proj", "down_proj"],
        rsLora,
      } as const;
      const { policy } = await loraModel(backend, { trainable: { kind: "lora", lora } });
      const { policy: fitted } = await fit(policy, { epochs: 3 });
      const files = await fitted.files();
      assert.deepEqual(Object.keys(files).sort(), [
        "adapter_config.json",
        "adapter_model.safetensors",
      ]);
      const sources = Object.fromEntries(
        Object.entries(files).map(([name, bytes]) => [name, bytesSource(name, bytes)]),
      );
      const { lora: shape, tensors } = await loadAdapter(sources, policy.model.config);
      assert.deepEqual({ rsLora: false, ...shape }, { ...lora, targets: [...lora.targets] });
      const { model } = await loraModel(backend, { trainable: { kind: "lora", lora: shape } });
      const read = await model.policyFromTensors(tensors);
      assert.equal(read.id, fitted.id);
      assert.deepEqual(await groupLogProbs(read, groups), await groupLogProbs(fitted, groups));
      assert.notDeepEqual(await groupLogProbs(read, groups), await groupLogProbs(policy, groups));
    }));
}
