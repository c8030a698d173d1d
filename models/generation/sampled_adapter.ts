/**
 * How an adapter takes part in sampling.
 *
 * @module
 */

/**
 * `apart`: y = W x + s · B (A x) in each product. `merged`: y = (W + s·B·A) x, from a second copy of
 * the matrices that the adapter is on, made anew for each policy; a policy whose adapter is zero, as
 * the start's is, is sampled from the base alone. Both are the policy, to the rounding of float32.
 */
export type SampledAdapter = "apart" | "merged";
