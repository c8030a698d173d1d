/**
 * The packages of this backend, each pinned once. They are never imported by a literal: whoever imports
 * this folder would download them.
 *
 * @module
 */

/** Version of TensorFlow.js; its packages move together. */
export const TFJS_VERSION = "4.22.0";

/** The package that all others need. */
export const TFJS_CORE = `npm:@tensorflow/tfjs-core@${TFJS_VERSION}`;

/** The package of each device. */
export const TFJS_DEVICES = {
  cpu: `npm:@tensorflow/tfjs-backend-cpu@${TFJS_VERSION}`,
  wasm: `npm:@tensorflow/tfjs-backend-wasm@${TFJS_VERSION}`,
  webgpu: `npm:@tensorflow/tfjs-backend-webgpu@${TFJS_VERSION}`,
} as const;
