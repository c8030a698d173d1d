/**
 * The small arithmetic in which losses are written once, and run on numbers (for tests by hand), on
 * numbers with a derivative (for small fits and checks), and on the values of a tensor program (for
 * training).
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
  /** a / b. */
  div(a: T, b: T): T;
  /** eˣ. */
  exp(x: T): T;
  /** log x. */
  log(x: T): T;
  /** tanh x. */
  tanh(x: T): T;
  /** log σ(x), without overflow. */
  logSigmoid(x: T): T;
  /** max(x, 0); its derivative at 0 is 0. */
  relu(x: T): T;
}

/** Arithmetic on numbers. */
export const numbers: Arithmetic<number> = {
  constant: (value) => value,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  exp: Math.exp,
  log: Math.log,
  tanh: Math.tanh,
  logSigmoid: (x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x))),
  relu: (x) => Math.max(x, 0),
};

/** A number with its derivative by one variable. */
export interface Dual {
  /** f. */
  readonly value: number;
  /** f′. */
  readonly slope: number;
}

/**
 * Arithmetic on numbers with a derivative: give the variable slope 1, and read the slope of what is
 * computed from it.
 *
 * @example
 * ```ts
 * import { duals } from "./arithmetic.ts";
 * import assert from "node:assert/strict";
 * const x = { value: 3, slope: 1 };
 * assert.deepEqual(duals.mul(x, x), { value: 9, slope: 6 });
 * ```
 */
export const duals: Arithmetic<Dual> = {
  constant: (value) => ({ value, slope: 0 }),
  add: (a, b) => ({ value: a.value + b.value, slope: a.slope + b.slope }),
  sub: (a, b) => ({ value: a.value - b.value, slope: a.slope - b.slope }),
  mul: (a, b) => ({ value: a.value * b.value, slope: a.slope * b.value + a.value * b.slope }),
  div: (a, b) => ({
    value: a.value / b.value,
    slope: (a.slope * b.value - a.value * b.slope) / b.value ** 2,
  }),
  exp: (x) => chain(Math.exp(x.value), Math.exp(x.value), x),
  log: (x) => chain(Math.log(x.value), 1 / x.value, x),
  tanh: (x) => chain(Math.tanh(x.value), 1 - Math.tanh(x.value) ** 2, x),
  // (log σ)′ = σ(−x), which is exp of log σ(−x).
  logSigmoid: (x) => chain(numbers.logSigmoid(x.value), Math.exp(numbers.logSigmoid(-x.value)), x),
  relu: (x) => chain(Math.max(x.value, 0), x.value > 0 ? 1 : 0, x),
};

function chain(value: number, derivative: number, { slope }: Dual): Dual {
  // What does not depend on the variable has slope 0, also where a derivative is infinite.
  return { value, slope: slope === 0 ? 0 : derivative * slope };
}
