/**
 * Games from votes: comparisons that were counted.
 *
 * @module
 */

import type { PreferenceMatrix } from "../core/exploitability.ts";

/** Votes among n answers. */
export interface VoteTable {
  /** n. */
  readonly size: number;
  /** n×n, how often i beat j at i·n + j. */
  readonly wins: Float64Array;
  /** n×n, how often neither won; symmetric. */
  readonly ties: Float64Array;
}

/** A table of votes to be filled. */
export interface VoteCounter extends VoteTable {
  /** Counts a vote between different answers. */
  add(first: number, second: number, winner: "first" | "second" | "tie"): void;
}

/**
 * An empty table.
 *
 * @example
 * ```ts
 * import { voteCounter, votesBetween } from "./votes.ts";
 * import assert from "node:assert/strict";
 * const votes = voteCounter(2);
 * votes.add(0, 1, "first");
 * votes.add(1, 0, "tie");
 * assert.deepEqual(votesBetween(votes, 0, 1), { wins: 1, losses: 0, ties: 1 });
 * ```
 */
export function voteCounter(size: number): VoteCounter {
  const wins = new Float64Array(size * size), ties = new Float64Array(size * size);
  return {
    size,
    wins,
    ties,
    add(first, second, winner) {
      const inside = (index: number) => Number.isInteger(index) && index >= 0 && index < size;
      if (!inside(first) || !inside(second) || first === second) {
        throw new RangeError(
          `Cannot count a vote as it must be between two of ${size} answers: ${first}, ${second}`,
        );
      }
      if (winner === "first") wins[first * size + second]!++;
      else if (winner === "second") wins[second * size + first]!++;
      else {
        ties[first * size + second]!++;
        ties[second * size + first]!++;
      }
    },
  };
}

/** The votes between two answers, from the side of the first. */
export function votesBetween(
  { size, wins, ties }: VoteTable,
  first: number,
  second: number,
): { readonly wins: number; readonly losses: number; readonly ties: number } {
  return {
    wins: wins[first * size + second]!,
    losses: wins[second * size + first]!,
    ties: ties[first * size + second]!,
  };
}

/**
 * The game of votes: P_ij = (wins + ties/2 + prior) / (votes + 2 prior).
 *
 * @param prior Votes for each side that nobody cast, which draw towards ½; 0 by default.
 * @throws {RangeError} When a pair has no votes and the prior is 0: what was not compared is not ½.
 *
 * @example
 * ```ts
 * import { gameOfVotes, voteCounter } from "./votes.ts";
 * import assert from "node:assert/strict";
 * const votes = voteCounter(2);
 * for (const winner of ["first", "first", "first", "tie"] as const) votes.add(0, 1, winner);
 * assert.equal(gameOfVotes(votes).preferences[1], 0.875);
 * assert.equal(gameOfVotes(votes, 2).preferences[1], 0.6875);
 * assert.throws(() => gameOfVotes(voteCounter(2)), RangeError);
 * ```
 */
export function gameOfVotes(votes: VoteTable, prior = 0): PreferenceMatrix {
  if (!(prior >= 0 && isFinite(prior))) {
    throw new RangeError(`Cannot make a game of votes as the prior must be from 0 on: ${prior}`);
  }
  const { size } = votes;
  const preferences = new Float64Array(size * size).fill(0.5);
  for (let i = 0; i < size; i++) {
    for (let j = i + 1; j < size; j++) {
      const { wins, losses, ties } = votesBetween(votes, i, j);
      const total = wins + losses + ties + 2 * prior;
      if (total === 0) {
        throw new RangeError(
          `Cannot make a game of votes as every pair must have some: none between ${i} and ${j}; ` +
            `give a prior, or leave out answers`,
        );
      }
      preferences[i * size + j] = (wins + ties / 2 + prior) / total;
      preferences[j * size + i] = 1 - preferences[i * size + j]!;
    }
  }
  return { size, preferences };
}

/** Votes of several tables in one. @throws {RangeError} When sizes differ, or there is no table. */
export function poolVotes(tables: readonly VoteTable[]): VoteTable {
  const size = tables[0]?.size;
  if (size === undefined || tables.some((table) => table.size !== size)) {
    throw new RangeError(
      `Cannot pool votes as tables must have the same size, and one be there: ${
        tables.map((table) => table.size).slice(0, 8)
      }`,
    );
  }
  const wins = new Float64Array(size * size), ties = new Float64Array(size * size);
  for (const table of tables) {
    for (let at = 0; at < wins.length; at++) {
      wins[at]! += table.wins[at]!;
      ties[at]! += table.ties[at]!;
    }
  }
  return { size, wins, ties };
}
