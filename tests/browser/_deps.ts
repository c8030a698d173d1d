/**
 * The packages that the page brings along, in the versions of `backends/tfjs/_deps.ts`; a test compares
 * them.
 *
 * @module
 */

export * as tfjsCore from "npm:@tensorflow/tfjs-core@4.22.0";
export * as tfjsWasm from "npm:@tensorflow/tfjs-backend-wasm@4.22.0";
export * as tfjsWebGpu from "npm:@tensorflow/tfjs-backend-webgpu@4.22.0";
