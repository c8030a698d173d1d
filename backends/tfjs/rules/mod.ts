/**
 * How each primitive is computed, total over the set.
 *
 * @module
 */

import type {
  Attributes,
  CompositePrimitive,
  Equation,
  Primitive,
} from "../../../graph/program.ts";
import { elementwise } from "./elementwise.ts";
import type { Rule, Rules } from "./rule.ts";
import { shaping } from "./shaping.ts";

export type { Call, Rule } from "./rule.ts";

const products: Rules<"matmul" | "linear"> = {
  matmul: (_, { operands: [a, b], attributes, shape, products }) =>
    products.product(a!, b!, attributes, shape),
  linear: (_, { operands: [x, weight, bias], shape, products }) =>
    products.linear(x!, weight!, bias!, shape),
};

/** Composites for which tfjs has no fused kernel. Its one of use is a product that adds a bias. */
const composites: { readonly [C in Exclude<CompositePrimitive, "linear">]: "decompose" } = {
  rmsNorm: "decompose",
  layerNorm: "decompose",
  rotary: "decompose",
  gatedSilu: "decompose",
  gelu: "decompose",
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

/** Whether the backend computes an equation as it is: of linear layers, those with a bias and no adapter. */
export function hasRule(equation: Equation): boolean {
  if (equation.primitive === "linear") {
    const { bias, lora } = equation.attributes as Attributes["linear"];
    return bias && lora === undefined;
  }
  return rules[equation.primitive] !== "decompose";
}
