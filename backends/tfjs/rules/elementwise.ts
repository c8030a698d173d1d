/** Elementwise primitives. */

import type { Primitive } from "../../../graph/program.ts";
import type { Kernels } from "../kernels.ts";
import type { TensorInfo } from "../open.ts";
import type { Rule, Rules } from "./rule.ts";

const unary = <P extends Primitive>(kernel: string): Rule<P> => (k, { operands: [x] }) =>
  k.call(kernel, { x: x! });

const binary = <P extends Primitive>(kernel: string): Rule<P> => (k, { operands: [a, b] }) =>
  k.call(kernel, { a: a!, b: b! });

/** Integer quotient cut toward zero, from the one that is rounded down. */
function quotient(k: Kernels, a: TensorInfo, b: TensorInfo): TensorInfo {
  const zero = k.upload(Int32Array.of(0), [], "int32");
  return k.using([k.call("FloorDiv", { a, b }), zero], (floor) => {
    const exact = k.using(
      [k.call("Multiply", { a: floor, b })],
      (back) => k.call("Equal", { a: back, b: a }),
    );
    const negative = k.call("Less", { a: floor, b: zero });
    const cut = k.using(
      [k.using([exact], (x) => k.call("LogicalNot", { x })), negative],
      (inexact) => k.call("LogicalAnd", { a: inexact, b: negative }),
    );
    return k.using(
      [k.using([cut], (x) => k.call("Cast", { x }, { dtype: "int32" }))],
      (one) => k.call("Add", { a: floor, b: one }),
    );
  });
}

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

/** One kernel each, which broadcasts; `select` alone wants equal shapes. */
export const elementwise: Rules<Elementwise> = {
  neg: unary("Neg"),
  abs: unary("Abs"),
  exp: unary("Exp"),
  log: unary("Log"),
  sqrt: unary("Sqrt"),
  tanh: unary("Tanh"),
  erf: unary("Erf"),
  sin: unary("Sin"),
  cos: unary("Cos"),
  sigmoid: unary("Sigmoid"),
  softplus: unary("Softplus"),
  add: binary("Add"),
  sub: binary("Sub"),
  mul: binary("Multiply"),
  div: (k, { operands: [a, b], dtype }) =>
    dtype === "int32" ? quotient(k, a!, b!) : k.call("RealDiv", { a: a!, b: b! }),
  maximum: binary("Maximum"),
  minimum: binary("Minimum"),
  less: binary("Less"),
  equal: binary("Equal"),
  logicalAnd: binary("LogicalAnd"),
  logicalOr: binary("LogicalOr"),
  logicalNot: unary("LogicalNot"),
  select: (k, { operands, shape }) =>
    k.using(
      operands.map((operand) => k.broadcast(operand, shape)),
      (condition, t, e) => k.call("Select", { condition: condition!, t: t!, e: e! }),
    ),
  cast(k, { operands: [x], dtype }) {
    if (x!.dtype === dtype) return k.retain(x!);
    if (dtype !== "bool") return k.call("Cast", { x: x! }, { dtype });
    const zero = x!.dtype === "int32" ? Int32Array.of(0) : Float32Array.of(0);
    return k.using(
      [k.upload(zero, [], x!.dtype)],
      (none) => k.call("NotEqual", { a: x!, b: none }),
    );
  },
  stopGradient: (k, { operands: [x] }) => k.retain(x!),
};
