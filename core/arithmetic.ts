/**
 * The small arithmetic in which losses are written once, and run on numbers (for tests by hand) and
 * on the values of a tensor program (for training).
 *
 * @module
 */

/** Operations of a loss over values of type T. */
export interface Arithmetic<T> {
  /** The value of a number. */
  constant(value: number): T;
  /** a + b. */
  add(a: T, b: T): T;
  /** a − b. */
  sub(a: T, b: T): T;
  /** a · b. */
  mul(a: T, b: T): T;
  /** log σ(x), without overflow. */
  logSigmoid(x: T): T;
  /** max(x, 0). */
  relu(x: T): T;
}

/** Arithmetic on numbers. */
export const numbers: Arithmetic<number> = {
  constant: (value) => value,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  logSigmoid: (x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x))),
  relu: (x) => Math.max(x, 0),
};
