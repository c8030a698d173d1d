/** How one primitive becomes nodes of an ONNX graph. */

import type { EquationOf, Primitive } from "../../../graph/program.ts";
import type { GraphEmitter } from "../graph_emitter.ts";

/** Names of an equation's operands and results in the graph. */
export interface Names {
  readonly operands: readonly string[];
  /** The lowering produces exactly these. */
  readonly results: readonly string[];
}

/** Adds the nodes of one equation. */
export type Lowering<P extends Primitive> = (
  graph: GraphEmitter,
  equation: EquationOf<P>,
  names: Names,
) => void;

/** Lowerings of some primitives. */
export type Lowerings<P extends Primitive> = { readonly [Q in P]: Lowering<Q> };
