/** Runs that are cut off anywhere and go on. */

import assert from "node:assert/strict";
import { type Journal, memoryJournal } from "../../core/journal.ts";
import { journaled } from "../../core/records.ts";
import { selfPlay, type SelfPlayOptions } from "../../core/self_play.ts";
import type { TabularPolicy } from "../../core/tabular.ts";
import { multiplicativeWeights } from "../../core/tabular_trainers.ts";
import { finish, openJournal, playground } from "./_playground.ts";

class Blown extends Error {}

/** Counts down at each thing the loop waits for, and throws at the end. */
function fuse(length: number) {
  let calls = 0;
  const burn = () => {
    if (++calls > length) throw new Blown(`call ${calls}`);
  };
  const throughout = async function* <T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    burn();
    for await (const item of items) {
      yield item;
      burn();
    }
  };
  const journal = (inner: Journal): Journal => ({
    records: (list) => inner.records(list),
    read: (name) => inner.read(name),
    remove: (name) => inner.remove(name),
    async append(...record) {
      burn();
      await inner.append(...record);
      burn();
    },
    async write(...blob) {
      burn();
      await inner.write(...blob);
      burn();
    },
    within: (path) => journal(inner.within(path)),
  });
  // A policy that burns the fuse when it is asked. What comes out of the fit does too.
  const policy = (inner: TabularPolicy): TabularPolicy => ({
    ...inner,
    id: inner.id,
    sample: (prompts, options) => throughout(inner.sample(prompts, options)),
    with: (weights) => policy(inner.with(weights)),
  });
  return {
    calls: () => calls,
    options: (options: SelfPlayOptions<TabularPolicy>, kept: Journal) => ({
      ...options,
      policy: policy(options.policy),
      oracle: {
        id: options.oracle.id,
        compare: (...asked: Parameters<typeof options.oracle.compare>) =>
          throughout(options.oracle.compare(...asked)),
      },
      journal: journal(kept),
    }),
  };
}

for (const trainer of [playground().trainer, multiplicativeWeights()]) {
  Deno.test(`selfPlay() ends the same when it is cut off at any call, with ${trainer.id}`, async () => {
    const options = { ...playground(), trainer };
    const whole = openJournal();
    const count = fuse(Infinity);
    const { result } = await finish(count.options(options, whole));
    assert.ok(count.calls() > 80);
    for (let length = 0; length < count.calls(); length++) {
      const kept = openJournal();
      await assert.rejects(finish(fuse(length).options(options, kept)), Blown);
      const again = await finish({ ...options, journal: kept });
      assert.equal(again.result.policy.id, result.policy.id);
      assert.deepEqual(again.result.iterations, result.iterations);
      assert.deepEqual(again.result.initialEvaluation, result.initialEvaluation);
      assert.deepEqual(sorted(kept.content), sorted(whole.content));
    }
  });
}

Deno.test("selfPlay() ends the same when its receiver stops at any event", async () => {
  const options = playground();
  const whole = openJournal();
  const { events, result } = await finish({ ...options, journal: whole });
  for (let count = 0; count < events.length; count++) {
    const kept = openJournal();
    let seen = 0;
    for await (const _ of selfPlay({ ...options, journal: kept })) if (seen++ === count) break;
    const again = await finish({ ...options, journal: kept });
    assert.equal(again.result.policy.id, result.policy.id);
    assert.deepEqual(sorted(kept.content), sorted(whole.content));
  }
});

Deno.test("selfPlay() gives the same with a journal and without", async () => {
  const { result } = await finish(playground());
  const { result: kept } = await finish({ ...playground(), journal: openJournal() });
  assert.equal(kept.policy.id, result.policy.id);
  assert.deepEqual(kept.iterations, result.iterations);
});

Deno.test("selfPlay() asks nothing again when a run has ended", async () => {
  const journal = openJournal();
  const { result } = await finish({ ...playground(), journal });
  const refuse = () => {
    throw new Blown("asked");
  };
  const options = playground();
  const again = await finish({
    ...options,
    policy: { ...options.policy, id: options.policy.id, sample: refuse },
    oracle: { id: options.oracle.id, compare: refuse },
    trainer: { ...options.trainer, train: refuse },
    journal,
  });
  assert.equal(again.result.policy.id, result.policy.id);
  assert.deepEqual(
    again.events.filter(({ type }) => type === "iteration").map((event) =>
      "restored" in event && event.restored
    ),
    [true, true],
  );
});

Deno.test("selfPlay() goes on for more iterations when the parts of the prompts stay", async () => {
  const split = { ...playground(), promptsPerIteration: "split", parts: 2 } as const;
  const { result } = await finish({ ...split, iterations: 3 });
  const journal = openJournal();
  await finish({ ...split, journal });
  const { result: longer } = await finish({ ...split, iterations: 3, journal });
  assert.equal(longer.policy.id, result.policy.id);
  assert.deepEqual(longer.iterations, result.iterations);
});

Deno.test("selfPlay() refuses a journal when its fit was started on something else", async () => {
  const journal = openJournal();
  await finish({ ...playground(), journal });
  await assert.rejects(finish({ ...playground(), eta: 3, journal }), {
    name: "RangeError",
    message: /^Cannot go on with iteration 1 as its fit must go on from what it was started on/,
  });
});

function sorted(content: ReadonlyMap<string, string>): [string, string][] {
  return [...content].sort(([a], [b]) => a < b ? -1 : 1);
}

for (const independent of [true, false]) {
  Deno.test(`journaled() asks ${independent ? "for what is missing alone" : "the whole batch"} when outcomes are ${independent ? "" : "not "}independent`, async () => {
    const journal = memoryJournal();
    for (const item of [2, 3, 5, 6, 7]) await journal.append("squares", `${item}`, item * item);
    const asked: number[][] = [];
    const work = {
      items: [1, 2, 3, 4, 5, 6, 7, 8],
      batchSize: 5,
      independent,
      async *ask(items: readonly number[]) {
        asked.push([...items]);
        for (const item of items) yield item * item;
      },
      keyOf: String,
      encode: (outcome: number) => outcome,
      decode: Number,
      what: "square",
    };
    const finished = [];
    for await (const one of journaled(journal, "squares", work)) finished.push(one);
    assert.deepEqual(asked, independent ? [[1, 4], [8]] : [[1, 2, 3, 4, 5], [6, 7, 8]]);
    assert.deepEqual(finished.map(({ item }) => item), work.items);
    assert.deepEqual(finished.map(({ outcome }) => outcome), work.items.map((item) => item ** 2));
    const fresh = finished.filter(({ restored }) => !restored).map(({ item }) => item);
    assert.deepEqual(fresh, [1, 4, 8]);
    await assert.rejects(
      async () => {
        const short = { ...work, items: [9, 10], async *ask() {} };
        for await (const _ of journaled(journal, "squares", short));
      },
      /^RangeError: Cannot go on as there must be one square for each of the 2 asked for: 0$/,
    );
  });
}
