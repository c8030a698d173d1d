import assert from "node:assert/strict";
import {
  deviceBackend,
  fromFloat32,
  grad,
  interpret,
  type Program,
  ProgramBuilder,
  referenceDevice,
  splitDevice,
  type Store,
} from "../../graph/mod.ts";
import { assertClose, storeOf } from "../backends/conformance_cases/_support.ts";
import { conformance } from "../backends/conformance.ts";
import { tinyInputs, tinyLlama, tinyStores, tinyTrainable } from "./_tiny_llama.ts";

/** The interpreter's outputs are rounded to float32; sums over pieces are in another order. */
const TOLERANCE = 2 ** -22;

/** A backend whose buffers hold so few bytes. */
const small = (maxBytes: number) => deviceBackend(splitDevice(referenceDevice(), maxBytes));

/** A vocabulary [11, 4] as it is used: looked up, and multiplied with in parts and whole. */
function vocabularyProgram(): Program {
  const g = new ProgramBuilder("vocabulary");
  const w = g.parameter("weights", "w", [11, 4]);
  const ids = g.input("ids", "int32", ["n"]);
  const hidden = g.gather(w, ids); // [n, 4]
  const logits = g.linear(hidden, w, { bias: g.parameter("weights", "bias", [11]) });
  g.output("logits", logits);
  g.output("back", g.matmul(g.softmax(logits), w));
  g.output("log_probs", g.tokenLogProb(hidden, w, ids, { chunks: 3 }));
  g.output("rows", g.reduceSum(g.matmul(hidden, g.slice(w, 0, 2, 9), { transposeB: true }), [0]));
  return g.build();
}

Deno.test("splitDevice() gives what one buffer gives when a vocabulary is in pieces", async () => {
  const values = Float32Array.from({ length: 44 }, (_, i) => Math.sin(3 * i));
  const bias = Float32Array.from({ length: 11 }, (_, i) => i / 7);
  const ids = { shape: [5], data: Int32Array.of(0, 4, 5, 10, 3) };
  const program = vocabularyProgram();
  const want = interpret(program, {
    inputs: { ids },
    stores: {
      weights: { w: { shape: [11, 4], data: values }, bias: { shape: [11], data: bias } },
    },
  }).outputs;
  // One buffer, three of up to 4 rows, and four of up to 3.
  for (const maxBytes of [11 * 16, 4 * 16, 3 * 16]) {
    const backend = small(maxBytes);
    const weights = await backend.createStore([
      fromFloat32("w", [11, 4], values),
      fromFloat32("bias", [11], bias),
    ]);
    assert.deepEqual(await weights.read("w"), values);
    for (const constants of [{ weights }, undefined]) {
      const executable = await backend.compile(program, constants ? { constants } : {});
      const bound = executable.bind(constants ? {} : { weights });
      const got = await bound.run({ ids });
      for (const name of Object.keys(want)) {
        assertClose(got[name]!, want[name]!, TOLERANCE, `${name} at ${maxBytes} bytes`);
      }
      await executable.dispose();
    }
    await backend.dispose();
  }
});

Deno.test("splitDevice() gives the gradients of a Llama when its vocabulary is in pieces", async () => {
  const differentiated = grad(tinyLlama({ chunks: 3 }), "loss", tinyTrainable);
  const tensors = tinyStores(3);
  const inputs = tinyInputs(2, 5);
  const want = interpret(differentiated, { inputs, stores: tensors }).outputs;
  const largest = Math.max(
    ...Object.values(tensors.base!).map(({ shape }) => 4 * shape.reduce((a, b) => a * b, 1)),
  );
  const backend = small(largest / 2);
  const stores: Record<string, Store> = {};
  for (const [scope, entries] of Object.entries(tensors)) {
    stores[scope] = await storeOf(backend, entries);
  }
  const { base, ...others } = stores;
  const executable = await backend.compile(differentiated, { constants: { base: base! } });
  const got = await executable.bind(others).run(inputs);
  for (const name of Object.keys(want)) assertClose(got[name]!, want[name]!, TOLERANCE, name);
  await backend.dispose();
});

Deno.test("splitDevice() copies rows across its pieces", async () => {
  const backend = small(4 * 2 * 3); // three rows of two
  const numbers = (from: number, count: number) =>
    Float32Array.from({ length: 2 * count }, (_, index) => from + index);
  const store = await backend.createStore([fromFloat32("w", [7, 2], numbers(0, 7))]);
  const other = await backend.createStore([fromFloat32("w", [4, 2], numbers(100, 4))]);
  await store.copyRows(other, [{ from: 3, to: 0 }, { from: 1, to: 2 }, { from: 2, to: 3 }]);
  assert.deepEqual(
    [...await store.read("w")],
    [106, 107, 2, 3, 102, 103, 104, 105, 8, 9, 10, 11, 12, 13],
  );
  await backend.dispose();
});

Deno.test("splitDevice() refuses what cannot be in pieces", async () => {
  const backend = small(64);
  const program = (build: (g: ProgramBuilder) => void) => {
    const g = new ProgramBuilder("wide");
    build(g);
    return g.build();
  };
  const squared = program((g) => {
    const w = g.parameter("weights", "w", [8, 4]);
    g.output("y", g.reduceSum(g.mul(w, w)));
  });
  await assert.rejects(backend.compile(squared), {
    name: "TypeError",
    message: "Cannot compile wide as weights/w must be read by look-ups, slices of rows and " +
      "products alone, being too large for one buffer: mul",
  });
  const updated = program((g) => {
    const w = g.parameter("weights", "w", [8, 4]);
    g.update("weights", "w", g.add(w, w));
  });
  await assert.rejects(backend.compile(updated), /weights\/w .*: it is updated$/);
  await assert.rejects(
    backend.createStore([{ name: "w", shape: [2, 17] }]),
    { name: "RangeError", message: /each of its rows must have at most 64 bytes: 68$/ },
  );
  const rows = program((g) => {
    const w = g.parameter("cache", "w", ["n", 4]);
    const x = g.input("x", "float32", ["n"]);
    g.output("y", g.add(g.reduceSum(w, [1]), x));
  });
  const cache = await backend.createStore([{ name: "w", shape: [8, 4] }]);
  const bound = (await backend.compile(rows)).bind({ cache });
  await assert.rejects(
    bound.run({ x: { shape: [8], data: new Float32Array(8) } }),
    { name: "TypeError", message: /whose rows are named must be in one buffer: \[8, 4\] is in 2$/ },
  );
  await backend.dispose();
});

conformance(() => Promise.resolve(small(2 ** 20)), {
  name: "split reference",
  tolerance: 2 ** -24,
});
