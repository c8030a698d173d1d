/**
 * Self-play from the outcome of one comparison a round: dueling bandits.
 *
 * @module
 */

import type { PreferenceMatrix } from "../../core/exploitability.ts";
import { type RandomStream, randomStream } from "../../core/random.ts";
import { type Eta, etaOf, softmax, startLogWeights } from "./iterates.ts";

/** Options of {@linkcode sparring}. */
export interface SparringOptions {
  /** η > 0; √(ln n / nT) suits T rounds. */
  readonly eta: Eta;
  /** 0 by default. */
  readonly seed?: number;
  /** π_0 of both players; uniform by default. */
  readonly start?: ArrayLike<number>;
}

/**
 * Sparring: two copies of Exp3 play one answer each, see who wins (a coin of P_ij), and learn from
 * that alone. The loser's weight falls: log w(i) ← log w(i) − η · 1[i lost] / π_t(i).
 *
 * @returns The mean of the two players' mixtures, round by round. Its average converges, at
 * √(n ln n / T), slower by √n than with win rates known.
 *
 * Source: Ailon, Karnin and Joachims 2014, arXiv:1405.3396; Exp3 with losses: Bubeck and Cesa-Bianchi
 * 2012, arXiv:1204.5721, section 3.
 *
 * @example
 * ```ts
 * import { sparring } from "./sparring.ts";
 * import assert from "node:assert/strict";
 * // The first answer always wins, so nobody goes on playing the second.
 * let played: Float64Array = new Float64Array(2), t = 0;
 * for (const mixture of sparring({ size: 2, preferences: [0.5, 1, 0, 0.5] }, { eta: 0.1 })) {
 *   played = mixture;
 *   if (++t === 1000) break;
 * }
 * assert.ok(played[0]! > 0.9);
 * ```
 */
export function* sparring(
  { size, preferences }: PreferenceMatrix,
  { eta, seed = 0, start }: SparringOptions,
): Generator<Float64Array, never> {
  const stream = randomStream(seed, "sparring");
  const players = [0, 1].map(() => ({
    logWeights: startLogWeights(size, start),
    mixture: new Float64Array(size),
  }));
  const mean = new Float64Array(size);
  for (let t = 0;; t++) {
    mean.fill(0);
    for (const { logWeights, mixture } of players) {
      softmax(logWeights, mixture);
      for (let i = 0; i < size; i++) mean[i]! += mixture[i]! / 2;
    }
    yield mean;
    const step = etaOf(eta, t);
    const [i, j] = players.map(({ mixture }) => draw(mixture, stream)) as [number, number];
    const loser = stream.next() < preferences[i * size + j]! ? 1 : 0;
    const { logWeights, mixture } = players[loser]!;
    const played = loser === 0 ? i : j;
    logWeights[played]! -= step / mixture[played]!;
  }
}

/** Draws an index with its probability. */
export function draw(mixture: ArrayLike<number>, stream: RandomStream): number {
  let left = stream.next(), last = 0;
  for (let i = 0; i < mixture.length; i++) {
    if (mixture[i]! > 0) last = i;
    left -= mixture[i]!;
    if (left < 0) return i;
  }
  return last;
}
