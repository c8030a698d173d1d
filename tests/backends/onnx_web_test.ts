import { createOnnxWebBackend } from "../../backends/onnx/mod.ts";
import { conformance } from "./conformance.ts";

/** As for the native backend; WASM has short polynomials of its own. */
const TOLERANCE = 2e-5;

conformance(() => createOnnxWebBackend({ device: "wasm" }), {
  name: "onnx-wasm",
  tolerance: TOLERANCE,
});
