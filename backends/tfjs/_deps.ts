/**
 * The packages of this backend, each pinned once. They are never imported by a literal: whoever imports
 * this folder would download them.
 *
 * @module
 */

/** Version of TensorFlow.js; its packages move together. */
export const TFJS_VERSION = "4.22.0";

/** The package that all others need. */
export const TFJS_CORE = "npm:@tensorflow/tfjs-core@4.22.0";

/** The package of each device. */
export const TFJS_DEVICES = {
  cpu: "npm:@tensorflow/tfjs-backend-cpu@4.22.0",
  wasm: "npm:@tensorflow/tfjs-backend-wasm@4.22.0",
  webgpu: "npm:@tensorflow/tfjs-backend-webgpu@4.22.0",
} as const;
