import assert from "node:assert/strict";
import { fedTokens, packSequences, planBatches, type Sequence } from "../../models/mod.ts";
import { fc } from "../_deps.ts";

const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 40 });
const budget = fc.integer({ min: 1, max: 200 });

Deno.test("planBatches() visits each sequence once, longest first, within the budget", () => {
  fc.assert(
    fc.property(lengths, budget, (lengths, budget) => {
      const batches = planBatches(lengths, budget);
      const visited = batches.flat();
      assert.deepEqual(visited.toSorted((a, b) => a - b), [...lengths.keys()]);
      for (let i = 1; i < visited.length; i++) {
        assert.ok(lengths[visited[i]!]! <= lengths[visited[i - 1]!]!);
      }
      for (const batch of batches) {
        assert.ok(batch.length > 0);
        const longest = Math.max(...batch.map((index) => lengths[index]!));
        assert.ok(batch.length * longest <= budget || batch.length === 1);
      }
    }),
    { seed: 1 },
  );
});

Deno.test("planBatches() fills each batch as far as the budget allows", () => {
  fc.assert(
    fc.property(lengths, budget, (lengths, budget) => {
      planBatches(lengths, budget).forEach((batch, at, batches) => {
        const longest = lengths[batch[0]!]!;
        if (at < batches.length - 1) assert.ok((batch.length + 1) * longest > budget);
      });
    }),
    { seed: 2 },
  );
});

Deno.test("planBatches() depends on the lengths alone", () => {
  assert.deepEqual(planBatches([], 10), []);
  assert.deepEqual(planBatches([7, 7, 7], 14), [[0, 1], [2]]);
  assert.deepEqual(planBatches([100], 10), [[0]]);
  assert.deepEqual(planBatches([2, 100, 2], 10), [[1], [0, 2]]);
});

Deno.test("packSequences() lays out rows, targets and owners", () => {
  const inputs = packSequences([
    { promptIds: [1, 2], responseIds: [3, 4, 5] },
    { promptIds: [6], responseIds: [7] },
  ]);
  const plain = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [name, { shape, data: [...data] }]),
  );
  assert.deepEqual(plain, {
    // The last token of a response is only predicted; row two is padded.
    ids: { shape: [2, 4], data: [1, 2, 3, 4, 6, 0, 0, 0] },
    positions: { shape: [2, 4], data: [0, 1, 2, 3, 0, 1, 2, 3] },
    rows: { shape: [4], data: [1, 2, 3, 4] },
    targets: { shape: [4], data: [3, 4, 5, 7] },
    owner: { shape: [4], data: [0, 0, 0, 1] },
  });
});

Deno.test("packSequences() points each target at the token before it", () => {
  const ids = (minLength: number) =>
    fc.array(fc.integer({ min: 0, max: 99 }), { minLength, maxLength: 9 });
  const sequence = fc.record({ promptIds: ids(1), responseIds: ids(1) });
  fc.assert(
    fc.property(fc.array(sequence, { minLength: 1, maxLength: 6 }), (sequences: Sequence[]) => {
      const { ids, rows, targets, owner } = packSequences(sequences);
      const time = ids!.shape[1]!;
      assert.equal(time, Math.max(...sequences.map(fedTokens)));
      let at = 0;
      sequences.forEach(({ promptIds, responseIds }, row) => {
        responseIds.forEach((id, index) => {
          const before = [...promptIds, ...responseIds][promptIds.length + index - 1];
          assert.equal(ids!.data[rows!.data[at]!], before);
          assert.equal(Math.floor(rows!.data[at]! / time), row);
          assert.equal(targets!.data[at], id);
          assert.equal(owner!.data[at], row);
          at++;
        });
      });
      assert.equal(rows!.data.length, at);
    }),
    { seed: 3 },
  );
});
