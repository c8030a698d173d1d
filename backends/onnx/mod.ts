/**
 * The native backend: programs run by onnxruntime on the CPU. It needs `--allow-ffi`, and the package
 * `onnxruntime-node` is fetched on first use.
 *
 * @module
 */

export { createOnnxBackend, type CreateOnnxBackendOptions } from "./native/backend.ts";
