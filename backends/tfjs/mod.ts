/**
 * Programs by the kernels of TensorFlow.js, on a CPU, in WASM or on WebGPU, in Deno and in browsers. The
 * packages are fetched on first use.
 *
 * @module
 */

export { createTfjsBackend, type CreateTfjsBackendOptions, type TfjsBackend } from "./backend.ts";
export type { TfjsDeviceName, TfjsModules } from "./open.ts";
