// Stores of the onnx backend over tensors of a file.

import { strict as assert } from "node:assert";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openFile } from "../../cli/file_source.ts";
import { encodeFloats, ProgramBuilder } from "../../graph/mod.ts";
import { rangedTensor } from "../../models/checkpoints/ranged_tensor.ts";

const VALUES = Float32Array.of(1, -2, 3, 0.5, 8, -0.25);

Deno.test("createStore() gives a file's float32 values, wherever they stand, and never changes the file", async () => {
  const path = await Deno.makeTempFile();
  const backend = await createOnnxBackend({ threads: 1 });
  try {
    for (const offset of [0, 4, 2, 65_540]) { // 2: not aligned, which is read as ever
      const stored = new Uint8Array(offset + 4 * VALUES.length);
      stored.set(encodeFloats("f32", VALUES), offset);
      await Deno.writeFile(path, stored);
      using file = await openFile(path);
      const source = rangedTensor(file, "w", [2, 3], "f32", offset);
      let read = 0;
      const store = await backend.createStore([source], { onProgress: ({ done }) => read = done });
      assert.equal(read, source.byteLength); // whoever hashes what is read sees all of it
      assert.deepEqual(await store.read("w"), VALUES);

      const g = new ProgramBuilder("twice");
      const w = g.parameter("s", "w", [2, 3]);
      g.update("s", "w", g.add(w, w));
      await (await backend.compile(g.build())).bind({ s: store }).run({});
      assert.deepEqual(await store.read("w"), VALUES.map((value) => 2 * value));
      await store.write("w", VALUES.map((value) => -value));
      assert.deepEqual(await store.read("w"), VALUES.map((value) => -value));
      await store.dispose();
      assert.deepEqual(await Deno.readFile(path), stored);
    }
  } finally {
    await backend.dispose();
    await Deno.remove(path);
  }
});

Deno.test("createStore() refuses a file that has become too short", async () => {
  const path = await Deno.makeTempFile();
  const backend = await createOnnxBackend({ threads: 1 });
  try {
    await Deno.writeFile(path, encodeFloats("f32", VALUES));
    using file = await openFile(path);
    await Deno.truncate(path, 8);
    await assert.rejects(
      backend.createStore([rangedTensor(file, "w", [2, 3], "f32", 0)]),
      /must keep its 24 bytes while it is read/,
    );
  } finally {
    await backend.dispose();
    await Deno.remove(path);
  }
});
