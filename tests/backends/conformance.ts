/**
 * The laws of `graph/backend.ts` as tests, for any backend.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type Backend,
  decompose,
  fromFloat32,
  grad,
  type HostTensor,
  interpret,
  isComposite,
  type Program,
  ProgramBuilder,
  type Store,
  type TensorSource,
} from "../../graph/mod.ts";
import { allCases, type AnyCase, caseInputs, caseProgram, randomNumbers } from "../graph/_cases.ts";
import { tinyInputs, tinyLlama, tinyStores, tinyTrainable } from "../graph/_tiny_llama.ts";

/** Options of {@linkcode conformance}. */
export interface ConformanceOptions {
  /** Name of the backend in the tests' names. */
  readonly name: string;
  /**
   * Largest difference from the float64 interpreter, relative to the largest number of the tensor
   * (at least 1).
   */
  readonly tolerance: number;
  /** Cases left out, each with its reason. */
  readonly skips?: Readonly<Record<string, string>>;
}

interface Case {
  readonly name: string;
  readonly run: (backend: Backend, tolerance: number) => Promise<void>;
}

const float = (shape: readonly number[], ...numbers: number[]): HostTensor => ({
  shape,
  data: Float32Array.from(numbers),
});
const int = (shape: readonly number[], ...numbers: number[]): HostTensor => ({
  shape,
  data: Int32Array.from(numbers),
});

function assertClose(
  got: HostTensor,
  want: HostTensor | { shape: readonly number[]; data: Float64Array },
  tolerance: number,
  what: string,
): void {
  assert.deepEqual([...got.shape], [...want.shape], `${what}: shape`);
  assert.equal(got.data.length, want.data.length, `${what}: elements`);
  let largest = 1;
  for (const number of want.data) largest = Math.max(largest, Math.abs(number));
  for (let i = 0; i < got.data.length; i++) {
    const error = Math.abs(got.data[i]! - want.data[i]!);
    assert.ok(
      error <= tolerance * largest,
      `${what}[${i}]: ${got.data[i]} is not ${want.data[i]} (error ${error})`,
    );
  }
}

function numbersOf(tensor: HostTensor | undefined): number[] {
  return [...tensor!.data];
}

async function storeOf(
  backend: Backend,
  tensors: Readonly<Record<string, HostTensor>>,
): Promise<Store> {
  return await backend.createStore(
    Object.entries(tensors).map(([name, { shape, data }]) =>
      fromFloat32(name, shape, Float32Array.from(data))
    ),
  );
}

/** A program of scalars or of fixed shapes, built by a function. */
function program(name: string, build: (g: ProgramBuilder) => void): Program {
  const g = new ProgramBuilder(name);
  build(g);
  return g.build();
}

/** Runs a program on the backend at several sizes, with one executable, against the interpreter. */
async function agrees(backend: Backend, tolerance: number, one: AnyCase, ran: Program) {
  const executable = await backend.compile(ran);
  const bound = executable.bind();
  for (const [index, sizes] of one.case.sizes.entries()) {
    const inputs = caseInputs(one, sizes, index + 1);
    const want = interpret(caseProgram(one), { inputs }).outputs;
    const got = await bound.run(inputs);
    assert.deepEqual(Object.keys(got).sort(), Object.keys(want).sort());
    for (const { name, value } of ran.outputs) {
      const kind = value.dtype === "float32" ? Float32Array : Int32Array;
      assert.ok(got[name]!.data instanceof kind, `${name} is not a ${kind.name}`);
      assertClose(got[name]!, want[name]!, tolerance, `${name} at ${JSON.stringify(sizes)}`);
    }
  }
  await executable.dispose();
}

function primitiveCases(): Case[] {
  return allCases().flatMap((one) => {
    const ran = caseProgram(one);
    const name = `${one.primitive}: ${one.case.name}`;
    const run = (backend: Backend, tolerance: number) => agrees(backend, tolerance, one, ran);
    if (!isComposite(one.primitive)) return [{ name, run }];
    return [{ name, run }, {
      name: `${name}, decomposed`,
      run: (backend: Backend, tolerance: number) => agrees(backend, tolerance, one, decompose(ran)),
    }];
  });
}

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

const counter = (): Program =>
  program("counter", (g) => {
    const next = g.add(g.parameter("state", "count", []), g.input("step", "float32", []));
    g.update("state", "count", next);
    g.output("next", next);
  });

const scaled = (): Program =>
  program("scaled", (g) => {
    const x = g.input("x", "float32", ["b", "t"]);
    const y = g.mul(x, g.parameter("adapter", "scale", []));
    g.output("y", g.add(y, g.parameter("base", "shift", [])));
  });

async function rejectsInput(
  backend: Backend,
  inputs: Readonly<Record<string, HostTensor>>,
  message: RegExp,
): Promise<void> {
  const executable = await backend.compile(program("checked", (g) => {
    const x = g.input("x", "float32", ["b", "t", 2]);
    const n = g.input("n", "int32", ["b"]);
    g.output("y", g.add(x, g.cast(g.reshape(n, ["b", 1, 1]), "float32")));
  }));
  const bound = executable.bind();
  await assert.rejects(async () => await bound.run(inputs), (error: Error) => {
    assert.ok(error instanceof TypeError, `${error} is no TypeError`);
    assert.match(error.message, message);
    return true;
  });
  // The executable lives on.
  const { y } = await bound.run({ x: float([1, 1, 2], 1, 2), n: int([1], 3) });
  assert.deepEqual(numbersOf(y), [4, 5]);
  await executable.dispose();
}

const goodX = float([1, 2, 2], 1, 2, 3, 4);
const goodN = int([1], 1);

const stateCases: readonly Case[] = [
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

const storeCases: readonly Case[] = [
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

const runCases: readonly Case[] = [
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

const errorCases: readonly Case[] = [
  {
    name: "a missing input is refused by name",
    run: (backend) => rejectsInput(backend, { x: goodX }, /\bn\b/),
  },
  {
    name: "an unknown input is refused by name",
    run: (backend) => rejectsInput(backend, { x: goodX, n: goodN, extra: goodN }, /\bextra\b/),
  },
  {
    name: "an input of another rank is refused",
    run: (backend) => rejectsInput(backend, { x: float([1, 2], 1, 2), n: goodN }, /\bx\b/),
  },
  {
    name: "an input of another size is refused",
    run: (backend) => rejectsInput(backend, { x: float([1, 1, 1], 1), n: goodN }, /\bx\b/),
  },
  {
    name: "inputs that differ in a named dimension are refused",
    run: (backend) => rejectsInput(backend, { x: goodX, n: int([2], 1, 1) }, /\bn\b/),
  },
  {
    name: "an input of another element type is refused",
    run: (backend) => rejectsInput(backend, { x: goodX, n: float([1], 1) }, /\bn\b/),
  },
  {
    name: "an input with fewer elements than its shape is refused",
    run: (backend) => rejectsInput(backend, { x: float([1, 2, 2], 1, 2), n: goodN }, /\bx\b/),
  },
  {
    name: "an axis of size 0 is refused",
    run: (backend) => rejectsInput(backend, { x: float([1, 0, 2]), n: goodN }, /\bx\b/),
  },
  {
    name: "a scope without a store is refused by name",
    async run(backend) {
      const base = await storeOf(backend, { shift: float([], 1) });
      const executable = await backend.compile(scaled());
      assert.throws(() => executable.bind({ base }), (error: Error) => {
        assert.ok(error instanceof TypeError);
        assert.match(error.message, /\badapter\b/);
        return true;
      });
      await executable.dispose();
    },
  },
  {
    name: "a store without a parameter, or with one of another shape, is refused by name",
    async run(backend) {
      const base = await storeOf(backend, { shift: float([], 1) });
      const executable = await backend.compile(scaled());
      for (const tensors of [{ other: float([], 1) }, { scale: float([2], 1, 2) }]) {
        const adapter = await storeOf(backend, tensors as unknown as Record<string, HostTensor>);
        assert.throws(() => executable.bind({ base, adapter }), (error: Error) => {
          assert.ok(error instanceof TypeError);
          assert.match(error.message, /\bscale\b/);
          return true;
        });
      }
      await executable.dispose();
    },
  },
  {
    name: "a batch larger than the stored rows is refused",
    async run(backend) {
      const state = await storeOf(backend, { rows: float([2], 1, 2) });
      const executable = await backend.compile(program("rows", (g) => {
        const rows = g.parameter("state", "rows", ["b"]);
        g.output("y", g.add(rows, g.input("x", "float32", ["b"])));
      }));
      const bound = executable.bind({ state });
      await assert.rejects(async () => await bound.run({ x: float([3], 1, 2, 3) }), TypeError);
      assert.deepEqual(numbersOf((await bound.run({ x: float([1], 1) })).y), [2]);
      await executable.dispose();
    },
  },
];

/** The loss and gradients of a two-layer Llama with LoRA. */
const modelCases: readonly Case[] = [1, 3].flatMap((chunks) =>
  [false, true].map((decomposed): Case => ({
    name: `the gradients of a two-layer Llama with LoRA, ${chunks} chunk${chunks > 1 ? "s" : ""}` +
      (decomposed ? ", decomposed" : ""),
    async run(backend, tolerance) {
      const differentiated = grad(tinyLlama({ chunks }), "loss", tinyTrainable);
      const tensors = tinyStores(3);
      const stores: Record<string, Store> = {};
      for (const [scope, entries] of Object.entries(tensors)) {
        stores[scope] = await storeOf(backend, entries);
      }
      const { base, ...others } = stores;
      const executable = await backend.compile(
        decomposed ? decompose(differentiated) : differentiated,
        { constants: { base: base! } },
      );
      const bound = executable.bind(others);
      for (const [batch, time] of [[2, 5], [1, 4]] as const) {
        const inputs = tinyInputs(batch, time);
        const want = interpret(differentiated, { inputs, stores: tensors }).outputs;
        const got = await bound.run(inputs);
        for (const name of Object.keys(want)) {
          assertClose(got[name]!, want[name]!, tolerance, `${name} at ${batch}×${time}`);
        }
      }
      await executable.dispose();
    },
  }))
);

/** Every case of the suite, in order. */
export function conformanceCases(): readonly string[] {
  return suite().map(({ name }) => name);
}

function suite(): Case[] {
  return [
    ...primitiveCases(),
    ...stateCases,
    ...storeCases,
    ...runCases,
    ...errorCases,
    ...modelCases,
  ];
}

/**
 * Registers the suite as one test with a step per case.
 *
 * @throws {RangeError} When a skip names no case.
 */
export function conformance(
  makeBackend: () => Promise<Backend>,
  { name, tolerance, skips = {} }: ConformanceOptions,
): void {
  const list = suite();
  for (const skip of Object.keys(skips)) {
    if (!list.some((one) => one.name === skip)) {
      throw new RangeError(`Cannot skip a case as it must be in the suite: ${skip}`);
    }
  }
  Deno.test(`the ${name} backend keeps the laws of backends`, async (t) => {
    const backend = await makeBackend();
    try {
      for (const one of list) {
        const reason = skips[one.name];
        await t.step({
          name: reason === undefined ? one.name : `${one.name} (skipped: ${reason})`,
          ignore: reason !== undefined,
          fn: () => one.run(backend, tolerance),
        });
      }
    } finally {
      await backend.dispose();
    }
  });
}
