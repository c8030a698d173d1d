/**
 * Heads that are trained on preferences: Bradley–Terry, and general preferences.
 *
 * @module
 */

import type { ProgramBuilder, Value } from "../../graph/mod.ts";
import { skewProduct } from "./response_heads.ts";

/** What a trained head gives of a response, and how two of them make a preference. */
export type PreferenceHead =
  /** A reward r; P(y ≻ y′) = σ(r − r′). Transitive. */
  | { readonly kind: "bradley-terry" }
  /**
   * An embedding v of `dimension` numbers, even; P(y ≻ y′) = σ(vᵀ R v′ / tau), R skew-symmetric, so
   * that cycles can be represented (Zhang et al. 2024, arXiv:2410.02197).
   */
  | { readonly kind: "general-preference"; readonly dimension: number; readonly tau: number };

/**
 * Numbers a head gives of a response.
 *
 * @throws {RangeError} When a dimension is odd, or tau not positive.
 */
export function headOutputs(head: PreferenceHead): number {
  switch (head.kind) {
    case "bradley-terry":
      return 1;
    case "general-preference": {
      const { dimension, tau } = head;
      if (!(Number.isInteger(dimension) && dimension > 0 && dimension % 2 === 0)) {
        throw new RangeError(
          `Cannot make a head as its dimension must be even and positive: ${dimension}`,
        );
      }
      if (!(tau > 0)) throw new RangeError(`Cannot make a head as tau must be positive: ${tau}`);
      return dimension;
    }
    default:
      return head satisfies never;
  }
}

/** Logit of P(left ≻ right) [N], from outputs [N, n] of each. */
export function headMargin(
  g: ProgramBuilder,
  head: PreferenceHead,
  left: Value,
  right: Value,
): Value {
  switch (head.kind) {
    case "bradley-terry":
      return g.reduceSum(g.sub(left, right), [1]);
    case "general-preference":
      return g.mul(skewProduct(g, left, right), g.constant(1 / head.tau));
    default:
      return head satisfies never;
  }
}
