/**
 * Stores: reading, writing, snapshots and rows.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fromFloat32, type TensorSource } from "../../../graph/mod.ts";
import { type Case, counter, float, numbersOf, program, storeOf } from "./_support.ts";

/** What a store promises. */
export const storeCases: readonly Case[] = [
  {
    name: "a store holds what its sources give, in order",
    async run(backend) {
      const half: TensorSource = {
        name: "half",
        shape: [2],
        encoding: "f16",
        byteLength: 4,
        // 1.5 and −2 in float16, little-endian.
        read: (start, end) =>
          Promise.resolve(Uint8Array.of(0x00, 0x3e, 0x00, 0xc0).slice(start, end)),
      };
      const seen: number[] = [];
      const store = await backend.createStore(
        [fromFloat32("z", [1, 2], Float32Array.of(3, 4)), { name: "a", shape: [2, 3] }, half],
        { onProgress: ({ done, total }) => seen.push(done / total) },
      );
      assert.deepEqual(store.names, ["z", "a", "half"]);
      assert.deepEqual([...store.shape("a")], [2, 3]);
      assert.deepEqual([...await store.read("z")], [3, 4]);
      assert.deepEqual([...await store.read("a")], [0, 0, 0, 0, 0, 0]);
      assert.deepEqual([...await store.read("half")], [1.5, -2]);
      assert.ok(store.bytes > 0);
      assert.equal(seen.at(-1), 1);
      await store.dispose();
    },
  },
  {
    name: "what was written is read",
    async run(backend) {
      const store = await storeOf(backend, { w: float([2], 1, 2) });
      const values = Float32Array.of(5, 6);
      await store.write("w", values);
      values.fill(0);
      const read = await store.read("w");
      assert.deepEqual([...read], [5, 6]);
      read.fill(0);
      assert.deepEqual([...await store.read("w")], [5, 6]);
      await store.dispose();
    },
  },
  {
    name: "a write is seen by the next run",
    async run(backend) {
      const state = await storeOf(backend, { count: float([], 1) });
      const executable = await backend.compile(counter());
      const bound = executable.bind({ state });
      await bound.run({ step: float([], 1) });
      await state.write("count", Float32Array.of(40));
      assert.deepEqual(numbersOf((await bound.run({ step: float([], 2) })).next), [42]);
      await executable.dispose();
    },
  },
  {
    name: "a snapshot sees no later change, nor makes one",
    async run(backend) {
      const state = await storeOf(backend, { count: float([], 1) });
      const executable = await backend.compile(counter());
      const bound = executable.bind({ state });
      await bound.run({ step: float([], 1) }); // 2
      const snapshot = await state.snapshot();
      await bound.run({ step: float([], 1) }); // 3
      assert.deepEqual([...await snapshot.read("count")], [2]);
      await executable.bind({ state: snapshot }).run({ step: float([], 10) }); // 12
      assert.deepEqual([...await state.read("count")], [3]);
      assert.deepEqual([...await snapshot.read("count")], [12]);
      await state.dispose();
      assert.deepEqual([...await snapshot.read("count")], [12]);
      await executable.dispose();
    },
  },
  {
    name: "rows are copied between stores",
    async run(backend) {
      const from = await storeOf(backend, {
        a: float([2, 2], 1, 2, 3, 4),
        b: float([2, 1, 2], 5, 6, 7, 8),
      });
      const shapes = [{ name: "a", shape: [3, 2] }, { name: "b", shape: [3, 1, 2] }];
      const to = await backend.createStore(shapes);
      await to.copyRows(from, [{ from: 1, to: 0 }, { from: 0, to: 2 }]);
      assert.deepEqual([...await to.read("a")], [3, 4, 0, 0, 1, 2]);
      assert.deepEqual([...await to.read("b")], [7, 8, 0, 0, 5, 6]);
      await Promise.all([from.dispose(), to.dispose()]);
    },
  },
  {
    name: "rows are copied within a store in order",
    async run(backend) {
      const store = await storeOf(backend, { a: float([3], 1, 2, 3) });
      await store.copyRows(store, [{ from: 0, to: 1 }, { from: 1, to: 2 }]);
      assert.deepEqual([...await store.read("a")], [1, 1, 1]);
      await store.dispose();
    },
  },
  {
    name: "copied rows are seen by the next run",
    async run(backend) {
      const [state, from] = [
        await storeOf(backend, { rows: float([2], 1, 2) }),
        await storeOf(backend, { rows: float([1], 9) }),
      ];
      const executable = await backend.compile(program("read", (g) => {
        g.output("y", g.neg(g.parameter("state", "rows", [2])));
      }));
      const bound = executable.bind({ state });
      await bound.run({});
      await state.copyRows(from, [{ from: 0, to: 1 }]);
      assert.deepEqual(numbersOf((await bound.run({})).y), [-1, -9]);
      await executable.dispose();
    },
  },
  {
    name: "a store refuses unknown names, wrong lengths and rows out of range",
    async run(backend) {
      const store = await storeOf(backend, { a: float([2], 1, 2) });
      assert.throws(() => store.shape("b"), RangeError);
      await assert.rejects(async () => await store.read("b"), RangeError);
      await assert.rejects(async () => await store.write("b", new Float32Array(2)), RangeError);
      await assert.rejects(async () => await store.write("a", new Float32Array(3)), RangeError);
      const rows = [{ from: 0, to: 2 }];
      await assert.rejects(async () => await store.copyRows(store, rows), RangeError);
      assert.deepEqual([...await store.read("a")], [1, 2]);
      await store.dispose();
    },
  },
  {
    name: "a store created under an aborted signal is refused with its reason",
    async run(backend) {
      const reason = new Error("enough");
      const signal = AbortSignal.abort(reason);
      const entries = [fromFloat32("w", [1], Float32Array.of(1))];
      await assert.rejects(async () => await backend.createStore(entries, { signal }), reason);
    },
  },
];
