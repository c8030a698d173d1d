/**
 * Equilibria of preference games by linear programming.
 *
 * @module
 */

import { exploitability, type PreferenceMatrix } from "../core/exploitability.ts";
import { loadHighs } from "./_deps.ts";

/** A von Neumann winner: a mixture that no answer beats. */
export interface VonNeumannWinner {
  /** p, n probabilities. */
  readonly mixture: Float64Array;
  /** Indexes of the answers it plays, p above 1e-9, the most played first. */
  readonly support: readonly number[];
  /** max_i (P p)_i − ½ as it came out: 0 but for rounding. */
  readonly gap: number;
}

/** Probabilities below are rounding of the solver. */
const PLAYED = 1e-9;

/**
 * A von Neumann winner of a preference game:
 *
 *     minimise v,  (P p)_i − ½ ≤ v for each i,  Σ p = 1,  p ≥ 0.
 *
 * The minimum is 0, because P + Pᵀ = 1 (the game is symmetric). Where there are several winners it is
 * one of them, a vertex of their polytope. The interior-point method with crossover is the faster of
 * the two for dense games (docs/decisions/linear_programs.md).
 *
 * Source: Fishburn 1984, maximal lotteries; Dudík et al. 2015, arXiv:1502.06362, von Neumann winner.
 *
 * @throws {RangeError} When the program has no solution: then P + Pᵀ is not 1.
 *
 * @example
 * ```ts
 * import { vonNeumannWinner } from "./equilibrium.ts";
 * import assert from "node:assert/strict";
 * // i beats i + 1 with .9, .6, .7: shares are as the margins of the edges across, .1 : .2 : .4.
 * const game = { size: 3, preferences: [0.5, 0.9, 0.3, 0.1, 0.5, 0.6, 0.7, 0.4, 0.5] };
 * const { mixture, support } = await vonNeumannWinner(game);
 * for (const [i, p] of [1 / 7, 2 / 7, 4 / 7].entries()) assert.ok(Math.abs(mixture[i]! - p) < 1e-9);
 * assert.deepEqual(support, [2, 1, 0]);
 * ```
 */
export async function vonNeumannWinner(game: PreferenceMatrix): Promise<VonNeumannWinner> {
  const { size: n, preferences } = game;
  const highs = await loadHighs();
  // Columns p_0 … p_{n−1}, v; rows (P p)_i − ½ − v ≤ 0, then Σ p = 1.
  const entries = n * n + n + n;
  const indices = new Int32Array(entries), values = new Float64Array(entries);
  const starts = new Int32Array(n + 2);
  let at = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++, at++) {
      indices[at] = j;
      values[at] = preferences[i * n + j]! - 0.5;
    }
    indices[at] = n;
    values[at++] = -1;
    starts[i + 1] = at;
  }
  for (let j = 0; j < n; j++, at++) {
    indices[at] = j;
    values[at] = 1;
  }
  starts[n + 1] = at;
  const filled = (columns: number, rest: number, last: number) =>
    new Float64Array(columns).fill(rest).fill(last, columns - 1);
  const solved = highs.withModel({
    numCols: n + 1,
    numRows: n + 1,
    colCost: filled(n + 1, 0, 1),
    colLower: filled(n + 1, 0, -1),
    colUpper: filled(n + 1, 1, 1),
    rowLower: filled(n + 1, -highs.infinity, 1),
    rowUpper: filled(n + 1, 0, 1),
    matrix: { format: "csr", numRows: n + 1, numCols: n + 1, starts, indices, values },
  }, (model) => {
    model.options.set({ output_flag: false, solver: "ipm", small_matrix_value: 1e-12 });
    model.run();
    return { status: model.getModelStatus(), values: model.getSolution().colValue };
  });
  if (solved.status !== highs.constants.modelStatus.optimal) {
    throw new RangeError(
      `Cannot find a von Neumann winner as the linear program must have an optimum: HiGHS ended with ` +
        `status ${solved.status}`,
    );
  }
  const mixture = solved.values.slice(0, n).map((p) => p > PLAYED ? p : 0);
  const total = mixture.reduce((sum, p) => sum + p, 0);
  for (let i = 0; i < n; i++) mixture[i]! /= total;
  const support = Array.from(mixture.keys()).filter((i) => mixture[i]! > 0)
    .sort((a, b) => mixture[b]! - mixture[a]!);
  return { mixture, support, gap: exploitability(game, mixture) };
}
