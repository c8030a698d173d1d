/**
 * Bradley–Terry: one score per answer, what a reward model can say of a game.
 *
 * @module
 */

import { sigmoid } from "../core/estimators.ts";
import type { PreferenceMatrix } from "../core/exploitability.ts";

/** How exactly the equations are solved, in preference. */
const TOLERANCE = 1e-12;
const MAX_STEPS = 200;

/**
 * Scores of the Bradley–Terry model P_ij ≈ σ(s_i − s_j) of highest likelihood, pairs (i, j) weighing
 * w_i w_j. They solve Σ_j w_j (P_ij − σ(s_i − s_j)) = 0 for each i; by Newton's method, halving steps
 * that do not come nearer.
 *
 * It is what a reward model converges to on comparisons of responses drawn from w, and what DPO
 * converges to in units of β: log π/π_ref = s/β (Rafailov et al. 2023, arXiv:2305.18290). Where P is
 * cyclic the model cannot hold, and the scores depend on w.
 *
 * @param weights w, n positive numbers; equal ones by default.
 * @returns Scores with Σ w_i s_i = 0.
 * @throws {RangeError} When weights do not fit, or no scores are most likely: some answers always win
 * against the rest, so that their scores would have to be infinite.
 *
 * @example
 * ```ts
 * import { bradleyTerryScores } from "./bradley_terry.ts";
 * import assert from "node:assert/strict";
 * const [first, second] = bradleyTerryScores({ size: 2, preferences: [0.5, 0.75, 0.25, 0.5] });
 * assert.ok(Math.abs(first! - second! - Math.log(3)) < 1e-9);
 * const rockPaperScissors = { size: 3, preferences: [0.5, 0, 1, 1, 0.5, 0, 0, 1, 0.5] };
 * for (const score of bradleyTerryScores(rockPaperScissors)) assert.ok(Math.abs(score) < 1e-9);
 * ```
 */
export function bradleyTerryScores(
  game: PreferenceMatrix,
  weights?: ArrayLike<number>,
): Float64Array {
  const { size: n, preferences } = game;
  const given = weights ?? new Float64Array(n).fill(1);
  const total = Array.from(given).reduce((sum, w) => sum + w, 0);
  if (given.length !== n || !Array.from(given).every((w) => w > 0) || !isFinite(total)) {
    throw new RangeError(
      `Cannot fit scores as there must be ${n} positive weights: ${Array.from(given).slice(0, 8)}`,
    );
  }
  checkConnected(game);
  const w = Float64Array.from(given, (value) => value / total);
  const residuals = (scores: Float64Array): Float64Array =>
    Float64Array.from({ length: n }, (_, i) => {
      let sum = 0;
      for (let j = 0; j < n; j++) {
        if (i !== j) sum += w[j]! * (preferences[i * n + j]! - sigmoid(scores[i]! - scores[j]!));
      }
      return sum;
    });
  const size = (vector: Float64Array) => vector.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  let scores = new Float64Array(n);
  let residual = residuals(scores);
  for (let step = 0; size(residual) > TOLERANCE; step++) {
    if (step === MAX_STEPS) {
      throw new RangeError(
        `Cannot fit scores as Newton's method must converge in ${MAX_STEPS} steps: the equations are ` +
          `off by ${size(residual)}`,
      );
    }
    // J d = residual, with w added to each row's entries: that fixes Σ w_i d_i.
    const matrix = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        if (i === j) continue;
        const p = sigmoid(scores[i]! - scores[j]!), slope = w[j]! * p * (1 - p);
        matrix[i * n + i]! += slope;
        matrix[i * n + j]! -= slope;
      }
    }
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) matrix[i * n + j]! += w[j]!;
    const direction = solve(matrix, residual);
    let length = 1, moved = scores, next = residual;
    for (;; length /= 2) {
      moved = scores.map((score, i) => score + length * direction[i]!);
      next = residuals(moved);
      if (size(next) < size(residual) || length < 1e-6) break;
    }
    // Rounding ends the descent where the equations hold as well as they can.
    if (size(next) >= size(residual) && size(residual) < 1e-9) break;
    scores = moved;
    residual = next;
  }
  const mean = scores.reduce((sum, score, i) => sum + w[i]! * score, 0);
  return scores.map((score) => score - mean);
}

/**
 * The game that scores stand for: P_ij = σ(s_i − s_j). It is transitive, and its equilibrium is the
 * answer of the highest score.
 *
 * @example
 * ```ts
 * import { bradleyTerryGame } from "./bradley_terry.ts";
 * import assert from "node:assert/strict";
 * assert.equal(bradleyTerryGame([Math.log(3), 0]).preferences[1], 0.75);
 * ```
 */
export function bradleyTerryGame(scores: ArrayLike<number>): PreferenceMatrix {
  const size = scores.length;
  const preferences = Float64Array.from({ length: size * size }, (_, at) => {
    const i = Math.floor(at / size), j = at % size;
    return sigmoid(scores[i]! - scores[j]!);
  });
  return { size, preferences };
}

/** Each answer must be reachable from each by wins (P > 0): then finite scores are most likely. */
function checkConnected({ size: n, preferences }: PreferenceMatrix): void {
  const reached = (wins: (i: number, j: number) => number): number => {
    const seen = new Set([0]);
    for (const i of seen) for (let j = 0; j < n; j++) if (wins(i, j) > 0) seen.add(j);
    return seen.size;
  };
  const forward = reached((i, j) => preferences[i * n + j]!);
  const backward = reached((i, j) => preferences[j * n + i]!);
  if (forward < n || backward < n) {
    throw new RangeError(
      "Cannot fit scores as no group of answers may win always against the rest: one does, and its " +
        "scores would be infinite",
    );
  }
}

/** x of A x = b, by elimination with pivots. */
function solve(matrix: Float64Array, right: Float64Array): Float64Array {
  const n = right.length, a = matrix.slice(), x = right.slice();
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let row = column + 1; row < n; row++) {
      if (Math.abs(a[row * n + column]!) > Math.abs(a[pivot * n + column]!)) pivot = row;
    }
    if (pivot !== column) {
      for (let j = 0; j < n; j++) {
        [a[pivot * n + j], a[column * n + j]] = [a[column * n + j]!, a[pivot * n + j]!];
      }
      [x[pivot], x[column]] = [x[column]!, x[pivot]!];
    }
    for (let row = column + 1; row < n; row++) {
      const factor = a[row * n + column]! / a[column * n + column]!;
      if (factor === 0) continue;
      for (let j = column; j < n; j++) a[row * n + j]! -= factor * a[column * n + j]!;
      x[row]! -= factor * x[column]!;
    }
  }
  for (let row = n - 1; row >= 0; row--) {
    for (let j = row + 1; j < n; j++) x[row]! -= a[row * n + j]! * x[j]!;
    x[row]! /= a[row * n + row]!;
  }
  return x;
}
