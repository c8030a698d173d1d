// What compiling does to weights and constants on the native onnx backend.

import assert from "node:assert/strict";
import { emitProgram } from "../../backends/onnx/emit.ts";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import type { Backend } from "../../graph/backend.ts";
import { ProgramBuilder } from "../../graph/builder.ts";
import { interpret } from "../../graph/interpret.ts";
import { fromFloat32 } from "../../graph/tensor_source.ts";
import { close, i32, noise, testWith } from "./_onnx.ts";

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
