// What a loaded model and its policies promise, and what they refuse.

import assert from "node:assert/strict";
import { discardingJournal, type ResponseGroup } from "../../core/mod.ts";
import {
  LanguageModel,
  lmTrainer,
  loadAdapter,
  type LocalPolicy,
  TRAINING_DEFAULTS,
} from "../../models/mod.ts";
import { fit, groups, loraModel } from "./_fit.ts";
import { dataFiles, tinyLlama } from "./_tiny_llama.ts";
import {
  groupLogProbs,
  LINEAR_LAYERS,
  LORA,
  promptOf,
  somePrompts,
  tinyAdapter,
  tinyModel,
  VOCAB_SIZE,
  withBackend,
} from "./_tiny_model.ts";

/** float32 sums in batches of other sizes. */
const LOG_PROB_TOLERANCE = 1e-5;

const prompt = promptOf("p", [5, 9]);

Deno.test("LanguageModel.load() refuses a chat template where the checkpoint has none", () =>
  withBackend(async (backend) => {
    await assert.rejects(LanguageModel.load(await tinyLlama(), backend, { template: "chat" }), {
      name: "TypeError",
      message: /^Cannot load the model as its checkpoint must have a chat template: none/,
    });
    const model = await LanguageModel.load(await tinyLlama(), backend);
    assert.equal(model.template, "none");
  }));

Deno.test("LanguageModel.load() tells of its progress, and ends when it is aborted", () =>
  withBackend(async (backend) => {
    const done: number[] = [];
    const model = await tinyModel(backend, {
      onProgress(progress) {
        done.push(progress.done);
        assert.ok(progress.done <= progress.total);
      },
    });
    assert.ok(done.length > 0 && model.weightBytes > 0);
    assert.deepEqual(done, done.toSorted((a, b) => a - b));
    await assert.rejects(tinyModel(backend, { signal: AbortSignal.abort() }), {
      name: "AbortError",
    });
  }));

Deno.test("LocalPolicy.id is equal for equal policies, and only for them", () =>
  withBackend(async (backend) => {
    const idOf = async (options: Parameters<typeof tinyModel>[1] = {}, seed?: number) =>
      (await (await tinyModel(backend, options)).policy(seed)).id;
    const lora = (change: Partial<typeof LORA.lora>) =>
      ({ trainable: { kind: "lora", lora: { ...LORA.lora, ...change } } }) as const;
    const ids = [
      await idOf(),
      await idOf({ variant: "tiny_llama_untied" }),
      await idOf(lora({})),
      await idOf(lora({}), 1),
    ];
    assert.equal(new Set(ids).size, ids.length);
    assert.deepEqual([await idOf(), await idOf(lora({}))], [ids[0], ids[2]]);
    assert.ok(ids[2]!.startsWith(`${ids[0]}-`), "a policy's id begins with its base's");

    // The same values at another scale are another policy.
    const { tensors } = await tinyAdapter();
    const scaled = await Promise.all([8, 16].map(async (alpha) => {
      const { lora } = LORA;
      const trainable = { kind: "lora", lora: { ...lora, alpha } } as const;
      return (await (await tinyModel(backend, { trainable })).policyFromTensors(tensors)).id;
    }));
    assert.notEqual(scaled[0], scaled[1]);
  }));

Deno.test("LocalPolicy.id is another when the same adapter is on other layers", () =>
  withBackend(async (backend) => {
    // q_proj and o_proj of the tiny model have the same shapes.
    const [q, o] = await Promise.all((["q_proj", "o_proj"] as const).map(async (target) => {
      const lora = { rank: 2, alpha: 2, targets: [target] };
      const model = await tinyModel(backend, { trainable: { kind: "lora", lora } });
      const tensors = new Map(
        model.trainableTensors().tensors.map(({ name, shape }) => {
          const size = shape.reduce((product, dim) => product * dim, 1);
          return [name, { shape, data: new Float32Array(size).fill(0.1) }];
        }),
      );
      return await model.policyFromTensors(tensors);
    }));
    assert.notDeepEqual(await groupLogProbs(q!, groups), await groupLogProbs(o!, groups));
    assert.notEqual(q!.id, o!.id);
  }));

Deno.test("policy() starts with an adapter that changes nothing", () =>
  withBackend(async (backend) => {
    const base = await (await tinyModel(backend)).policy();
    const { policy } = await loraModel(backend);
    const [expected, actual] = [
      await groupLogProbs(base, groups),
      await groupLogProbs(policy, groups),
    ];
    actual.flat().forEach((logProb, index) =>
      assert.ok(Math.abs(logProb - expected.flat()[index]!) < LOG_PROB_TOLERANCE)
    );
    for (const name of policy.trained!.names) {
      const values = await policy.trained!.read(name);
      const [, inputs] = policy.trained!.shape(name);
      const bound = name.endsWith(".lora_A.weight") ? 1 / Math.sqrt(inputs!) : 0;
      assert.ok(values.every((value) => Math.abs(value) <= bound), name);
      if (bound > 0) assert.ok(values.some((value) => Math.abs(value) > bound / 2), name);
    }
  }));

Deno.test("a model that was loaded with nothing to train refuses to", () =>
  withBackend(async (backend) => {
    const model = await tinyModel(backend);
    const policy = await model.policy();
    const refusal = {
      name: "TypeError",
      message: "Cannot train the model as it must be loaded with trainable tensors: none",
    };
    assert.throws(() => model.trainableTensors(), refusal);
    await assert.rejects(fit(policy), refusal);
    await assert.rejects(model.policyFromTensors(new Map()), refusal);
    await assert.rejects(async () => await policy.files(), {
      name: "TypeError",
      message: "Cannot write the policy as it must have trained tensors: none",
    });
  }));

Deno.test("policyFromTensors() refuses tensors that are too few, missing or of other shapes", () =>
  withBackend(async (backend) => {
    const model = await tinyModel(backend, { trainable: LORA });
    const { tensors } = await tinyAdapter();
    const first = "model.layers.0.self_attn.q_proj.lora_A.weight";
    assert.deepEqual(tensors.get(first)!.shape, [4, 32]);
    const changed = (
      change: (map: Map<string, { shape: number[]; data: Float32Array }>) => void,
    ) => {
      const map = new Map([...tensors].map(([name, { shape, data }]) => [
        name,
        { shape: [...shape], data },
      ]));
      change(map);
      return model.policyFromTensors(map);
    };
    const cases: [Parameters<typeof changed>[0], string][] = [
      [
        (map) => map.delete(first),
        "Cannot use the trained tensors as there must be 28 of them: 27",
      ],
      [(map) => {
        map.set("other", map.get(first)!);
        map.delete(first);
      }, `Cannot use the trained tensors as ${first} must have the shape [4, 32]: missing`],
      [
        (map) => map.set(first, { shape: [32, 4], data: new Float32Array(128) }),
        `Cannot use the trained tensors as ${first} must have the shape [4, 32]: [32, 4]`,
      ],
    ];
    for (const [change, message] of cases) {
      await assert.rejects(changed(change), { name: "TypeError", message });
    }
  }));

Deno.test("loadAdapter() refuses an adapter of another model", async () => {
  const { config } = await tinyLlama();
  const files = () =>
    dataFiles("tiny_llama_adapter", ["adapter_config.json", "adapter_model.safetensors"]);
  await assert.rejects(loadAdapter(await files(), { ...config, hiddenSize: 64 }), {
    name: "RangeError",
    message:
      /^Cannot apply the adapter as model\.layers\.0\.\S+ must go with a layer \[\d+, \d+\]: \[/,
  });
  await assert.rejects(loadAdapter(await files(), { ...config, layers: 1 }), {
    name: "RangeError",
    message:
      /^Cannot apply the adapter as each of its layers must be a linear layer of the model: model\.layers\.1\./,
  });
  await assert.rejects(loadAdapter(await files(), { ...config, layers: 3 }), {
    name: "RangeError",
    message:
      /^Cannot use the adapter as it must be on the same layers of every block: 28 tensors on .* of 3 blocks$/,
  });
  const { lora } = await loadAdapter(await files(), config);
  assert.deepEqual(lora, { rank: 4, alpha: 8, targets: [...LINEAR_LAYERS] });
});

Deno.test("encodePrompt() and encodeResponse() refuse what is not tokens of the model", () =>
  withBackend(async (backend) => {
    const model = await tinyModel(backend);
    const text = { ...model.text, encodePrompt: () => [] };
    const checkpoint = { ...await tinyLlama(), text: () => Promise.resolve(text) };
    const empty = await LanguageModel.load(checkpoint, backend);
    assert.throws(() => empty.encodePrompt({ id: "void", content: "" }), {
      name: "RangeError",
      message: "Cannot use prompt void as it must have at least one token: none",
    });
    for (const id of [VOCAB_SIZE, -1, 1.5, NaN]) {
      assert.throws(() => model.encodeResponse({ text: "", tokenIds: [3, id, 4] }), {
        name: "RangeError",
        message: `Cannot use the response as its token ids must be from 0 to 66: ${id}`,
      });
    }
    const policy = await model.policy();
    await assert.rejects(async () => {
      for await (
        const _ of policy.logProbs([{ prompt, responses: [{ text: "", tokenIds: [67] }] }])
      );
    }, { name: "RangeError" });
  }));

/** Responses of 0 to 7 tokens to many prompts. */
function manyGroups(count: number): ResponseGroup[] {
  return somePrompts(count).map((prompt, index) => ({
    prompt,
    responses: [0, 1, 2].map((k) => ({
      text: "",
      tokenIds: Array.from({ length: (index * 3 + k * 5) % 8 }, (_, at) => (at * 13 + index) % 67),
    })),
  }));
}

async function scores(policy: LocalPolicy, asked: readonly ResponseGroup[]) {
  const all: (readonly Float32Array[])[] = [];
  for await (const group of policy.logProbs(asked)) all.push(group);
  return all;
}

Deno.test("logProbs() answers every group in order, whatever the batches", () =>
  withBackend(async (backend) => {
    const asked = manyGroups(80); // more than one round
    const [whole, small] = await Promise.all([2048, 20].map(async (tokensPerBatch) => {
      const model = await tinyModel(backend, { tokensPerBatch });
      return await scores(await model.policy(), asked);
    }));
    assert.equal(whole!.length, asked.length);
    asked.forEach(({ responses }, at) =>
      responses.forEach(({ tokenIds }, k) => {
        const [one, other] = [whole![at]![k]!, small![at]![k]!];
        assert.equal(one.length, tokenIds!.length);
        assert.equal(other.length, tokenIds!.length);
        one.forEach((logProb, token) => {
          assert.ok(logProb < 0);
          assert.ok(Math.abs(logProb - other[token]!) < LOG_PROB_TOLERANCE, `group ${at}, ${k}`);
        });
      })
    );
    const policy = await (await tinyModel(backend)).policy();
    assert.deepEqual(await scores(policy, []), []);
    assert.deepEqual(await scores(policy, [{ prompt, responses: [] }]), [[]]);
  }));

Deno.test("logProbs() ends with the signal's reason when it is aborted", () =>
  withBackend(async (backend) => {
    const policy = await (await tinyModel(backend)).policy();
    const controller = new AbortController();
    let seen = 0;
    await assert.rejects(async () => {
      for await (const _ of policy.logProbs(manyGroups(80), { signal: controller.signal })) {
        if (++seen === 64) controller.abort(new RangeError("enough"));
      }
    }, { name: "RangeError", message: "enough" });
    assert.equal(seen, 64);
  }));

Deno.test("lmTrainer() names its options by its id", () =>
  withBackend(async (backend) => {
    const { model, policy } = await loraModel(backend);
    const ids = [{}, { seed: 1 }, { learningRate: 1 }, { loss: { name: "sft" } as const }].map((
      change,
    ) => lmTrainer(model, { ...TRAINING_DEFAULTS, ...change }).id);
    assert.equal(new Set(ids).size, 4);
    const trainer = lmTrainer(model, TRAINING_DEFAULTS);
    assert.equal(await trainer.restore(policy, discardingJournal()), undefined);
  }));
