import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { conformance } from "./conformance.ts";

/** float32 sums of some hundred terms; exponentials and error functions by short polynomials. */
const TOLERANCE = 2e-5;

conformance(() => createOnnxBackend({ threads: 2 }), { name: "onnx", tolerance: TOLERANCE });
