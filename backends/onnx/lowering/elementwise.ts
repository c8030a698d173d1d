/** Elementwise primitives. */

import type { Primitive } from "../../../graph/program.ts";
import { elementTypes } from "../graph_emitter.ts";
import type { Lowering, Lowerings } from "./lowering.ts";

const direct =
  <P extends Primitive>(opType: string): Lowering<P> => (graph, _, { operands, results }) => {
    graph.node(opType, operands, { results });
  };

type Elementwise =
  | "neg"
  | "abs"
  | "exp"
  | "log"
  | "sqrt"
  | "tanh"
  | "erf"
  | "sin"
  | "cos"
  | "sigmoid"
  | "softplus"
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "maximum"
  | "minimum"
  | "less"
  | "equal"
  | "logicalAnd"
  | "logicalOr"
  | "logicalNot"
  | "select"
  | "cast"
  | "stopGradient";

/** One node each. */
export const elementwise: Lowerings<Elementwise> = {
  neg: direct("Neg"),
  abs: direct("Abs"),
  exp: direct("Exp"),
  log: direct("Log"),
  sqrt: direct("Sqrt"),
  tanh: direct("Tanh"),
  erf: direct("Erf"),
  sin: direct("Sin"),
  cos: direct("Cos"),
  sigmoid: direct("Sigmoid"),
  softplus: direct("Softplus"),
  add: direct("Add"),
  sub: direct("Sub"),
  mul: direct("Mul"),
  div: direct("Div"),
  maximum: direct("Max"),
  minimum: direct("Min"),
  less: direct("Less"),
  equal: direct("Equal"),
  logicalAnd: direct("And"),
  logicalOr: direct("Or"),
  logicalNot: direct("Not"),
  select: direct("Where"),
  cast(graph, { attributes: { dtype } }, { operands, results }) {
    graph.node("Cast", operands, { results, attributes: { to: elementTypes[dtype] } });
  },
  stopGradient: direct("Identity"),
};
