/**
 * The lowering of each primitive, total over the set.
 *
 * @module
 */

import type { Equation, Primitive } from "../../../graph/program.ts";
import { composite } from "./composite.ts";
import { elementwise } from "./elementwise.ts";
import type { Lowering } from "./lowering.ts";
import { matrix } from "./matrix.ts";
import { shaping } from "./shaping.ts";

export type { Lowering, Names } from "./lowering.ts";

/** Nodes of a primitive, or `decompose` where it is first replaced by simpler equations. */
export const lowerings: { readonly [P in Primitive]: Lowering<P> | "decompose" } = {
  ...elementwise,
  ...shaping,
  ...matrix,
  ...composite,
  tokenLogProb: "decompose",
  attention: "decompose",
};

/** Whether the backend lowers an equation as it is. */
export function isLowered(equation: Equation): boolean {
  return lowerings[equation.primitive] !== "decompose";
}
