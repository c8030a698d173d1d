/**
 * The lowering of each primitive, total over the set.
 *
 * @module
 */

import type { Equation, Primitive } from "../../../graph/program.ts";
import { composite } from "./composite.ts";
import type { GraphEmitter, Target } from "../graph_emitter.ts";
import { type Beside, decoded } from "./encoded.ts";
import { elementwise } from "./elementwise.ts";
import type { Lowering } from "./lowering.ts";
import { matrix } from "./matrix.ts";
import { shaping } from "./shaping.ts";
import { webgpu } from "./webgpu.ts";

export type { Lowering, Names } from "./lowering.ts";

/** Nodes of a primitive, or `decompose` where it is first replaced by simpler equations. */
type Table = { readonly [P in Primitive]: Lowering<P> | "decompose" };

const cpu: Table = {
  ...elementwise,
  ...shaping,
  ...matrix,
  ...composite,
  tokenLogProb: "decompose",
  regroup: "decompose",
};

/** The lowerings for each target. */
export const lowerings: { readonly [T in Target]: Table } = { cpu, webgpu: { ...cpu, ...webgpu } };

/** Operands that a lowering takes as encoded constants; all others are decoded first. */
export function takesEncoded({ primitive, attributes }: Equation, operand: number): boolean {
  switch (primitive) {
    case "linear":
      return operand === 1;
    case "matmul":
      return operand === 1 && attributes.transposeB && !attributes.transposeA;
    case "gather":
      return operand === 0;
    default:
      return false;
  }
}

/** The float32 values under a name, decoded where they stayed encoded; see {@linkcode decoded}. */
export function decodedMatrix(graph: GraphEmitter, name: string, beside?: Beside): string {
  const matrix = graph.encoded.get(name);
  return matrix ? decoded(graph, name, matrix, beside) : name;
}

/** Sizes of heads that GroupQueryAttention takes are multiples of this. */
const HEAD_MULTIPLE = 8;

/** Whether the backend lowers an equation as it is. */
export function isLowered(equation: Equation, target: Target = "cpu"): boolean {
  if (lowerings[target][equation.primitive] === "decompose") return false;
  if (equation.primitive === "attention") {
    // An encoder's. That of training has no lengths, and shares its parts with its gradient.
    const { operands: [query, key], attributes: { scoreCap, mask, lengths } } = equation;
    const [heads, size] = query!.shape.slice(2);
    return mask.kind === "bidirectional" && lengths && scoreCap === undefined &&
      heads === key!.shape[2] && typeof heads === "number" && typeof size === "number";
  }
  if (equation.primitive === "cachedAttention") {
    const headSize = equation.operands[0]!.shape[3];
    return typeof headSize === "number" && headSize % HEAD_MULTIPLE === 0;
  }
  return true;
}
