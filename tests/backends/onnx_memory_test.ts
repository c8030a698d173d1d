// What the onnx backend gives back: memory of bindings and of stores.

import assert from "node:assert/strict";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { ProgramBuilder } from "../../graph/mod.ts";

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
