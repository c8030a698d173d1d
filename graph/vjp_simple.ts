/**
 * Vector–Jacobian products of the simple primitives.
 *
 * @module
 */

import type { ProgramBuilder } from "./builder.ts";
import type { Shape } from "./dim.ts";
import type { SimplePrimitive, Value } from "./program.ts";
import { flatten, sumTo, type VjpContext, type VjpRule } from "./vjp.ts";

/** Rule of an elementwise function of one operand. */
function unary<P extends SimplePrimitive>(
  rule: (g: ProgramBuilder, cotangent: Value, x: Value, y: Value) => Value,
): VjpRule<P> {
  return ({ g, operands: [x], result, cotangent }) => [() => rule(g, cotangent, x!, result)];
}

/** Rule of an elementwise function of two operands that broadcast. */
function binary<P extends SimplePrimitive>(
  first: (g: ProgramBuilder, cotangent: Value, a: Value, b: Value, y: Value) => Value,
  second: typeof first,
): VjpRule<P> {
  return ({ g, operands, result, cotangent }) => {
    const [a, b] = operands as [Value, Value];
    return [first, second].map((rule, index) => () =>
      sumTo(g, rule(g, cotangent, a, b, result), result.shape, operands[index]!.shape)
    );
  };
}

const one = (g: ProgramBuilder): Value => g.constant(1);
const zero = (g: ProgramBuilder): Value => g.constant(0);

/** 1 where a > b, ½ where they are equal, 0 where a < b. */
function share(g: ProgramBuilder, a: Value, b: Value): Value {
  return g.select(g.less(b, a), one(g), g.select(g.equal(a, b), g.constant(0.5), zero(g)));
}

/** Shape of a reduction with its axes kept at size 1. */
function keptShape(shape: Shape, axes: readonly number[]): Shape {
  return shape.map((dim, axis) => axes.includes(axis) ? 1 : dim);
}

const steers: VjpRule<SimplePrimitive> = ({ operands }) => operands.map(() => undefined);

function matmul({ g, operands, attributes, result, cotangent }: VjpContext<"matmul">) {
  const [a, b] = operands as [Value, Value];
  const { transposeA, transposeB } = attributes;
  const stretched = (gradient: Value, operand: Value): Value =>
    sumTo(
      g,
      gradient,
      [...result.shape.slice(0, -2), ...operand.shape.slice(-2)],
      operand.shape,
    );
  return [
    () =>
      stretched(
        transposeA
          ? g.matmul(b, cotangent, { transposeA: transposeB, transposeB: true })
          : g.matmul(cotangent, b, { transposeB: !transposeB }),
        a,
      ),
    () => {
      // One product over all rows where a batch of rows meets one matrix.
      if (b.shape.length === 2 && a.shape.length > 2 && !transposeA) {
        const [rows, gradient] = [flatten(g, a), flatten(g, cotangent)];
        return transposeB
          ? g.matmul(gradient, rows, { transposeA: true })
          : g.matmul(rows, gradient, { transposeA: true });
      }
      return stretched(
        transposeB
          ? g.matmul(cotangent, a, { transposeA: true, transposeB: transposeA })
          : g.matmul(a, cotangent, { transposeA: !transposeA }),
        b,
      );
    },
  ];
}

/** A rule of each simple primitive. */
export const simpleVjps: { readonly [P in SimplePrimitive]: VjpRule<P> } = {
  constant: steers,
  iota: steers,
  neg: unary((g, ct) => g.neg(ct)),
  abs: unary((g, ct, x) =>
    g.mul(
      ct,
      g.select(g.less(x, zero(g)), g.constant(-1), g.select(g.equal(x, zero(g)), zero(g), one(g))),
    )
  ),
  exp: unary((g, ct, _, y) => g.mul(ct, y)),
  log: unary((g, ct, x) => g.div(ct, x)),
  sqrt: unary((g, ct, _, y) => g.div(g.mul(ct, g.constant(0.5)), y)),
  tanh: unary((g, ct, _, y) => g.mul(ct, g.sub(one(g), g.mul(y, y)))),
  erf: unary((g, ct, x) =>
    g.mul(ct, g.mul(g.exp(g.neg(g.mul(x, x))), g.constant(2 / Math.sqrt(Math.PI))))
  ),
  sin: unary((g, ct, x) => g.mul(ct, g.cos(x))),
  cos: unary((g, ct, x) => g.neg(g.mul(ct, g.sin(x)))),
  sigmoid: unary((g, ct, _, y) => g.mul(ct, g.mul(y, g.sub(one(g), y)))),
  softplus: unary((g, ct, x) => g.mul(ct, g.sigmoid(x))),
  add: binary((_, ct) => ct, (_, ct) => ct),
  sub: binary((_, ct) => ct, (g, ct) => g.neg(ct)),
  mul: binary((g, ct, _, b) => g.mul(ct, b), (g, ct, a) => g.mul(ct, a)),
  div: binary(
    (g, ct, _, b) => g.div(ct, b),
    (g, ct, _, b, y) => g.neg(g.div(g.mul(ct, y), b)),
  ),
  maximum: binary(
    (g, ct, a, b) => g.mul(ct, share(g, a, b)),
    (g, ct, a, b) => g.mul(ct, share(g, b, a)),
  ),
  minimum: binary(
    (g, ct, a, b) => g.mul(ct, share(g, b, a)),
    (g, ct, a, b) => g.mul(ct, share(g, a, b)),
  ),
  less: steers,
  equal: steers,
  logicalAnd: steers,
  logicalOr: steers,
  logicalNot: steers,
  select({ g, operands, result, cotangent }) {
    const [condition, whenTrue, whenFalse] = operands as [Value, Value, Value];
    const part = (value: Value, of: Value) => sumTo(g, value, result.shape, of.shape);
    return [
      undefined,
      () => part(g.select(condition, cotangent, zero(g)), whenTrue),
      () => part(g.select(condition, zero(g), cotangent), whenFalse),
    ];
  },
  cast({ operands: [x], cotangent }) {
    return [() => {
      if (x!.dtype !== "float32") {
        throw new TypeError(
          "Cannot take the gradient of cast as its operand must be float32 (apply stopGradient " +
            `where the value steers only): ${x!.dtype}`,
        );
      }
      return cotangent;
    }];
  },
  stopGradient: steers,
  broadcast: ({ g, operands: [x], result, cotangent }) => [
    () => sumTo(g, cotangent, result.shape, x!.shape),
  ],
  reshape: ({ g, operands: [x], cotangent }) => [() => g.reshape(cotangent, x!.shape)],
  transpose({ g, attributes: { permutation }, cotangent }) {
    return [() => g.transpose(cotangent, permutation.map((_, axis) => permutation.indexOf(axis)))];
  },
  slice({ g, operands: [x], attributes: { axis, start, end }, cotangent }) {
    return [() => g.pad(cotangent, axis, start, (x!.shape[axis] as number) - end)];
  },
  pad({ g, operands: [x], attributes: { axis, before }, cotangent }) {
    return [() => g.slice(cotangent, axis, before, before + (x!.shape[axis] as number))];
  },
  concat({ g, operands, attributes: { axis }, cotangent }) {
    let end = 0;
    return operands.map((operand) => {
      const start = end;
      end += operand.shape[axis] as number;
      const [from, to] = [start, end];
      return () => g.slice(cotangent, axis, from, to);
    });
  },
  reduceSum({ g, operands: [x], attributes: { axes }, cotangent }) {
    return [() => g.reshape(cotangent, keptShape(x!.shape, axes))];
  },
  reduceMax({ g, operands: [x], attributes: { axes }, result, cotangent }) {
    return [() => {
      const kept = keptShape(x!.shape, axes);
      const hit = g.cast(g.equal(x!, g.reshape(result, kept)), "float32");
      return g.mul(g.div(g.reshape(cotangent, kept), g.reduceSum(hit, axes, true)), hit);
    }];
  },
  softmax({ g, result, cotangent }) {
    return [() => {
      const mean = g.reduceSum(g.mul(cotangent, result), [result.shape.length - 1], true);
      return g.mul(result, g.sub(cotangent, mean));
    }];
  },
  logSumExp({ g, operands: [x], cotangent }) {
    return [() => g.mul(g.reshape(cotangent, [...cotangent.shape, 1]), g.softmax(x!))];
  },
  matmul,
  gather({ g, operands: [table, indices], cotangent }) {
    return [() => g.scatterAdd(cotangent, indices!, table!.shape[0]!), undefined];
  },
  scatterAdd({ g, operands: [, indices], cotangent }) {
    return [() => g.gather(cotangent, indices!), undefined];
  },
};
