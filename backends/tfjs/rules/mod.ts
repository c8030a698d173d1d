/**
 * How each primitive is computed, total over the set.
 *
 * @module
 */

import type { CompositePrimitive, Equation, Primitive } from "../../../graph/program.ts";
import { elementwise } from "./elementwise.ts";
import type { Rule, Rules } from "./rule.ts";
import { shaping } from "./shaping.ts";

export type { Call, Rule } from "./rule.ts";

const products: Rules<"matmul"> = {
  matmul: (_, { operands: [a, b], attributes, shape, products }) =>
    products.product(a!, b!, attributes, shape),
};

/** Composites: all decomposed; tfjs's fused products and element functions were not measured against it. */
const composites: { readonly [C in CompositePrimitive]: "decompose" } = {
  rmsNorm: "decompose",
  layerNorm: "decompose",
  rotary: "decompose",
  gatedSilu: "decompose",
  gelu: "decompose",
  linear: "decompose",
  tokenLogProb: "decompose",
  regroup: "decompose",
  attention: "decompose",
  cachedAttention: "decompose",
};

/** Kernels of a primitive, or `decompose` where it is first replaced by simpler equations. */
export const rules: { readonly [P in Primitive]: Rule<P> | "decompose" } = {
  ...elementwise,
  ...shaping,
  ...products,
  ...composites,
};

/** Whether the backend computes an equation as it is. */
export function hasRule(equation: Equation): boolean {
  return rules[equation.primitive] !== "decompose";
}
