/**
 * Programs run by onnxruntime: natively on the CPU, which needs `--allow-ffi`, or in WebAssembly or on a
 * graphics card by WebGPU, in Deno and in browsers. The packages are fetched on first use.
 *
 * @module
 */

export { createOnnxBackend, type CreateOnnxBackendOptions } from "./native/backend.ts";
export {
  createOnnxWebBackend,
  type CreateOnnxWebBackendOptions,
  type OnnxWebBackend,
} from "./web/backend.ts";
export type { OnnxWebDeviceName, OnnxWebModule } from "./web/open.ts";
