/**
 * Runs: scopes, concurrency, outputs, disposal.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Case, counter, float, numbersOf, program, scaled, storeOf } from "./_support.ts";

/** What a run promises. */
export const runCases: readonly Case[] = [
  {
    name: "two adapters serve one base",
    async run(backend) {
      const base = await storeOf(backend, { shift: float([], 100) });
      const adapters = await Promise.all(
        [2, 3].map((scale) => storeOf(backend, { scale: float([], scale) })),
      );
      const executable = await backend.compile(scaled());
      const [first, second] = adapters.map((adapter) => executable.bind({ base, adapter }));
      const x = float([1, 2], 1, 2);
      assert.deepEqual(numbersOf((await first!.run({ x })).y), [102, 104]);
      assert.deepEqual(numbersOf((await second!.run({ x })).y), [103, 106]);
      assert.deepEqual(numbersOf((await first!.run({ x })).y), [102, 104]);
      await executable.dispose();
    },
  },
  {
    name: "a constant scope needs no binding",
    async run(backend) {
      const base = await storeOf(backend, { shift: float([], 100) });
      const adapter = await storeOf(backend, { scale: float([], 2) });
      const executable = await backend.compile(scaled(), { constants: { base } });
      const { y } = await executable.bind({ adapter }).run({ x: float([2, 1], 1, 2) });
      assert.deepEqual(numbersOf(y), [102, 104]);
      await executable.dispose();
    },
  },
  {
    name: "a constant matrix serves products with and without transposition",
    async run(backend) {
      const base = await storeOf(backend, { w: float([2, 3], 1, 2, 3, 4, 5, 6) });
      const executable = await backend.compile(
        program("both ways", (g) => {
          const w = g.parameter("base", "w", [2, 3]);
          const y = g.linear(g.input("x", "float32", ["b", 3]), w);
          g.output("y", y);
          g.output("back", g.matmul(y, w));
        }),
        { constants: { base } },
      );
      const { y, back } = await executable.bind().run({ x: float([1, 3], 1, 0, -1) });
      assert.deepEqual(numbersOf(y), [-2, -2]);
      assert.deepEqual(numbersOf(back), [-10, -14, -18]);
      await executable.dispose();
    },
  },
  {
    name: "runs started together happen one after the other",
    async run(backend) {
      const state = await storeOf(backend, { count: float([], 0) });
      const executable = await backend.compile(counter());
      const bound = executable.bind({ state });
      await Promise.all(
        [1, 10, 100, 1000].map((step) => bound.run({ step: float([], step) })),
      );
      assert.deepEqual([...await state.read("count")], [1111]);
      await executable.dispose();
    },
  },
  {
    name: "a failed run leaves the others of its time alone",
    async run(backend) {
      const state = await storeOf(backend, { count: float([], 0) });
      const executable = await backend.compile(counter());
      const bound = executable.bind({ state });
      const ends = await Promise.allSettled([
        bound.run({ step: float([], 1) }),
        bound.run({}),
        bound.run({ step: float([], 2) }),
      ]);
      assert.deepEqual(ends.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
      assert.deepEqual([...await state.read("count")], [3]);
      await executable.dispose();
    },
  },
  {
    name: "each run returns its own numbers, at any order of sizes",
    async run(backend) {
      const executable = await backend.compile(program("sum", (g) => {
        const x = g.input("x", "float32", ["b", "t"]);
        g.output("sum", g.reduceSum(x, [1]));
        g.output("same", x);
        g.output("flat", g.reshape(x, ["b*t"]));
      }));
      const bound = executable.bind();
      for (const [b, t] of [[2, 3], [1, 1], [4, 2], [2, 3], [3, 7]] as const) {
        const data = Float32Array.from({ length: b * t }, (_, at) => at + b);
        const got = await bound.run({ x: { shape: [b, t], data } });
        const sums = Array.from(
          { length: b },
          (_, row) => data.subarray(row * t, (row + 1) * t).reduce((sum, x) => sum + x, 0),
        );
        assert.deepEqual(numbersOf(got.sum), sums);
        assert.deepEqual(numbersOf(got.same), [...data]);
        assert.deepEqual([...got.same!.shape], [b, t]);
        assert.deepEqual(numbersOf(got.flat), [...data]);
        assert.deepEqual([...got.flat!.shape], [b * t]);
      }
      await executable.dispose();
    },
  },
  {
    name: "one value can be two outputs, and an output a constant",
    async run(backend) {
      const executable = await backend.compile(program("twice", (g) => {
        const y = g.neg(g.input("x", "float32", [2]));
        g.output("a", y);
        g.output("b", y);
        g.output("c", g.constant([4, 5], [2], "int32"));
      }));
      const { a, b, c } = await executable.bind().run({ x: float([2], 1, -2) });
      assert.deepEqual([a, b, c].map(numbersOf), [[-1, 2], [-1, 2], [4, 5]]);
      await executable.dispose();
    },
  },
  {
    name: "a run under an aborted signal is refused with its reason",
    async run(backend) {
      const state = await storeOf(backend, { count: float([], 0) });
      const executable = await backend.compile(counter());
      const bound = executable.bind({ state });
      const [reason, step] = [new Error("enough"), float([], 1)];
      const signal = AbortSignal.abort(reason);
      await assert.rejects(async () => await bound.run({ step }, { signal }), reason);
      await bound.run({ step }, { signal: new AbortController().signal });
      assert.deepEqual([...await state.read("count")], [1]);
      await executable.dispose();
    },
  },
  {
    name: "what was bound is disposed by itself, after its runs, and leaves the others alone",
    async run(backend) {
      const state = await storeOf(backend, { count: float([], 0) });
      const executable = await backend.compile(counter());
      const [bound, other] = [executable.bind({ state }), executable.bind({ state })];
      const running = bound.run({ step: float([], 1) });
      await bound.dispose();
      assert.deepEqual(numbersOf((await running).next), [1]);
      await bound.dispose();
      await assert.rejects(async () => await bound.run({ step: float([], 1) }), TypeError);
      assert.deepEqual(numbersOf((await other.run({ step: float([], 2) })).next), [3]);
      assert.deepEqual([...await state.read("count")], [3]);
      await executable.dispose();
      await other.dispose();
    },
  },
  {
    name: "a run on a disposed store is refused",
    async run(backend) {
      const state = await storeOf(backend, { count: float([], 0) });
      const executable = await backend.compile(counter());
      const bound = executable.bind({ state });
      await bound.run({ step: float([], 1) });
      await state.dispose();
      await assert.rejects(async () => await bound.run({ step: float([], 1) }), TypeError);
      await executable.dispose();
    },
  },
  {
    name: "what was disposed is refused, and may be disposed again",
    async run(backend) {
      const state = await storeOf(backend, { count: float([], 0) });
      const executable = await backend.compile(counter());
      const bound = executable.bind({ state });
      await bound.run({ step: float([], 1) });
      await executable.dispose();
      await executable.dispose();
      await assert.rejects(async () => await bound.run({ step: float([], 1) }), Error);
      assert.deepEqual([...await state.read("count")], [1]);
      await state.dispose();
      await state.dispose();
      await assert.rejects(async () => await state.read("count"), Error);
    },
  },
];
