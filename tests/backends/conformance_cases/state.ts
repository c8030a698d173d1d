/**
 * Updates of parameters, and who sees them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { interpret, type Program } from "../../../graph/mod.ts";
import { randomNumbers } from "../../graph/_cases.ts";
import {
  assertClose,
  type Case,
  counter,
  float,
  int,
  numbersOf,
  program,
  storeOf,
} from "./_support.ts";

/** A counter that its reader must see as it was; the reader stands before or after the step. */
function lateReader(readerFirst: boolean): Program {
  return program("late reader", (g) => {
    const count = g.parameter("state", "count", [3]);
    const step = g.input("step", "float32", []);
    const read = () => g.output("read", g.mul(count, g.constant(10)));
    if (readerFirst) read();
    g.update("state", "count", g.add(count, step));
    if (!readerFirst) read();
    g.output("old", count);
  });
}

/** State in, state out. */
export const stateCases: readonly Case[] = [
  ...[true, false].map((readerFirst): Case => ({
    name: `a reader ${readerFirst ? "before" : "after"} the update sees the old value`,
    async run(backend) {
      const state = await storeOf(backend, { count: float([3], 1, 2, 3) });
      const executable = await backend.compile(lateReader(readerFirst));
      const bound = executable.bind({ state });
      for (let times = 0; times < 3; times++) {
        const { read, old } = await bound.run({ step: float([], 2) });
        assert.deepEqual(numbersOf(read), [1, 2, 3].map((x) => 10 * (x + 2 * times)));
        assert.deepEqual(numbersOf(old), [1, 2, 3].map((x) => x + 2 * times));
      }
      assert.deepEqual([...await state.read("count")], [7, 8, 9]);
      await executable.dispose();
    },
  })),
  {
    name: "a reader of a product sees the old value beside a gradient step",
    async run(backend, tolerance) {
      const step = program("descent", (g) => {
        const w = g.parameter("state", "w", [4, 4]);
        const x = g.input("x", "float32", ["b", 4]);
        const y = g.matmul(x, w);
        g.update(
          "state",
          "w",
          g.sub(w, g.mul(g.matmul(x, y, { transposeA: true }), g.constant(0.1))),
        );
        g.output("late", g.matmul(y, w, { transposeB: true }));
      });
      const random = randomNumbers(5);
      const w = { shape: [4, 4], data: Float32Array.from({ length: 16 }, random) };
      const x = { shape: [3, 4], data: Float32Array.from({ length: 12 }, random) };
      const state = await storeOf(backend, { w });
      const executable = await backend.compile(step);
      const got = await executable.bind({ state }).run({ x });
      const want = interpret(step, { inputs: { x }, stores: { state: { w } } });
      assertClose(got.late!, want.outputs.late!, tolerance, "late");
      const next = { shape: [4, 4], data: await state.read("w") };
      assertClose(next, want.updates.state!.w!, tolerance, "w");
      await executable.dispose();
    },
  },
  {
    name: "two parameters can be swapped",
    async run(backend) {
      const state = await storeOf(backend, { a: float([2], 1, 2), b: float([2], 3, 4) });
      const executable = await backend.compile(program("swap", (g) => {
        const [a, b] = [g.parameter("state", "a", [2]), g.parameter("state", "b", [2])];
        g.update("state", "a", b);
        g.update("state", "b", a);
        g.output("a", a);
      }));
      const bound = executable.bind({ state });
      assert.deepEqual(numbersOf((await bound.run({})).a), [1, 2]);
      assert.deepEqual([...await state.read("a")], [3, 4]);
      assert.deepEqual([...await state.read("b")], [1, 2]);
      assert.deepEqual(numbersOf((await bound.run({})).a), [3, 4]);
      assert.deepEqual([...await state.read("a")], [1, 2]);
      await executable.dispose();
    },
  },
  {
    name: "a parameter can take an input, a constant or itself",
    async run(backend) {
      const state = await storeOf(backend, {
        a: float([2], 1, 2),
        b: float([2], 3, 4),
        c: float([2], 5, 6),
      });
      const executable = await backend.compile(program("take", (g) => {
        for (const name of ["a", "b", "c"]) g.parameter("state", name, [2]);
        g.update("state", "a", g.input("x", "float32", [2]));
        g.update("state", "b", g.constant([8, 9], [2]));
        g.update("state", "c", g.parameter("state", "c", [2]));
      }));
      await executable.bind({ state }).run({ x: float([2], 6, 7) });
      assert.deepEqual([...await state.read("a")], [6, 7]);
      assert.deepEqual([...await state.read("b")], [8, 9]);
      assert.deepEqual([...await state.read("c")], [5, 6]);
      await executable.dispose();
    },
  },
  {
    name: "two parameters can take one value",
    async run(backend) {
      const state = await storeOf(backend, { a: float([], 1), b: float([], 2) });
      const executable = await backend.compile(program("both", (g) => {
        const sum = g.add(g.parameter("state", "a", []), g.parameter("state", "b", []));
        g.update("state", "a", sum);
        g.update("state", "b", sum);
        g.output("sum", sum);
      }));
      const bound = executable.bind({ state });
      await bound.run({});
      assert.deepEqual(numbersOf((await bound.run({})).sum), [6]);
      assert.deepEqual([...await state.read("a"), ...await state.read("b")], [6, 6]);
      await executable.dispose();
    },
  },
  {
    name: "two executables on one store see each other's updates",
    async run(backend) {
      const state = await storeOf(backend, { count: float([], 1) });
      const [add, double] = await Promise.all([
        backend.compile(counter()),
        backend.compile(program("double", (g) => {
          const count = g.parameter("state", "count", []);
          g.update("state", "count", g.mul(count, g.constant(2)));
        })),
      ]);
      const [first, second] = [add.bind({ state }), double.bind({ state })];
      await first.run({ step: float([], 2) }); // 3
      await second.run({}); // 6
      assert.deepEqual(numbersOf((await first.run({ step: float([], 1) })).next), [7]);
      assert.deepEqual([...await state.read("count")], [7]);
      await Promise.all([add.dispose(), double.dispose()]);
    },
  },
  {
    name: "an update of the first rows leaves the others",
    async run(backend) {
      const state = await storeOf(backend, { rows: float([4, 2], 0, 1, 2, 3, 4, 5, 6, 7) });
      const executable = await backend.compile(program("rows", (g) => {
        const rows = g.parameter("state", "rows", ["b", 2]);
        const x = g.input("x", "float32", ["b"]);
        g.update("state", "rows", g.add(rows, g.reshape(x, ["b", 1])));
        g.output("sums", g.reduceSum(rows, [1]));
      }));
      const bound = executable.bind({ state });
      assert.deepEqual(numbersOf((await bound.run({ x: float([2], 10, 20) })).sums), [1, 5]);
      assert.deepEqual([...await state.read("rows")], [10, 11, 22, 23, 4, 5, 6, 7]);
      assert.deepEqual(
        numbersOf((await bound.run({ x: float([4], 0, 0, 0, 1) })).sums),
        [21, 45, 9, 13],
      );
      assert.deepEqual([...await state.read("rows")], [10, 11, 22, 23, 4, 5, 7, 8]);
      await executable.dispose();
    },
  },
  {
    name: "a cache grows token by token in the first rows of a store",
    async run(backend, tolerance) {
      const decode = program("decode", (g) => {
        const [heads, size, capacity] = [2, 8, 5];
        const fresh = ["query", "key", "value"].map((name) =>
          g.input(name, "float32", ["b", 1, heads, size])
        );
        const cache = ["keys", "values"].map((name) =>
          g.parameter("cache", name, ["b", heads, capacity, size])
        );
        const results = g.cachedAttention({
          query: fresh[0]!,
          key: fresh[1]!,
          value: fresh[2]!,
          keys: cache[0]!,
          values: cache[1]!,
          past: g.input("past", "int32", ["b"]),
          count: g.input("count", "int32", ["b"]),
        }, { scale: 0.5 });
        g.update("cache", "keys", results.keys);
        g.update("cache", "values", results.values);
        g.output("output", results.output);
      });
      const shape = [3, 2, 5, 8];
      const cache = await backend.createStore([{ name: "keys", shape }, { name: "values", shape }]);
      const executable = await backend.compile(decode);
      const bound = executable.bind({ cache });
      const random = randomNumbers(11);
      let mine: Record<string, { shape: readonly number[]; data: Float64Array }> = {
        keys: { shape: [2, 2, 5, 8], data: new Float64Array(160) },
        values: { shape: [2, 2, 5, 8], data: new Float64Array(160) },
      };
      for (let past = 0; past < 4; past++) {
        const fresh = () => ({
          shape: [2, 1, 2, 8],
          data: Float32Array.from({ length: 32 }, () => random() - 0.5),
        });
        const inputs = {
          query: fresh(),
          key: fresh(),
          value: fresh(),
          past: int([2], past, past),
          count: int([2], 1, 1),
        };
        const want = interpret(decode, { inputs, stores: { cache: mine } });
        mine = want.updates.cache!;
        assertClose((await bound.run(inputs)).output!, want.outputs.output!, tolerance, `${past}`);
      }
      assert.equal((await cache.read("keys")).subarray(160).some((x) => x !== 0), false);
      await executable.dispose();
    },
  },
];
