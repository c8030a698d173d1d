/** What is particular to the onnx backend; the laws of every backend are in `conformance.ts`. */

import assert from "node:assert/strict";
import { ProgramBuilder } from "../../graph/builder.ts";
import { decompose } from "../../graph/decompose.ts";
import { interpret } from "../../graph/interpret.ts";
import type { Program } from "../../graph/program.ts";
import { createReferenceBackend } from "../../graph/reference_backend.ts";
import { fromFloat32 } from "../../graph/tensor_source.ts";
import { close, f32, i32, noise, testWith } from "./_onnx.ts";

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
    g.output("one", g.tokenLogProb(hidden, vocabulary, targets));
    g.output("three", g.tokenLogProb(hidden, vocabulary, targets, { chunks: 3 }));
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
