// What the onnx backend gives back: memory of bindings and of stores.

import assert from "node:assert/strict";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { fromFloat32, ProgramBuilder } from "../../graph/mod.ts";

const ROUNDS = 100;
/** Bytes of one round: an output and an input of a bound run, two blocks of a store. */
const ROUND_BYTES = 4 * 2 ** 23;
/** Rounds may wait for the garbage collector; kept, all hundred would be there. */
const MOST_BYTES = 40 * ROUND_BYTES;

Deno.test("a hundred bindings and stores that were disposed leave no memory behind, though held", async () => {
  const backend = await createOnnxBackend({ threads: 1 });
  try {
    const size = 2 ** 21;
    const g = new ProgramBuilder("large");
    const p = g.parameter("s", "p", [size]);
    const x = g.input("x", "float32", [size]);
    g.update("s", "p", g.add(g.exp(p), x));
    g.output("seen", g.add(p, x));
    const executable = await backend.compile(g.build());
    const input = { shape: [size], data: new Float32Array(size).fill(1) };
    const held: unknown[] = [];
    const round = async () => {
      const store = await backend.createStore([{ name: "p", shape: [size] }]);
      const bound = executable.bind({ s: store });
      const { seen } = await bound.run({ x: input });
      assert.equal(seen!.data[size - 1], 1);
      await store.dispose();
      await bound.dispose();
      held.push(store, bound);
    };
    for (let i = 0; i < 10; i++) await round();
    const before = Deno.memoryUsage().rss;
    for (let i = 0; i < ROUNDS; i++) await round();
    const grown = Deno.memoryUsage().rss - before;
    assert.ok(grown < MOST_BYTES, `${grown / 2 ** 20} MiB more, ${held.length} objects held`);
  } finally {
    await backend.dispose();
  }
});

Deno.test("a disposed store gives its memory back at once, and what a program holds stays", async () => {
  const backend = await createOnnxBackend({ threads: 1 });
  try {
    const size = 2 ** 26; // 256 MiB
    const values = () => Deno.memoryUsage().rss;
    const before = values();
    const store = await backend.createStore([{ name: "p", shape: [size] }]);
    await store.write("p", new Float32Array(size).fill(1));
    await store.dispose();
    const kept = values() - before;
    // The values written are the caller's, and wait for the garbage collector.
    assert.ok(kept < 1.5 * 4 * size, `${kept / 2 ** 20} MiB are left`);

    const constants = await backend.createStore([fromFloat32("w", [2], Float32Array.of(3, 4))]);
    const g = new ProgramBuilder("constant");
    g.output("y", g.add(g.parameter("weights", "w", [2]), g.input("x", "float32", [2])));
    const executable = await backend.compile(g.build(), { constants: { weights: constants } });
    const bound = executable.bind();
    await constants.dispose();
    const { y } = await bound.run({ x: { shape: [2], data: Float32Array.of(1, 1) } });
    assert.deepEqual([...y!.data], [4, 5]);
  } finally {
    await backend.dispose();
  }
});
