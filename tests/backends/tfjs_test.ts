import assert from "node:assert/strict";
import { createTfjsBackend, type TfjsDeviceName } from "../../backends/tfjs/mod.ts";
import { fromFloat32, type Program, ProgramBuilder } from "../../graph/mod.ts";
import { webGpuSkip } from "./_webgpu.ts";
import { conformance } from "./conformance.ts";

/** float32 sums of some hundred terms; exponentials and error functions by short polynomials. */
const TOLERANCE = 2e-5;

for (const device of ["cpu", "wasm"] as const) {
  conformance(() => createTfjsBackend({ device }), {
    name: `tfjs-${device}`,
    tolerance: TOLERANCE,
  });
}

const skip = await webGpuSkip();
if (skip) {
  Deno.test({
    name: `the tfjs-webgpu backend keeps the laws of backends (skipped: ${skip})`,
    ignore: true,
    fn() {},
  });
} else {
  conformance(() => createTfjsBackend({ device: "webgpu" }), {
    name: "tfjs-webgpu",
    tolerance: TOLERANCE,
  });
}

/** A step of everything that keeps tensors: an update, a constant used transposed, masks, a cache. */
function busyProgram(): Program {
  const g = new ProgramBuilder("busy");
  const [w, v] = [g.parameter("state", "w", [8, 8]), g.parameter("base", "v", [8, 8])];
  const x = g.input("x", "float32", ["b", "t", 8]);
  const hidden = g.linear(g.softmax(g.linear(x, w)), v);
  const heads = g.reshape(hidden, ["b", "t", 2, 4]);
  const seen = g.attention(heads, heads, heads, {
    scale: 0.5,
    mask: { kind: "causal" },
  });
  const flat = g.reshape(seen, ["b*t", 8]);
  const step = g.matmul(flat, g.reshape(x, ["b*t", 8]), { transposeA: true });
  g.update("state", "w", g.add(g.mul(w, g.constant(0.99)), g.mul(step, g.constant(1e-3))));
  const rows = g.parameter("state", "rows", ["b", 2]);
  g.update("state", "rows", g.add(rows, g.constant(1)));
  g.output("mean", g.reduceSum(flat, [0, 1]));
  g.output("w", w);
  return g.build();
}

for (const device of ["cpu", "wasm"] satisfies TfjsDeviceName[]) {
  Deno.test(`run() leaves as many tensors after a thousand steps when the device is ${device}`, async () => {
    const backend = await createTfjsBackend({ device });
    const empty = backend.tensors();
    const values = (seed: number) =>
      Float32Array.from({ length: 64 }, (_, i) => Math.sin(i + seed));
    const base = await backend.createStore([fromFloat32("v", [8, 8], values(1))]);
    const state = await backend.createStore([
      fromFloat32("w", [8, 8], values(2)),
      { name: "rows", shape: [3, 2] },
    ]);
    const executable = await backend.compile(busyProgram(), { constants: { base } });
    const bound = executable.bind({ state });
    const x = { shape: [2, 4, 8], data: values(3) };
    await bound.run({ x });
    const before = backend.tensors();
    for (let step = 0; step < 1000; step++) await bound.run({ x });
    assert.equal(backend.tensors(), before);
    const copy = await state.snapshot();
    assert.equal(backend.tensors(), before);
    await copy.copyRows(state, []);
    await state.write("w", values(4));
    await copy.dispose();
    assert.equal(backend.tensors(), before);
    await executable.dispose();
    await state.dispose();
    await base.dispose();
    assert.equal(backend.tensors(), empty);
    await backend.dispose();
  });
}

Deno.test("createTfjsBackend() keeps tensors apart when two backends share a device", async () => {
  const [one, other] = await Promise.all([0, 1].map(() => createTfjsBackend({ device: "cpu" })));
  const store = await one!.createStore([{ name: "p", shape: [2] }]);
  const g = new ProgramBuilder("read");
  g.output("p", g.parameter("s", "p", [2]));
  const executable = await other!.compile(g.build());
  assert.throws(() => executable.bind({ s: store }), /must be of this backend/);
  await Promise.all([one!.dispose(), other!.dispose()]);
});
