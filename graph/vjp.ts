/**
 * What the rules of reverse-mode differentiation share.
 *
 * A cotangent may have a smaller shape than its value, as long as it broadcasts to it: the gradient of
 * a sum is then a small tensor, stretched by the product it meets and not before.
 *
 * @module
 */

import type { ProgramBuilder } from "./builder.ts";
import { product, type Shape } from "./dim.ts";
import type { Attributes, Primitive, Value } from "./program.ts";

/** An equation to be differentiated. */
export interface VjpContext<P extends Primitive> {
  /** Where the cotangents are added. */
  readonly g: ProgramBuilder;
  /** Operands of the equation. */
  readonly operands: readonly Value[];
  /** Attributes of the equation. */
  readonly attributes: Attributes[P];
  /** The first result. */
  readonly result: Value;
  /**
   * Cotangent of the first result; for elementwise primitives it may be smaller and broadcast, for
   * the others it has the result's shape.
   */
  readonly cotangent: Value;
  /** What the primitive's forward expansion left, where it has one. */
  readonly residuals: unknown;
}

/** Makes one operand's cotangent, of a shape that broadcasts to the operand's. */
export type Contribution = (() => Value) | undefined;

/**
 * Cotangents of the operands, each made only when asked for; undefined where an operand steers (an
 * index, a condition) and has none.
 */
export type VjpRule<P extends Primitive> = (context: VjpContext<P>) => readonly Contribution[];

/** Computed at the first call. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/**
 * Sums a cotangent over the axes along which an operand of shape `to` was stretched to `from`.
 *
 * @param cotangent Of a shape that broadcasts to `from`.
 */
export function sumTo(g: ProgramBuilder, cotangent: Value, from: Shape, to: Shape): Value {
  const extra = from.length - to.length;
  const axes = from.flatMap((dim, axis) =>
    dim !== 1 && (axis < extra || to[axis - extra] === 1) ? [axis] : []
  );
  if (axes.length === 0) {
    const { shape } = cotangent;
    return shape.length <= to.length
      ? cotangent
      : g.reshape(cotangent, shape.slice(-to.length || shape.length));
  }
  const full = g.broadcast(cotangent, from);
  if (axes.length === extra && axes.every((axis) => axis < extra)) return g.reduceSum(full, axes);
  return g.reshape(g.reduceSum(full, axes, true), to);
}

/** x [..., D] as [N, D]. */
export function flatten(g: ProgramBuilder, x: Value): Value {
  return g.reshape(x, [product(1, ...x.shape.slice(0, -1)), x.shape.at(-1)!]);
}
