// What sampling holds, and that it may be done several times at once.

import assert from "node:assert/strict";
import type { Sampled } from "../../../core/mod.ts";
import { somePrompts, withBackend } from "../_tiny_model.ts";
import { ask, END, load, SAMPLING } from "./_ask.ts";
import { counted } from "./_counted.ts";

Deno.test("sample() and logProbs() leave no more behind after a hundred calls than after one", () =>
  withBackend(async (plain) => {
    const { backend, held } = counted(plain);
    const { model, policy } = await load(backend);
    const prompts = somePrompts(2);
    const round = async (maxTokens: number) => {
      const sampled = await ask(policy, prompts, { maxTokens });
      for await (const _ of policy.logProbs(sampled)) break;
      for await (const _ of policy.sample(prompts, SAMPLING)) break;
      await assert.rejects(ask(policy, prompts, { signal: AbortSignal.abort() }));
    };
    await round(1);
    const after = { ...held };
    assert.deepEqual(after, { bindings: 0, stores: 3, executables: 2 });
    for (let i = 0; i < 33; i++) await round(1);
    assert.deepEqual(held, after);
    // One more program for larger caches, and no more than that.
    for (const maxTokens of [70, 100, 5, 64]) await round(maxTokens);
    assert.deepEqual(held, { ...after, executables: 3 });
    await policy.dispose();
    await model.dispose();
    assert.deepEqual(held, { bindings: 0, stores: 0, executables: 0 });
  }));

Deno.test("sample() gives the same responses when several are asked at the same time", () =>
  withBackend(async (backend) => {
    const { policy } = await load(backend, { endOfTurnIds: [END] });
    const greedy = { samples: 2, temperature: 0, maxTokens: 12 };
    const [first, second] = [somePrompts(4), somePrompts(9).slice(4)];
    const expected = [
      await ask(policy, first, greedy),
      await ask(policy, second, { ...greedy, maxTokens: 90 }),
    ];
    const together = await Promise.all([
      ask(policy, first, greedy),
      ask(policy, second, { ...greedy, maxTokens: 90 }),
    ]);
    assert.deepEqual(together, expected);
    // Step by step in turn, in one thread of thought.
    const running = [
      policy.sample(first, { ...SAMPLING, ...greedy }),
      policy.sample(first, {
        ...SAMPLING,
        ...greedy,
      }),
    ];
    const turns: Sampled[][] = [[], []];
    for (let i = 0; i < first.length; i++) {
      for (const [at, generator] of running.entries()) {
        turns[at]!.push((await generator.next()).value);
      }
    }
    assert.deepEqual(turns, [expected[0], expected[0]]);
  }));

Deno.test("policy() of all weights holds no copy of them, and leaves them to the model when disposed", () =>
  withBackend(async (plain) => {
    const { backend, held } = counted(plain);
    const { model, policy } = await load(backend, { trainable: { kind: "all" } });
    assert.equal(held.stores, 1);
    assert.equal(policy.trained!.bytes, model.weightBytes);
    const expected = await ask(policy, somePrompts(1));
    await policy.dispose();
    assert.deepEqual(await ask(await model.policy(), somePrompts(1)), expected);
    await model.dispose();
    assert.equal(held.stores, 0);
  }));
