// What a bound run of the onnx backend needs stays while only that is held.

import assert from "node:assert/strict";
import v8 from "node:v8";
import vm from "node:vm";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { type BoundExecutable, fromFloat32, ProgramBuilder } from "../../graph/mod.ts";

v8.setFlagsFromString("--expose-gc");
const collectGarbage = vm.runInNewContext("gc") as () => void;

const SIZE = 1024;

/** x + w, of which nothing but the bound run is kept: neither backend nor executable nor store. */
async function boundAlone(w: number): Promise<BoundExecutable> {
  const backend = await createOnnxBackend({ threads: 1 });
  const values = new Float32Array(SIZE * SIZE).fill(w);
  const weights = await backend.createStore([fromFloat32("w", [SIZE, SIZE], values)]);
  const g = new ProgramBuilder("forgotten");
  const x = g.input("x", "float32", [1]);
  g.output("y", g.add(g.parameter("weights", "w", [SIZE, SIZE]), x));
  return (await backend.compile(g.build(), { constants: { weights } })).bind();
}

Deno.test({
  name: "a bound run keeps its constants when the executable and the backend are forgotten",
  // The package keeps handles of its own once it is loaded, and no backend is left to be disposed.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const bound = await boundAlone(2);
    for (let round = 0; round < 5; round++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      collectGarbage();
      await boundAlone(-1); // takes the memory of what was freed
    }
    const { y } = await bound.run({ x: { shape: [1], data: Float32Array.of(1) } });
    assert.ok(y!.data.every((value) => value === 3), `${y!.data[0]}`);
  },
});
