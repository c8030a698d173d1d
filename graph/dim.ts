/**
 * Dimensions: a size known when the program is written (a number) or when it runs (a name), and
 * products of both. `"batch*time"` is the size of a flattened batch. Nothing else is needed: no
 * axis of a program grows, so there are no sums.
 *
 * @module
 */

/** A number, a name such as `"batch"`, or a canonical product such as `"4*batch*time"`. */
export type Dim = number | string;

/** Shape of a tensor, outermost axis first; rank at most 4. */
export type Shape = readonly Dim[];

interface Monomial {
  readonly factor: number;
  readonly names: readonly string[];
}

function parse(dim: Dim): Monomial {
  if (typeof dim === "number") return { factor: dim, names: [] };
  let factor = 1;
  const names: string[] = [];
  for (const part of dim.split("*")) {
    if (/^\d+$/.test(part)) factor *= Number(part);
    else names.push(part);
  }
  return { factor, names: names.sort() };
}

function format({ factor, names }: Monomial): Dim {
  if (names.length === 0 || factor === 0) return factor;
  return factor === 1 ? names.join("*") : [factor, ...names].join("*");
}

/**
 * Product of dimensions, in canonical form, so that equal products are equal strings.
 *
 * @example
 * ```ts
 * import { product } from "./dim.ts";
 * import assert from "node:assert/strict";
 * assert.equal(product("time", 4, "batch"), "4*batch*time");
 * assert.equal(product(2, 3), 6);
 * ```
 */
export function product(...dims: Dim[]): Dim {
  let factor = 1;
  const names: string[] = [];
  for (const dim of dims) {
    const monomial = parse(dim);
    factor *= monomial.factor;
    names.push(...monomial.names);
  }
  return format({ factor, names: names.sort() });
}

/**
 * Exact quotient of two dimensions.
 *
 * @throws {RangeError} When `divisor` does not divide `dim` whatever the names stand for.
 */
export function quotient(dim: Dim, divisor: Dim): Dim {
  const { factor, names } = parse(dim);
  const by = parse(divisor);
  const rest = [...names];
  for (const name of by.names) {
    const at = rest.indexOf(name);
    if (at < 0) {
      throw indivisible(dim, divisor);
    }
    rest.splice(at, 1);
  }
  if (by.factor === 0 || factor % by.factor !== 0) {
    throw indivisible(dim, divisor);
  }
  return format({ factor: factor / by.factor, names: rest });
}

function indivisible(dim: Dim, divisor: Dim): RangeError {
  return new RangeError(
    `Cannot divide a dimension as the divisor must divide it whatever its names stand for: ${dim} by ${divisor}`,
  );
}

/** Sizes of the named dimensions in one run. */
export type Sizes = Readonly<Record<string, number>>;

/**
 * Size of a dimension once its names have values.
 *
 * @throws {TypeError} When a name has no value.
 */
export function evaluateDim(dim: Dim, sizes: Sizes): number {
  if (typeof dim === "number") return dim;
  const { factor, names } = parse(dim);
  let size = factor;
  for (const name of names) {
    const value = sizes[name];
    if (value === undefined) {
      throw new TypeError(
        `Cannot evaluate the dimension ${dim} as ${name} must have a size: none was given`,
      );
    }
    size *= value;
  }
  return size;
}

/** Sizes of a shape once its names have values. */
export function evaluateShape(shape: Shape, sizes: Sizes): number[] {
  return shape.map((dim) => evaluateDim(dim, sizes));
}

/** Number of elements of a shape, as a dimension. */
export function elementCount(shape: Shape): Dim {
  return product(1, ...shape);
}

/** Whether two shapes are equal for all sizes of their names. */
export function equalShapes(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/** A shape as text, for messages: `[batch, 4, time]`. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** Names used in a shape. */
export function dimNames(shape: Shape): string[] {
  return [...new Set(shape.flatMap((dim) => parse(dim).names))];
}
