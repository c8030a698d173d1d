// Sampling with an adapter merged into the weights, beside sampling with it apart.

import assert from "node:assert/strict";
import type { Sampled } from "../../../core/mod.ts";
import { createReferenceBackend, readAsFloat32, type Store } from "../../../graph/mod.ts";
import { mergedTensors } from "../../../models/export/merged.ts";
import {
  ADAPTER,
  geometricMixture,
  LanguageModel,
  type LocalPolicy,
  type LoraShape,
  WEIGHTS,
} from "../../../models/mod.ts";
import { MERGED, mergedMatrices, mergeProgram } from "../../../models/programs/merge.ts";
import { quantised } from "../_quantised.ts";
import { tinyLlama } from "../_tiny_llama.ts";
import { LORA, somePrompts, tinyAdapter, tinyModel, withBackend } from "../_tiny_model.ts";
import { ask, collect, load, SAMPLING } from "./_ask.ts";
import { counted } from "./_counted.ts";

/** Relative; the products of a step are summed in another order. */
const TOLERANCE = 1e-5;
/** The merge of the export is the same sum in float64 steps, rounded to float32 as it goes. */
const MERGE_TOLERANCE = 1e-6;

const { lora: LOADED, tensors: TENSORS } = await tinyAdapter();
const shapes: Record<string, LoraShape> = {
  LoRA: LOADED,
  rsLoRA: { ...LOADED, rsLora: true },
  "LoRA on some layers": { ...LOADED, targets: ["q_proj", "down_proj"] },
};

/** The stored adapter's tensors on the layers of a shape, all times a factor. */
function tensorsOn({ targets }: LoraShape, factor = 1): typeof TENSORS {
  return new Map(
    [...TENSORS].filter(([name]) => targets.some((target) => name.includes(`.${target}.`)))
      .map(([name, { shape, data }]) => [name, { shape, data: data.map((x) => factor * x) }]),
  );
}

const GREEDY = { samples: 1, temperature: 0, maxTokens: 12 };

for (const [what, lora] of Object.entries(shapes)) {
  Deno.test(`sample() gives the same with ${what} merged as apart`, () =>
    withBackend(async (backend) => {
      const trainable = { kind: "lora", lora } as const;
      const sampled = async (sampledAdapter: "apart" | "merged") => {
        const model = await tinyModel(backend, { trainable, sampledAdapter });
        assert.equal(model.sampledAdapter, sampledAdapter);
        const policy = await model.policyFromTensors(tensorsOn(lora));
        return {
          greedy: await ask(policy, somePrompts(6), GREEDY),
          drawn: await ask(policy, somePrompts(6)),
        };
      };
      const [apart, merged] = [await sampled("apart"), await sampled("merged")];
      for (const kind of ["greedy", "drawn"] as const) {
        merged[kind].forEach(({ responses }, prompt) =>
          responses.forEach(({ text, logProb }, index) => {
            const expected = apart[kind][prompt]!.responses[index]!;
            assert.equal(text, expected.text);
            const off = Math.abs(logProb! - expected.logProb!) / Math.abs(expected.logProb!);
            assert.ok(off < TOLERANCE, `${kind} ${prompt} ${index}: ${off}`);
          })
        );
      }
      const { policy: base } = await load(backend);
      assert.notDeepEqual(await ask(base, somePrompts(6), GREEDY), merged.greedy);
    }));
}

for (const [what, lora] of Object.entries(shapes)) {
  Deno.test(`mergeProgram() writes what an export with ${what} merged holds`, async () => {
    const backend = createReferenceBackend();
    const { config, tensors } = await tinyLlama();
    const adapter = tensorsOn(lora);
    const matrices = mergedMatrices(config, lora);
    const stores: Record<string, Store> = {
      [WEIGHTS]: await backend.createStore([...tensors.values()]),
      [ADAPTER]: await backend.createStore(
        [...adapter].map(([name, { shape }]) => ({ name, shape })),
      ),
      [MERGED]: await backend.createStore(matrices),
    };
    for (const [name, { data }] of adapter) await stores[ADAPTER]!.write(name, data);
    const program = await backend.compile(mergeProgram(config, lora));
    await program.bind(stores).run({});
    const exported = mergedTensors(tensors, { lora, tensors: adapter });
    assert.equal(matrices.length, adapter.size / 2);
    for (const { name } of matrices) {
      const expected = await readAsFloat32(exported.get(name)!);
      const merged = await stores[MERGED]!.read(name);
      merged.forEach((value, i) =>
        assert.ok(Math.abs(value - expected[i]!) < MERGE_TOLERANCE, `${name} ${i}`)
      );
      assert.notDeepEqual(merged, await stores[WEIGHTS]!.read(name));
    }
  });
}

Deno.test("a policy whose adapter is zero is sampled from the base, which is not copied", () =>
  withBackend(async (plain) => {
    const { backend, held } = counted(plain);
    const start = await load(backend, { trainable: LORA, sampledAdapter: "merged" });
    const answers = await ask(start.policy, somePrompts(4));
    // Weights, adapter and two caches; the decode program alone.
    assert.deepEqual(held, { bindings: 0, stores: 4, executables: 1 });
    const { policy: base } = await load(plain);
    assert.deepEqual(answers, await ask(base, somePrompts(4)));
  }));

Deno.test("merged copies are made one after the other in the same place, and freed in the end", () =>
  withBackend(async (plain) => {
    const { backend, held } = counted(plain);
    const { model, policy: start } = await load(backend, {
      trainable: LORA,
      sampledAdapter: "merged",
    });
    const before = { ...held };
    const policies: LocalPolicy[] = [];
    for (const factor of [1, -1, 0.5]) {
      policies.push(await model.policyFromTensors(tensorsOn(LORA.lora, factor)));
    }
    const answers: Sampled[][] = [];
    for (const policy of [start, ...policies]) answers.push(await ask(policy, somePrompts(3)));
    const after = {
      bindings: 0,
      stores: before.stores! + 2 + policies.length + 1, // caches, adapters, one copy
      executables: 2, // merging and decoding
    };
    assert.deepEqual(held, after);
    // Asked again in another order, each is itself.
    for (const at of [2, 0, 3, 3, 1]) {
      const policy = [start, ...policies][at]!;
      assert.deepEqual(await ask(policy, somePrompts(3)), answers[at]);
      assert.ok(held.stores! <= after.stores && held.executables! <= 2, JSON.stringify(held));
    }
    // Two at a time have a copy each, of which one is kept.
    const mixed = geometricMixture(policies[0]!, policies[1]!, 0.5);
    for await (const _ of mixed.sample(somePrompts(2), SAMPLING)) {
      assert.equal(held.stores, after.stores + 1 + 2);
    }
    assert.deepEqual(await ask(policies[2]!, somePrompts(3)), answers[3]);
    assert.deepEqual(held, after);
    for (const policy of [start, ...policies]) await policy.dispose();
    // The programs of the last one are gone with it.
    assert.deepEqual(held, { ...after, stores: after.stores - 4, executables: 1 });
    await model.dispose();
    assert.deepEqual(held, { bindings: 0, stores: 0, executables: 0 });
  }));

Deno.test("merged policies that are asked at the same time, or aborted, answer as they do alone", () =>
  withBackend(async (plain) => {
    const { backend, held } = counted(plain);
    const { model } = await load(backend, { trainable: LORA, sampledAdapter: "merged" });
    const first = await model.policyFromTensors(tensorsOn(LORA.lora));
    const second = await model.policyFromTensors(tensorsOn(LORA.lora, -1));
    const alone = [await ask(first, somePrompts(3)), await ask(second, somePrompts(3))];
    const kept = { ...held };
    await assert.rejects(ask(first, somePrompts(3), { signal: AbortSignal.abort() }));
    const together = [first, second].map((policy) =>
      collect(policy.sample(somePrompts(3), SAMPLING))
    );
    assert.deepEqual(await Promise.all(together), alone);
    assert.deepEqual(await ask(second, somePrompts(3)), alone[1]);
    // Both stay for the next call, until another policy is asked.
    assert.deepEqual(held, { ...kept, stores: kept.stores! + 1, executables: 3 });
    const third = await model.policyFromTensors(tensorsOn(LORA.lora, 0.5));
    await ask(third, somePrompts(3));
    assert.deepEqual(held, { ...kept, stores: kept.stores! + 1 });
    await model.dispose();
  }));

Deno.test("LanguageModel.load() refuses to merge what is not there, or would be rounded", () =>
  withBackend(async (backend) => {
    const refusal = /^TypeError: Cannot merge the adapter to sample as /;
    await assert.rejects(tinyModel(backend, { sampledAdapter: "merged" }), refusal);
    await assert.rejects(
      tinyModel(backend, { sampledAdapter: "merged", trainable: { kind: "all" } }),
      /as there must be one: the model is loaded with all trained$/,
    );
    const encoded = await quantised("q4_1");
    const options = { template: "none", trainable: LORA, sampledAdapter: "merged" } as const;
    await assert.rejects(
      LanguageModel.load(encoded, backend, { ...options, precision: "fast" }),
      /must be float32, .* encoded \(sample with the adapter apart, or with the precision/,
    );
    await assert.rejects(
      LanguageModel.load(encoded, backend, { ...options, keepEncoded: true }),
      /must be float32, .* or without keepEncoded\)$/,
    );
  }));
