import assert from "node:assert/strict";
import { emitProgram } from "../../backends/onnx/emit.ts";
import { createOnnxWebBackend } from "../../backends/onnx/mod.ts";
import { openOrt } from "../../backends/onnx/web/open.ts";
import { webGpuSession } from "../../backends/onnx/web/webgpu_session.ts";
import { openGpu } from "../../backends/webgpu.ts";
import { ProgramBuilder } from "../../graph/mod.ts";
import { webGpuSkip } from "./_webgpu.ts";
import { conformance } from "./conformance.ts";

/** As for the native backend; WASM and WebGPU have short polynomials of their own. */
const TOLERANCE = 2e-5;

conformance(() => createOnnxWebBackend({ device: "wasm" }), {
  name: "onnx-wasm",
  tolerance: TOLERANCE,
});

const skip = await webGpuSkip();
if (skip) {
  Deno.test({
    name: `the onnx-webgpu backend keeps the laws of backends (skipped: ${skip})`,
    ignore: true,
    fn() {},
  });
} else {
  conformance(() => createOnnxWebBackend({ device: "webgpu" }), {
    name: "onnx-webgpu",
    tolerance: TOLERANCE,
  });

  Deno.test("webGpuSession() refuses a model when a node has no kernel on WebGPU", async () => {
    const g = new ProgramBuilder("product");
    const x = g.input("x", "float32", ["n", 4]);
    g.output("y", g.matmul(x, x, { transposeB: true }));
    const ort = await openOrt("webgpu", { threads: 1 });
    const device = await openGpu("onnx-webgpu");
    const make = (target: "cpu" | "webgpu") =>
      webGpuSession(
        ort,
        device,
        "product",
        emitProgram(g.build(), { constants: new Set(), target }).bytes,
      );
    // The CPU's FusedMatMul is not among WebGPU's kernels.
    await assert.rejects(make("cpu"), {
      name: "TypeError",
      message: /Cannot compile product as onnxruntime's WebGPU provider must run all of it: .*CPU/,
    });
    await (await make("webgpu")).release();
    device.destroy();
  });
}

Deno.test("emitProgram() leaves sizes to inputs, and no node to compute them, when the target is webgpu", () => {
  const g = new ProgramBuilder("masked");
  const x = g.input("x", "float32", ["b", "t", 4]);
  const seen = g.less(g.iota(["t", "t"], 0), g.iota(["t", "t"], 1));
  g.output("y", g.reshape(g.add(g.reduceSum(x, [2], true), g.cast(seen, "float32")), ["b*t", "t"]));
  const emit = (target: "cpu" | "webgpu") =>
    emitProgram(g.build(), { constants: new Set(), target });
  const text = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);
  assert.match(text(emit("cpu").bytes), /Shape/);
  assert.deepEqual(emit("cpu").sizes, []);
  const { bytes, sizes } = emit("webgpu");
  assert.doesNotMatch(text(bytes), /Shape/);
  assert.deepEqual(sizes.map(({ dims, dtype }) => `${dtype} ${dims}`), [
    "int32 t",
    "int64 t,t",
  ]);
});
