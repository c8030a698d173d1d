/**
 * What the algorithms of self-play on a matrix have in common.
 *
 * @module
 */

import type { PreferenceMatrix } from "../../core/exploitability.ts";
import { hasKernels, KERNEL_SIZE } from "../kernel/antisymmetric.ts";
import { kernelSoftmax } from "../kernel/softmax.ts";

/**
 * Mixtures π_0, π_1, … without end, one per round. Each is valid until the next is asked for: the same
 * memory holds them all.
 */
export type Iterates = Iterable<Float64Array>;

/** η of round t = 0, 1, … */
export type Eta = number | ((t: number) => number);

/** η of a round. */
export function etaOf(eta: Eta, t: number): number {
  const value = typeof eta === "number" ? eta : eta(t);
  if (!(value > 0 && isFinite(value))) {
    throw new RangeError(`Cannot play as eta must be a positive number: ${value} at t = ${t}`);
  }
  return value;
}

/** Logarithms of a start: of the mixture given, of the uniform one without. */
export function startLogWeights(size: number, start?: ArrayLike<number>): Float64Array {
  if (start === undefined) return new Float64Array(size);
  const sum = Array.from(start).reduce((total, p) => total + p, 0);
  if (
    start.length !== size || !Array.from(start).every((p) => p >= 0) || !(Math.abs(sum - 1) < 1e-9)
  ) {
    throw new RangeError(
      `Cannot start as a mixture must have ${size} entries from 0 on with sum 1: ${
        Array.from(start).slice(0, 8)
      }`,
    );
  }
  return Float64Array.from(start, Math.log);
}

/**
 * p_i ∝ exp(logWeights_i), into `mixture`: from 64 answers on by a kernel, where the engine has relaxed
 * SIMD.
 */
export function softmax(logWeights: Float64Array, mixture: Float64Array): void {
  if (logWeights.length >= KERNEL_SIZE && hasKernels()) kernelSoftmax(logWeights, mixture);
  else plainSoftmax(logWeights, mixture);
}

/** What {@linkcode softmax} computes, in JavaScript. */
export function plainSoftmax(logWeights: Float64Array, mixture: Float64Array): void {
  let largest = -Infinity;
  for (let i = 0; i < logWeights.length; i++) {
    if (logWeights[i]! > largest) largest = logWeights[i]!;
  }
  let sum = 0;
  for (let i = 0; i < logWeights.length; i++) {
    sum += mixture[i] = Math.exp(logWeights[i]! - largest);
  }
  for (let i = 0; i < mixture.length; i++) mixture[i]! /= sum;
}

/** Win rates (P p)_i of each answer against a mixture, into `winRates`. */
export type Payoff = (mixture: Float64Array, winRates: Float64Array) => void;

/** The payoff of a game. */
export function payoffOf({ size, preferences }: PreferenceMatrix): Payoff {
  return (mixture, winRates) => {
    for (let i = 0; i < size; i++) {
      let sum = 0;
      for (let j = 0, at = i * size; j < size; j++, at++) sum += preferences[at]! * mixture[j]!;
      winRates[i] = sum;
    }
  };
}
