/**
 * Libraries that ours is compared with, each pinned once and imported by the script that needs it.
 *
 * @module
 */

/** jax-js. */
export const JAX_JS = "npm:@jax-js/jax@0.1.25";

/** TensorFlow.js with the gradients that its tape needs, which its core package does not register. */
export const TFJS = "npm:@tensorflow/tfjs@4.22.0";
