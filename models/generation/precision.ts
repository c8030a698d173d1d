/**
 * With which precision responses are sampled.
 *
 * @module
 */

/**
 * `float32`: the policy itself. `fast`: the checkpoint's own 4- or 8-bit weights, exactly, with
 * activations rounded to 8 bits in every product with them, as llama.cpp computes. What is sampled is
 * then from a distribution close to the policy's, and a response's `logProb` is that distribution's
 * (docs/performance.md has the divergence); what enters a loss is scored again, in float32.
 */
export type Precision = "float32" | "fast";
