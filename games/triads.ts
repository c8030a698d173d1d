/**
 * Cycles: which triads are cyclic, and whether votes show it or chance would.
 *
 * @module
 */

import { sigmoid } from "../core/estimators.ts";
import type { PreferenceMatrix } from "../core/exploitability.ts";
import { randomStream } from "../core/random.ts";
import { bradleyTerryScores } from "./bradley_terry.ts";
import { gameOfVotes, votesBetween, type VoteTable } from "./votes.ts";

/** A cyclic triad: the first beats the second, the second the third, the third the first. */
export interface CyclicTriad {
  /** Indexes in the order of the cycle, the smallest first. */
  readonly cycle: readonly [number, number, number];
  /** The weakest of its three preferences less ½. */
  readonly margin: number;
}

/**
 * The cyclic triads of a game, those of the widest margin first. A triad with a tie is not cyclic.
 *
 * @example
 * ```ts
 * import { cyclicTriads } from "./triads.ts";
 * import assert from "node:assert/strict";
 * const rockPaperScissors = { size: 3, preferences: [0.5, 0, 1, 1, 0.5, 0, 0, 1, 0.5] };
 * assert.deepEqual(cyclicTriads(rockPaperScissors), [{ cycle: [0, 2, 1], margin: 0.5 }]);
 * ```
 */
export function cyclicTriads({ size, preferences }: PreferenceMatrix): CyclicTriad[] {
  const margin = (i: number, j: number) => preferences[i * size + j]! - 0.5;
  const found: CyclicTriad[] = [];
  for (let a = 0; a < size; a++) {
    for (let b = a + 1; b < size; b++) {
      for (let c = b + 1; c < size; c++) {
        for (const cycle of [[a, b, c], [a, c, b]] as const) {
          const [x, y, z] = cycle;
          const least = Math.min(margin(x, y), margin(y, z), margin(z, x));
          if (least > 0) found.push({ cycle, margin: least });
        }
      }
    }
  }
  return found.sort((one, other) => other.margin - one.margin);
}

/**
 * P(X ≥ wins), X binomial with wins + losses trials of ½: how often a fair coin would be as far ahead.
 *
 * @example
 * ```ts
 * import { signTest } from "./triads.ts";
 * import assert from "node:assert/strict";
 * assert.ok(Math.abs(signTest(4, 1) - 6 / 32) < 1e-12);
 * assert.equal(signTest(0, 0), 1);
 * ```
 */
export function signTest(wins: number, losses: number): number {
  const trials = wins + losses;
  if (!(Number.isSafeInteger(wins) && Number.isSafeInteger(losses) && wins >= 0 && losses >= 0)) {
    throw new RangeError(`Cannot test votes as they must be counts: ${wins}, ${losses}`);
  }
  // log C(n, k) / 2ⁿ from k = n down; terms below the smallest double add nothing.
  let logTerm = -trials * Math.LN2, sum = 0;
  for (let k = trials; k >= wins; k--) {
    sum += Math.exp(logTerm);
    logTerm += Math.log(k / (trials - k + 1));
  }
  return Math.min(sum, 1);
}

/** A triad with how sure its votes make it. */
export interface TestedTriad extends CyclicTriad {
  /** Largest of the three sign tests' p: all three preferences must be there for a cycle. */
  readonly p: number;
  /** Holm's correction of it over both directions of all triads. */
  readonly adjusted: number;
}

/**
 * The cyclic triads of votes, the surest first.
 *
 * A cycle x ≻ y ≻ z ≻ x holds when three preferences are above ½, so its p is the largest of their
 * three one-sided sign tests (an intersection–union test), ties in a vote left out. Holm's correction
 * over the 2 C(n, 3) cycles there could be keeps the chance of naming any false one below the level.
 *
 * Source: Berger 1982, Technometrics 24; Holm 1979, Scandinavian Journal of Statistics 6.
 *
 * @example
 * ```ts
 * import { testTriads } from "./triads.ts";
 * import { voteCounter } from "./votes.ts";
 * import assert from "node:assert/strict";
 * const votes = voteCounter(3);
 * for (let n = 0; n < 10; n++) {
 *   for (const [i, j] of [[0, 1], [1, 2], [2, 0]] as const) votes.add(i, j, "first");
 * }
 * const [triad] = testTriads(votes);
 * assert.deepEqual(triad!.cycle, [0, 1, 2]);
 * assert.ok(Math.abs(triad!.p - 2 ** -10) < 1e-15 && Math.abs(triad!.adjusted - 2 ** -9) < 1e-15);
 * ```
 */
export function testTriads(votes: VoteTable): TestedTriad[] {
  const { size } = votes;
  const chance = (i: number, j: number) => {
    const { wins, losses } = votesBetween(votes, i, j);
    return signTest(wins, losses);
  };
  const tested = cyclicTriads(majorities(votes)).map((triad) => {
    const [x, y, z] = triad.cycle;
    return { ...triad, p: Math.max(chance(x, y), chance(y, z), chance(z, x)) };
  }).sort((one, other) => one.p - other.p);
  const hypotheses = size * (size - 1) * (size - 2) / 3;
  let least = 0;
  return tested.map((triad, rank) => {
    least = Math.min(1, Math.max(least, triad.p * (hypotheses - rank)));
    return { ...triad, adjusted: least };
  });
}

/** Preferences of votes, ½ for pairs without any: those are in no cycle. */
function majorities(votes: VoteTable): PreferenceMatrix {
  const { size } = votes;
  const preferences = new Float64Array(size * size).fill(0.5);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      if (i === j) continue;
      const { wins, losses, ties } = votesBetween(votes, i, j);
      const total = wins + losses + ties;
      if (total > 0) preferences[i * size + j] = (wins + ties / 2) / total;
    }
  }
  return { size, preferences };
}

/** What {@linkcode testTransitivity} found. */
export interface TransitivityTest {
  /** Cyclic triads of the votes' majorities. */
  readonly cyclic: number;
  /** Triads there are, C(n, 3). */
  readonly triads: number;
  /** Mean number of cyclic triads when as many votes are drawn from the Bradley–Terry model fitted. */
  readonly expected: number;
  /** Share of draws with as many cyclic triads as the votes have, or more; (1 + those) / (1 + all). */
  readonly p: number;
  /** Draws. */
  readonly draws: number;
}

/**
 * Are there more cyclic triads than noise alone would make? Votes are drawn anew from a transitive
 * model, the Bradley–Terry fit of the votes, as many per pair as were cast (ties stay as they are), and
 * their cyclic triads are counted. A small p says that no reward model can be the whole truth.
 *
 * @param draws 1000 by default.
 * @throws {RangeError} When votes do not determine the fit.
 *
 * @example
 * ```ts
 * import { testTransitivity } from "./triads.ts";
 * import { voteCounter } from "./votes.ts";
 * import assert from "node:assert/strict";
 * const votes = voteCounter(3);
 * for (let n = 0; n < 9; n++) {
 *   for (const [i, j] of [[0, 1], [1, 2], [2, 0]] as const) {
 *     votes.add(i, j, n < 8 ? "first" : "second");
 *   }
 * }
 * const { cyclic, p } = testTransitivity(votes, { draws: 100 });
 * // Fitted scores are equal: a quarter of fair tournaments of three is cyclic.
 * assert.ok(cyclic === 1 && p > 0.1 && p < 0.5);
 * ```
 */
export function testTransitivity(
  votes: VoteTable,
  { draws = 1000, seed = 0 }: { readonly draws?: number; readonly seed?: number } = {},
): TransitivityTest {
  const { size } = votes;
  const cyclic = cyclicTriads(majorities(votes)).length;
  const scores = bradleyTerryScores(gameOfVotes(votes));
  const stream = randomStream(seed, "transitivity");
  let sum = 0, asMany = 0;
  for (let draw = 0; draw < draws; draw++) {
    const preferences = new Float64Array(size * size).fill(0.5);
    for (let i = 0; i < size; i++) {
      for (let j = i + 1; j < size; j++) {
        const { wins, losses, ties } = votesBetween(votes, i, j);
        const p = sigmoid(scores[i]! - scores[j]!);
        let won = 0;
        for (let vote = 0; vote < wins + losses; vote++) if (stream.next() < p) won++;
        preferences[i * size + j] = (won + ties / 2) / (wins + losses + ties);
        preferences[j * size + i] = 1 - preferences[i * size + j]!;
      }
    }
    const found = cyclicTriads({ size, preferences }).length;
    sum += found;
    if (found >= cyclic) asMany++;
  }
  return {
    cyclic,
    triads: size * (size - 1) * (size - 2) / 6,
    expected: sum / draws,
    p: (1 + asMany) / (1 + draws),
    draws,
  };
}
