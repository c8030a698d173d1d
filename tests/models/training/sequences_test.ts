import assert from "node:assert/strict";
import { fedTokens, packSequences, planSequences, type Sequence } from "../../../models/mod.ts";
import { fc } from "../../_deps.ts";

const ids = (length: { minLength: number; maxLength: number }) =>
  fc.array(fc.integer({ min: 0, max: 9 }), length);
/** Few prompts, so that some are shared. */
const prompt = fc.oneof(
  fc.constantFrom([1], [2, 3, 4], [5, 6]),
  ids({ minLength: 1, maxLength: 9 }),
);
const sequence: fc.Arbitrary<Sequence> = fc.record({
  promptIds: prompt,
  responseIds: ids({ minLength: 1, maxLength: 9 }),
});
const sequences = fc.array(sequence, { minLength: 1, maxLength: 12 });
const budget = fc.integer({ min: 1, max: 60 });

/** Tokens that a batch takes. */
function tokensOf(batch: readonly Sequence[]): number {
  const prompts = new Map(batch.map(({ promptIds }) => [promptIds.join(), promptIds.length]));
  return prompts.size * Math.max(...prompts.values()) +
    batch.length * Math.max(...batch.map(({ responseIds }) => responseIds.length));
}

Deno.test("planSequences() visits each sequence once, within the budget", () => {
  fc.assert(
    fc.property(sequences, budget, fc.constantFrom(1, 2), (some, budget, together) => {
      const all = some.flatMap((one) =>
        Array.from(
          { length: together },
          (_, at) => ({ ...one, responseIds: [...one.responseIds, at] }),
        )
      );
      const batches = planSequences(all, budget, together);
      assert.deepEqual(batches.flat().toSorted((a, b) => a - b), [...all.keys()]);
      for (const batch of batches) {
        assert.ok(batch.length > 0);
        const tokens = tokensOf(batch.map((index) => all[index]!));
        assert.ok(tokens <= budget || batch.length === together);
        for (let at = 0; at < batch.length; at += together) {
          assert.equal(batch[at]! % together, 0);
          for (let i = 1; i < together; i++) assert.equal(batch[at + i], batch[at]! + i);
        }
      }
    }),
    { seed: 1 },
  );
});

Deno.test("planSequences() does not part the responses of a prompt that fit a batch", () => {
  fc.assert(
    fc.property(sequences, budget, (all, budget) => {
      const batches = planSequences(all, budget);
      for (const { promptIds } of all) {
        const own = all.flatMap((one, index) =>
          one.promptIds.join() === promptIds.join() ? [index] : []
        );
        if (tokensOf(own.map((index) => all[index]!)) > budget) continue;
        assert.equal(batches.filter((batch) => batch.some((at) => own.includes(at))).length, 1);
      }
    }),
    { seed: 2 },
  );
});

Deno.test("planSequences() has the longest first", () => {
  const of = (...lengths: number[]) =>
    lengths.map((length, at) => ({ promptIds: [at], responseIds: Array(length).fill(0) }));
  assert.deepEqual(planSequences([], 10), []);
  assert.deepEqual(planSequences(of(7, 7, 7), 16), [[0, 1], [2]]);
  assert.deepEqual(planSequences(of(100), 10), [[0]]);
  assert.deepEqual(planSequences(of(2, 100, 2), 10), [[1], [0, 2]]);
});

Deno.test("packSequences() feeds a prompt once and its responses behind it", () => {
  const inputs = packSequences([
    { promptIds: [1, 2], responseIds: [3, 4, 5] },
    { promptIds: [6], responseIds: [7] },
    { promptIds: [1, 2], responseIds: [8, 9] },
  ]);
  const plain = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [name, { shape, data: [...data] }]),
  );
  assert.deepEqual(plain, {
    // The last token of a response is only predicted.
    ids: { shape: [1, 6], data: [1, 2, 3, 4, 8, 6] },
    positions: { shape: [1, 6], data: [0, 1, 2, 3, 2, 0] },
    prompt_tokens: { shape: [2, 2], data: [0, 1, 5, -1] },
    prompt_places: { shape: [6, 1], data: [0, 1, -1, -1, -1, 2] },
    response_tokens: { shape: [3, 2], data: [2, 3, -1, -1, 4, -1] },
    response_places: { shape: [6, 1], data: [-1, -1, 0, 1, 4, -1] },
    prompt_key_tokens: { shape: [3, 4], data: [0, 1, -1, -1, 2, -1, -1, -1, 0, 1, -1, -1] },
    prompt_key_places: { shape: [2, 2, 2], data: [0, 8, 1, 9, 4, -1, -1, -1] },
    own_key_tokens: { shape: [3, 4], data: [-1, -1, 2, 3, -1, -1, -1, -1, -1, -1, 4, -1] },
    own_key_places: { shape: [6, 1], data: [-1, -1, 2, 3, 10, -1] },
    prompt_lengths: { shape: [3], data: [2, 1, 2] },
    rows: { shape: [6], data: [1, 2, 3, 5, 1, 4] },
    targets: { shape: [6], data: [3, 4, 5, 7, 8, 9] },
    owner: { shape: [6], data: [0, 0, 0, 1, 2, 2] },
  });
});

Deno.test("packSequences() points each target at the token before it", () => {
  fc.assert(
    fc.property(sequences, (all) => {
      const { ids, positions, rows, targets, owner } = packSequences(all);
      const prompts = new Map(all.map(({ promptIds }) => [promptIds.join(), promptIds.length]));
      const fed = all.reduce((sum, one) => sum + fedTokens(one) - one.promptIds.length, 0);
      assert.equal(ids!.data.length, fed + [...prompts.values()].reduce((a, b) => a + b, 0));
      let at = 0;
      all.forEach(({ promptIds, responseIds }, index) => {
        responseIds.forEach((id, place) => {
          const before = promptIds.length + place - 1;
          assert.equal(ids!.data[rows!.data[at]!], [...promptIds, ...responseIds][before]);
          assert.equal(positions!.data[rows!.data[at]!], before);
          assert.equal(targets!.data[at], id);
          assert.equal(owner!.data[at], index);
          at++;
        });
      });
      assert.equal(rows!.data.length, at);
    }),
    { seed: 3 },
  );
});
