/**
 * Preference games given by a matrix.
 *
 * @module
 */

import { exploitability } from "../core/exploitability.ts";
import { fingerprint } from "../core/hash.ts";
import { judge } from "../core/judgements.ts";
import type { PreferenceOracle } from "../core/oracle.ts";

/** How far P + Pᵀ may be from 1 in tables of measured win rates. */
const SYMMETRY_TOLERANCE = 1e-9;

/** A constant-sum game of two players over n answers: P(i ≻ j), P + Pᵀ = 1. */
export interface MatrixGame {
  /** n. */
  readonly size: number;
  /** n×n, P(i ≻ j) at i·n + j. */
  readonly preferences: Float64Array;
  /** The answers' texts; "0", "1" … where none were given. */
  readonly answers: readonly string[];
  /** max_i (P p)_i − ½ of a mixture p. */
  gap(mixture: ArrayLike<number>): number;
  /** An oracle that compares the answers, on any prompt. It refuses other texts with a RangeError. */
  readonly oracle: PreferenceOracle;
}

/**
 * A matrix game.
 *
 * @param rows n×n preferences in [0, 1], P + Pᵀ = 1 within 1e-9.
 * @param answers n different texts.
 * @throws {TypeError} When the matrix is not square, or answers are not as many and different.
 * @throws {RangeError} When a preference is outside [0, 1], or P + Pᵀ is not 1.
 *
 * @example
 * ```ts
 * import { matrixGame } from "./matrix_game.ts";
 * import assert from "node:assert/strict";
 * const game = matrixGame([[0.5, 0, 1], [1, 0.5, 0], [0, 1, 0.5]], ["rock", "paper", "scissors"]);
 * assert.equal(game.gap([1, 0, 0]), 0.5);
 * ```
 */
export function matrixGame(
  rows: readonly (readonly number[])[],
  answers: readonly string[] = rows.map((_, index) => String(index)),
): MatrixGame {
  const size = rows.length;
  if (size === 0 || rows.some((row) => row.length !== size)) {
    throw new TypeError(
      `Cannot make a game as its matrix must be square: ${size} rows of ${
        [...new Set(rows.map((row) => row.length))].join(", ")
      }`,
    );
  }
  const indexes = new Map(answers.map((answer, index) => [answer, index]));
  if (indexes.size !== size || answers.length !== size) {
    throw new TypeError(
      `Cannot make a game of ${size} answers as there must be as many different texts: ${indexes.size}`,
    );
  }
  const preferences = Float64Array.from(rows.flat());
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      const p = preferences[i * size + j]!, q = preferences[j * size + i]!;
      if (!(p >= 0 && p <= 1 && Math.abs(p + q - 1) <= SYMMETRY_TOLERANCE)) {
        throw new RangeError(
          `Cannot make a game as preferences must be in [0, 1] and P + Pᵀ must be 1: ` +
            `${p} and ${q} at (${i}, ${j})`,
        );
      }
    }
  }
  const indexOf = (text: string): number => {
    const index = indexes.get(text);
    if (index === undefined) {
      throw new RangeError(
        `Cannot compare a response as it must be an answer of the game: ${JSON.stringify(text)}`,
      );
    }
    return index;
  };
  const oracle: PreferenceOracle = {
    id: `matrix-game-${fingerprint([[...preferences], answers])}`,
    async *compare(groups, { signal } = {}) {
      for (const group of groups) {
        signal?.throwIfAborted();
        const at = group.responses.map(({ text }) => indexOf(text));
        yield judge(group, (i, j) => at[i] === at[j] ? 0.5 : preferences[at[i]! * size + at[j]!]!);
      }
    },
  };
  return {
    size,
    preferences,
    answers,
    gap: (mixture) => exploitability({ size, preferences }, mixture),
    oracle,
  };
}
