/**
 * Numbers held within ±c by c · tanh(x / c), which is x while x is small beside c.
 *
 * Source: Bello et al. 2016, arXiv:1611.09940, section 4; Gemma 2, arXiv:2408.00118, section 2.
 *
 * @module
 */

import type { ProgramBuilder } from "./builder.ts";
import type { Value } from "./program.ts";
import { once } from "./vjp.ts";

/** A capped product. */
export interface SoftCapped {
  /** c · tanh(y / c), or y itself where there is no cap. */
  readonly value: Value;
  /** Derivative of the value by y, 1 − tanh²(y / c); absent where it is 1. */
  readonly slope?: () => Value;
}

/**
 * y = product(x), capped. The product must be linear, so that the division is one of its operand, which
 * is smaller.
 *
 * @param cap c, positive; nothing is capped where it is undefined.
 */
export function softCapped(
  g: ProgramBuilder,
  cap: number | undefined,
  x: Value,
  product: (x: Value) => Value,
): SoftCapped {
  if (cap === undefined) return { value: product(x) };
  const tanh = g.tanh(product(g.mul(x, g.constant(1 / cap))));
  return {
    value: g.mul(tanh, g.constant(cap)),
    slope: once(() => g.sub(g.constant(1), g.mul(tanh, tanh))),
  };
}
