/** What is particular to the onnx backend; the laws of every backend are in `conformance.ts`. */

import assert from "node:assert/strict";
import { emitProgram } from "../../backends/onnx/emit.ts";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import type { Backend, HostTensor } from "../../graph/backend.ts";
import { ProgramBuilder } from "../../graph/builder.ts";
import { decompose } from "../../graph/decompose.ts";
import { interpret } from "../../graph/interpret.ts";
import type { Program } from "../../graph/program.ts";
import { createReferenceBackend } from "../../graph/reference_backend.ts";
import { fromFloat32 } from "../../graph/tensor_source.ts";

/** float32 sums of a few dozen terms of size 1. */
const TOLERANCE = 1e-5;

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = TOLERANCE) {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    const scale = Math.max(1, Math.abs(expected[i]!));
    assert.ok(
      Math.abs(actual[i]! - expected[i]!) <= tolerance * scale,
      `element ${i}: ${actual[i]} is not ${expected[i]}`,
    );
  }
}

function noise(seed: number, shape: readonly number[]): HostTensor & { data: Float32Array } {
  const count = shape.reduce((product, size) => product * size, 1);
  const data = Float32Array.from({ length: count }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 31 - 1;
  });
  return { shape, data };
}

const f32 = (...data: number[]): HostTensor => ({
  shape: [data.length],
  data: Float32Array.from(data),
});
const i32 = (...data: number[]): HostTensor => ({
  shape: [data.length],
  data: Int32Array.from(data),
});

function testWith(name: string, body: (backend: Backend) => Promise<void>) {
  Deno.test({
    name,
    // The package keeps handles of its own once it is loaded.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      const backend = await createOnnxBackend({ threads: 2 });
      try {
        await body(backend);
      } finally {
        await backend.dispose();
      }
    },
  });
}

/** p ← p − g, with another reader of p before or after it in the list. */
function lateReader(readFirst: boolean, chained: boolean): Program {
  const g = new ProgramBuilder("late_reader");
  const gradient = g.input("g", "float32", [4]);
  const p = g.parameter("s", "p", [4]);
  const read = () => g.output("seen", g.reshape(g.mul(g.exp(p), g.constant(2)), [2, 2]));
  if (readFirst) read();
  const factor = chained ? g.mul(gradient, g.reduceSum(p, [0], true)) : gradient;
  g.update("s", "p", g.sub(p, factor));
  if (!readFirst) read();
  return g.build();
}

for (const readFirst of [true, false]) {
  for (const chained of [true, false]) {
    const order = `${readFirst ? "before" : "after"} it${chained ? ", and one it needs" : ""}`;
    testWith(`run() gives readers the old value when one stands ${order}`, async (backend) => {
      const executable = await backend.compile(lateReader(readFirst, chained));
      const store = await backend.createStore([fromFloat32("p", [4], Float32Array.of(1, 2, 3, 4))]);
      const bound = executable.bind({ s: store });
      let p = [1, 2, 3, 4];
      for (let step = 0; step < 3; step++) {
        const { seen } = await bound.run({ g: f32(0.1, 0.2, 0.3, 0.4) });
        close(seen!.data, p.map((value) => 2 * Math.exp(value)));
        const factor = chained ? p.reduce((a, b) => a + b) : 1;
        p = p.map((value, index) => value - 0.1 * (index + 1) * factor);
        close(await store.read("p"), p);
      }
    });
  }
}

testWith("run() exchanges two parameters when each becomes the other", async (backend) => {
  const g = new ProgramBuilder("exchange");
  const [a, b] = [g.parameter("s", "a", [2]), g.parameter("s", "b", [2])];
  g.update("s", "a", b);
  g.update("s", "b", a);
  const store = await backend.createStore([
    fromFloat32("a", [2], Float32Array.of(1, 2)),
    fromFloat32("b", [2], Float32Array.of(3, 4)),
  ]);
  const bound = (await backend.compile(g.build())).bind({ s: store });
  await bound.run({});
  assert.deepEqual([...await store.read("a"), ...await store.read("b")], [3, 4, 1, 2]);
  await bound.run({});
  assert.deepEqual([...await store.read("a"), ...await store.read("b")], [1, 2, 3, 4]);
});

testWith(
  "run() gives readers the old value when one store stands for two scopes",
  async (backend) => {
    const g = new ProgramBuilder("two_scopes");
    const p = g.parameter("policy", "p", [3]);
    const start = g.parameter("start", "p", [3]);
    g.update("policy", "p", g.add(p, g.constant(1)));
    g.output("start", g.exp(start));
    const store = await backend.createStore([{ name: "p", shape: [3] }]);
    const executable = await backend.compile(g.build());
    const bound = executable.bind({ policy: store, start: store });
    close((await bound.run({}))["start"]!.data, [1, 1, 1]);
    close((await bound.run({}))["start"]!.data, Array(3).fill(Math.E));
    const other = await backend.createStore([{ name: "p", shape: [3] }]);
    close((await executable.bind({ policy: store, start: other }).run({}))["start"]!.data, [
      1,
      1,
      1,
    ]);
    assert.deepEqual([...await store.read("p")], [3, 3, 3]);
  },
);

testWith("run() sees what another executable wrote when they share a store", async (backend) => {
  const writer = new ProgramBuilder("writer");
  const p = writer.parameter("s", "p", [2, 2]);
  writer.update("s", "p", writer.transpose(p, [1, 0])); // never in place
  const reader = new ProgramBuilder("reader");
  reader.output("p", reader.mul(reader.parameter("s", "p", [2, 2]), reader.constant(1)));
  const store = await backend.createStore([fromFloat32("p", [2, 2], Float32Array.of(1, 2, 3, 4))]);
  const before = await store.snapshot();
  const write = (await backend.compile(writer.build())).bind({ s: store });
  const read = (await backend.compile(reader.build())).bind({ s: store });
  assert.deepEqual([...(await read.run({}))["p"]!.data], [1, 2, 3, 4]);
  await write.run({});
  assert.deepEqual([...(await read.run({}))["p"]!.data], [1, 3, 2, 4]);
  assert.deepEqual([...await before.read("p")], [1, 2, 3, 4]);
});

testWith("run() keeps rows outside the run when the first axis is named", async (backend) => {
  const g = new ProgramBuilder("rows");
  const x = g.input("x", "float32", ["batch"]);
  const p = g.parameter("s", "p", ["batch", 2]);
  g.update("s", "p", g.transpose(g.add(g.transpose(p, [1, 0]), x), [1, 0]));
  const store = await backend.createStore([{ name: "p", shape: [3, 2] }]);
  const bound = (await backend.compile(g.build())).bind({ s: store });
  await bound.run({ x: f32(1, 2, 3) });
  await bound.run({ x: f32(10) });
  await bound.run({ x: f32(100, 100) });
  assert.deepEqual([...await store.read("p")], [111, 111, 102, 102, 3, 3]);
  await assert.rejects(bound.run({ x: f32(1, 2, 3, 4) }), TypeError);
});

/** Cached attention whose undefined rows and cells are 0, so that two lowerings can be compared. */
function cachedProgram(window?: number, size = 8): Program {
  const g = new ProgramBuilder("cached");
  const query = g.input("query", "float32", ["batch", "time", 4, size]);
  const key = g.input("key", "float32", ["batch", "time", 2, size]);
  const value = g.input("value", "float32", ["batch", "time", 2, size]);
  const keys = g.parameter("cache", "keys", ["batch", 2, 6, size]);
  const values = g.parameter("cache", "values", ["batch", 2, 6, size]);
  const past = g.input("past", "int32", ["batch"]);
  const count = g.input("count", "int32", ["batch"]);
  const result = g.cachedAttention(
    { query, key, value, keys, values, past, count },
    { scale: 0.3, ...(window === undefined ? {} : { window }) },
  );
  const real = g.less(g.iota(["time", 1, 1], 0), g.reshape(count, ["batch", 1, 1, 1]));
  g.output("output", g.select(real, result.output, g.constant(0)));
  g.update("cache", "keys", result.keys);
  g.update("cache", "values", result.values);
  return g.build();
}

for (const window of [undefined, 2]) {
  testWith(
    `cachedAttention() equals its decomposition when the window is ${window}`,
    async (backend) => {
      const program = cachedProgram(window);
      const native = await backend.createStore([
        { name: "keys", shape: [3, 2, 6, 8] },
        { name: "values", shape: [3, 2, 6, 8] },
      ]);
      const simple = await native.snapshot();
      const bytes = native.bytes;
      const bound = (await backend.compile(program)).bind({ cache: native });
      const reference = (await backend.compile(decompose(program))).bind({ cache: simple });
      const step = async (time: number, past: number[], count: number[], seed: number) => {
        const batch = past.length;
        const inputs = {
          query: noise(seed, [batch, time, 4, 8]),
          key: noise(seed + 1, [batch, time, 2, 8]),
          value: noise(seed + 2, [batch, time, 2, 8]),
          past: i32(...past),
          count: i32(...count),
        };
        const actual = (await bound.run(inputs))["output"]!.data;
        close(actual, (await reference.run(inputs))["output"]!.data);
      };
      await step(4, [0, 0, 0], [4, 2, 1], 1); // ragged prefill
      await step(1, [4, 2, 1], [1, 1, 1], 5);
      await native.copyRows(native, [{ from: 0, to: 1 }]);
      await simple.copyRows(simple, [{ from: 0, to: 1 }]);
      await step(1, [5, 5], [1, 1], 9); // fewer rows
      assert.equal(native.bytes, bytes); // the caches are written in place
      await assert.rejects(
        bound.run({
          query: noise(1, [1, 2, 4, 8]),
          key: noise(1, [1, 2, 2, 8]),
          value: noise(1, [1, 2, 2, 8]),
          past: i32(2),
          count: i32(2),
        }),
        /past must be 0 in every row when several tokens are new: 2/,
      );
    },
  );
}

testWith("cachedAttention() takes heads that are no multiple of 8 elements", async (backend) => {
  const size = 6; // GroupQueryAttention refuses it
  const program = cachedProgram(3, size);
  const reference = createReferenceBackend();
  const tensors = ["keys", "values"].map((name) => ({ name, shape: [2, 2, 6, size] }));
  const bound = await Promise.all(
    [backend, reference].map(async (one) =>
      (await one.compile(program)).bind({ cache: await one.createStore(tensors) })
    ),
  );
  const step = async (time: number, past: number[], count: number[], seed: number) => {
    const inputs = {
      query: noise(seed, [2, time, 4, size]),
      key: noise(seed + 1, [2, time, 2, size]),
      value: noise(seed + 2, [2, time, 2, size]),
      past: i32(...past),
      count: i32(...count),
    };
    const [actual, expected] = await Promise.all(bound.map((one) => one.run(inputs)));
    close(actual!["output"]!.data, expected!["output"]!.data);
  };
  await step(4, [0, 0], [4, 2], 1);
  await step(1, [4, 2], [1, 1], 5);
});

testWith("run() gives the interpreter's numbers when named sizes change", async (backend) => {
  const g = new ProgramBuilder("sizes");
  const x = g.input("x", "float32", ["batch", "time", 6]);
  const flat = g.reshape(x, ["batch*time", 6]);
  const y = g.reshape(g.softmax(flat), ["batch", "time", 2, 3]);
  g.output("y", g.transpose(y, [2, 0, 1, 3]));
  g.output("position", g.iota(["batch", "time"], 1));
  const program = g.build();
  const bound = (await backend.compile(program)).bind();
  for (const [batch, time] of [[2, 5], [1, 1], [3, 2], [2, 5]] as const) {
    const inputs = { x: noise(batch, [batch, time, 6]) };
    const outputs = await bound.run(inputs);
    for (const [name, expected] of Object.entries(interpret(program, { inputs }).outputs)) {
      assert.deepEqual(outputs[name]!.shape, expected.shape);
      close(outputs[name]!.data, expected.data);
    }
  }
});

testWith("run() keeps order and values when runs are concurrent", async (backend) => {
  const g = new ProgramBuilder("count");
  const x = g.input("x", "float32", []);
  const sum = g.add(g.parameter("s", "sum", []), x);
  g.update("s", "sum", sum);
  g.output("sum", sum);
  const store = await backend.createStore([{ name: "sum", shape: [] }]);
  const bound = (await backend.compile(g.build())).bind({ s: store });
  const data = Float32Array.of(1);
  const runs = Array.from({ length: 10 }, async (_, index) => {
    data[0] = index; // what is given is read when run() is called
    const { sum } = await bound.run({ x: { shape: [], data } });
    return sum!.data;
  });
  // Outputs are valid until the next run: all are views of one buffer.
  for (const data of await Promise.all(runs)) assert.equal(data[0], 45);
  assert.deepEqual([...await store.read("sum")], [45]);
});

testWith("run() leaves the event loop alive and stops when aborted", async (backend) => {
  const g = new ProgramBuilder("long");
  let x = g.input("x", "float32", ["n", "n"]);
  for (let layer = 0; layer < 40; layer++) x = g.matmul(x, x);
  g.output("y", x);
  const bound = (await backend.compile(g.build())).bind();
  const inputs = { x: { shape: [512, 512], data: new Float32Array(512 * 512) } };
  await bound.run(inputs);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await bound.run(inputs);
  clearInterval(timer);
  assert.ok(ticks > 0, "no timer fired during the run");
  const controller = new AbortController();
  const run = bound.run(inputs, { signal: controller.signal });
  setTimeout(() => controller.abort(new Error("enough")), 1);
  await assert.rejects(run, /^Error: enough$/);
  assert.equal((await bound.run(inputs))["y"]!.data[0], 0);
});

testWith(
  "compile() gives parts of a constant when a program walks it in chunks",
  async (backend) => {
    const g = new ProgramBuilder("chunks");
    const hidden = g.input("hidden", "float32", ["n", 8]);
    const vocabulary = g.parameter("weights", "vocabulary", [50, 8]);
    const targets = g.input("targets", "int32", ["n"]);
    g.output("one", g.tokenLogProb(hidden, vocabulary, targets, 1));
    g.output("three", g.tokenLogProb(hidden, vocabulary, targets, 3));
    g.parameter("weights", "unused", [2]);
    const program = g.build();
    const table = noise(3, [50, 8]);
    const unused = fromFloat32("unused", [2], Float32Array.of(1, 2));
    const weights = await backend.createStore([
      fromFloat32("vocabulary", [50, 8], table.data),
      unused,
    ]);
    const bound = (await backend.compile(program, { constants: { weights } })).bind();
    const inputs = { hidden: noise(4, [3, 8]), targets: i32(0, 20, 49) };
    const outputs = await bound.run(inputs);
    const stores = { weights: { vocabulary: table, unused: f32(1, 2) } };
    const { one, three } = interpret(program, { inputs, stores }).outputs;
    close(outputs["one"]!.data, one!.data);
    close(outputs["three"]!.data, three!.data);
  },
);

testWith("run() repeats its bytes when numbers are denormal", async (backend) => {
  const g = new ProgramBuilder("denormal");
  const a = g.input("a", "float32", ["n", 64]);
  const b = g.input("b", "float32", [64, "n"]);
  g.output("y", g.matmul(a, b));
  const bound = (await backend.compile(g.build())).bind();
  const count = 64 * 1024;
  const inputs = {
    a: { shape: [1024, 64], data: new Float32Array(count).fill(1e-20) },
    b: { shape: [64, 1024], data: new Float32Array(count).fill(1e-21) },
  };
  const counts = new Set<number>();
  for (let run = 0; run < 10; run++) {
    const busy = Promise.all([1, 2, 3].map(() => crypto.subtle.digest("SHA-1", new Uint8Array(9))));
    const { y } = await bound.run(inputs);
    counts.add([...y!.data].filter((value) => value === 0).length);
    await busy;
  }
  assert.equal(counts.size, 1, `zeros: ${[...counts]}`);
  assert.ok(Number.MIN_VALUE * counts.size > 0, "JavaScript keeps its denormals");
});

/** MiB that compiling programs with 40 MiB of weights adds to the process, one by one. */
async function residentGrowth(backend: Backend, cached: boolean): Promise<number[]> {
  const size = 3238; // above the 32 MiB that the C library may keep of freed memory
  const weights = await backend.createStore([{ name: "w", shape: [size, size] }]);
  await weights.write("w", new Float32Array(size * size).fill(0.5));
  const growth: number[] = [];
  for (let count = 1; count <= 3; count++) {
    const g = new ProgramBuilder(`product_${count}`);
    const x = g.input("x", "float32", ["n", size]);
    g.output("y", g.linear(x, g.parameter("weights", "w", [size, size])));
    if (cached) {
      const row = g.input("row", "float32", [1, 1, 1, 8]);
      const cache = g.input("cache", "float32", [1, 1, 4, 8]);
      const one = g.input("one", "int32", [1]);
      const attended = g.cachedAttention(
        { query: row, key: row, value: row, keys: cache, values: cache, past: one, count: one },
        { scale: 1 },
      );
      g.output("attended", attended.output);
    }
    const before = Deno.memoryUsage().rss;
    await backend.compile(g.build(), { constants: { weights } });
    growth.push((Deno.memoryUsage().rss - before) / 2 ** 20);
  }
  return growth;
}

testWith("compile() copies weights at most once when sessions share them", async (backend) => {
  const plain = await residentGrowth(backend, false);
  assert.ok(plain.every((grown) => grown < 20), `without packing: ${plain} MiB`);
  const [first, ...others] = await residentGrowth(backend, true);
  assert.ok(first! < 60, `packing once: ${first} MiB`);
  assert.ok(others.every((grown) => grown < 20), `packing again: ${others} MiB`);
});

testWith("compile() folds what is computed from constants alone", async (backend) => {
  const g = new ProgramBuilder("folded");
  const x = g.input("x", "float32", ["n", 300]);
  const w = g.parameter("weights", "w", [300, 200]);
  g.output("sum", g.matmul(x, g.mul(g.add(w, g.constant(1)), g.constant(0.1))));
  g.output("part", g.matmul(x, g.slice(w, 1, 10, 20)));
  g.output("turned", g.matmul(g.transpose(w, [1, 0]), x, { transposeB: true }));
  const program = g.build();
  const [table, rows] = [noise(3, [300, 200]), noise(4, [2, 300])];
  const weights = await backend.createStore([fromFloat32("w", [300, 200], table.data)]);
  const bound = (await backend.compile(program, { constants: { weights } })).bind();
  const outputs = await bound.run({ x: rows });
  const expected = interpret(program, { inputs: { x: rows }, stores: { weights: { w: table } } });
  for (const [name, { data }] of Object.entries(expected.outputs)) close(outputs[name]!.data, data);
});

Deno.test({
  name: "compile() leaves no product of constants to a run",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "sppo-" });
    const backend = await createOnnxBackend({ threads: 1, profile: `${folder}/` });
    try {
      const g = new ProgramBuilder("folded");
      const table = g.parameter("weights", "table", [20, 30]);
      const w = g.parameter("weights", "w", [40, 30]);
      const projected = g.linear(table, w, { bias: g.parameter("weights", "b", [40]) });
      const rows = g.gather(g.mul(projected, g.constant(0.1)), g.input("at", "int32", ["n"]));
      g.output("y", g.linear(rows, g.parameter("weights", "v", [10, 40])));
      const program = g.build();
      const tensors = {
        table: noise(1, [20, 30]),
        w: noise(2, [40, 30]),
        b: noise(3, [40]),
        v: noise(4, [10, 40]),
      };
      const weights = await backend.createStore(
        Object.entries(tensors).map(([name, { shape, data }]) => fromFloat32(name, shape, data)),
      );
      const executable = await backend.compile(program, { constants: { weights } });
      const inputs = { at: i32(3, 0, 19) };
      const { y } = await executable.bind().run(inputs);
      const expected = interpret(program, { inputs, stores: { weights: tensors } });
      close(y!.data, expected.outputs["y"]!.data);
      await executable.dispose();
      const [profile] = Array.from(Deno.readDirSync(folder), ({ name }) => name);
      const events = JSON.parse(await Deno.readTextFile(`${folder}/${profile}`));
      const ran = events.flatMap(({ name, args }: { name: string; args: { op_name: string } }) =>
        name.endsWith("_kernel_time") ? [args.op_name] : []
      );
      assert.deepEqual(ran, ["Gather", "FusedMatMul"]);
    } finally {
      await backend.dispose();
      await Deno.remove(folder, { recursive: true });
    }
  },
});

testWith("errors name what was done when something does not fit", async (backend) => {
  const g = new ProgramBuilder("add");
  const rows = g.input("x", "float32", ["n", 2]);
  g.output("y", g.add(rows, g.parameter("s", "p", [2])));
  g.output("taken", g.gather(rows, g.input("index", "int32", [])));
  const executable = await backend.compile(g.build());
  assert.throws(() => executable.bind(), {
    name: "TypeError",
    message: "Cannot bind add as the scope s must have a store: missing",
  });
  const wrong = await backend.createStore([{ name: "p", shape: [3] }]);
  assert.throws(() => executable.bind({ s: wrong }), {
    name: "TypeError",
    message: "Cannot bind add as s/p must have the shape [2]: [3] is stored",
  });
  const store = await backend.createStore([{ name: "p", shape: [2] }]);
  const bound = executable.bind({ s: store });
  const x = { shape: [1, 2], data: Float32Array.of(1, 2) };
  const index = { shape: [], data: Int32Array.of(0) };
  await assert.rejects(bound.run({ x }), TypeError);
  await assert.rejects(bound.run({ x: { ...x, shape: [0, 2] }, index }), TypeError);
  await assert.rejects(bound.run({ x: index, index }), TypeError);
  const far = { shape: [], data: Int32Array.of(7) };
  await assert.rejects(
    bound.run({ x, index: far }),
    /^Error: Cannot run add as onnxruntime refused: /,
  );
  assert.deepEqual([...(await bound.run({ x, index }))["y"]!.data], [1, 2]);
  await assert.rejects(store.write("p", new Float32Array(3)), RangeError);
  await assert.rejects(store.read("q"), RangeError);
  await assert.rejects(backend.createStore([{ name: "p", shape: [0] }]), RangeError);
  await executable.dispose();
  await assert.rejects(bound.run({ x, index }), /must not be disposed/);
});

testWith(
  "compile() loses no sum of scatterAdd when threads share an index",
  async (backend) => {
    const g = new ProgramBuilder("shared index");
    g.output(
      "y",
      g.scatterAdd(g.input("x", "float32", ["n", 256]), g.input("at", "int32", ["n"]), 2),
    );
    const bound = (await backend.compile(g.build())).bind();
    const n = 1024;
    const x = { shape: [n, 256], data: new Float32Array(n * 256).fill(1) };
    const at = { shape: [n], data: new Int32Array(n) };
    for (let run = 0; run < 10; run++) {
      const { y } = await bound.run({ x, at });
      close(y!.data, [...Array(256).fill(n), ...Array(256).fill(0)], 0);
    }
  },
);

Deno.test("emitProgram() leaves nothing of an encoded matrix to be decoded before the run", () => {
  const g = new ProgramBuilder("back");
  const w = g.parameter("weights", "w", [1024, 1024]);
  const x = g.input("x", "float32", [1, "n", 1024]);
  g.output("forth", g.linear(x, w));
  g.output("back", g.matmul(x, w));
  for (const encoding of ["q4_0", "q4_1", "q8_0"] as const) {
    const { constants } = emitProgram(g.build(), {
      constants: new Set(["weights"]),
      encodingOf: () => encoding,
      activations: "float32",
    });
    // What is inspected may be folded, that is, held in float32.
    assert.ok(constants.length >= 3);
    assert.deepEqual(constants.filter(({ inspected }) => inspected), []);
  }
});
