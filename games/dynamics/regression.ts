/**
 * SPPO on a matrix: targets from K samples, and the fit that meets them.
 *
 * @module
 */

import { estimateWinRates, type Estimator, type SelfTerm } from "../../core/estimators.ts";
import type { PreferenceMatrix } from "../../core/exploitability.ts";
import type { Judgement } from "../../core/oracle.ts";
import { deriveSeed, type RandomStream, randomStream } from "../../core/random.ts";
import { select, type Selection } from "../../core/selection.ts";
import { type Normalizer, targets } from "../../core/targets.ts";
import { type Eta, etaOf, softmax, startLogWeights } from "./iterates.ts";
import { draw } from "./sparring.ts";

/** Options of {@linkcode regression}. */
export interface RegressionOptions {
  /** η > 0. */
  readonly eta: Eta;
  /** K ≥ 2 samples a round; every answer with its probability without. */
  readonly samples?: number;
  /**
   * Votes per comparison: the preference is then the share of as many coins of P_ij. Exact without.
   */
  readonly votes?: number;
  /** `scores` collapses the table to one score per response, and cannot express a cycle. */
  readonly estimator?: Estimator;
  /** `include` by default. */
  readonly selfTerm?: SelfTerm;
  /** `all` by default. */
  readonly selection?: Selection;
  /** `soft`: η (P̂ − ½). `hard`: ±η/2 for best and worst, whatever they won by. `soft` by default. */
  readonly labels?: "soft" | "hard";
  /** `half` by default. */
  readonly normalizer?: Normalizer;
  /** 0 by default. */
  readonly seed?: number;
  /** π_0; uniform by default. */
  readonly start?: ArrayLike<number>;
}

/** Names the stream of samples, as a prompt's id does in the loop of self-play. */
const PROMPT = "game";

/**
 * SPPO: in each round K answers of π_t are compared with each other, P̂ is estimated, and log π_{t+1} −
 * log π_t is fitted to the targets: exactly, as a table can, answers that were not sampled having
 * target 0. It is what `selfPlay` does with a tabular policy, `multiplicativeWeights()` and a prompt
 * `game`, draw by draw (a test holds them to it), at a fraction of the cost per round.
 *
 * Source: Wu et al. 2024, arXiv:2405.00675.
 *
 * @throws {RangeError} When K or the number of votes is not a whole number in its range; when `scores`
 * meets a preference of 0 or 1, which no difference of scores gives.
 *
 * @example
 * ```ts
 * import { regression } from "./regression.ts";
 * import { hedge } from "./hedge.ts";
 * import assert from "node:assert/strict";
 * const game = { size: 2, preferences: [0.5, 0.75, 0.25, 0.5] };
 * const second = (all: Iterable<Float64Array>) =>
 *   [...Iterator.from(all).take(2).map((p) => p.slice())][1]!;
 * const sppo = second(regression(game, { eta: 2 })), exact = second(hedge(game, { eta: 2 }));
 * assert.ok(Math.abs(sppo[0]! - exact[0]!) < 1e-12);
 * ```
 */
export function* regression(
  game: PreferenceMatrix,
  options: RegressionOptions,
): Generator<Float64Array, never> {
  const { size } = game;
  const { eta, samples, votes, selection = "all", labels = "soft", normalizer = "half", seed = 0 } =
    options;
  const { estimator = "matrix", selfTerm = "include" } = options;
  for (const [name, value, least] of [["samples", samples, 2], ["votes", votes, 1]] as const) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= least)) {
      throw new RangeError(
        `Cannot play as ${name} must be a whole number of at least ${least}: ${value}`,
      );
    }
  }
  const logWeights = startLogWeights(size, options.start);
  const mixture = new Float64Array(size);
  const sums = new Float64Array(size), counts = new Float64Array(size);
  for (let t = 0;; t++) {
    softmax(logWeights, mixture);
    yield mixture;
    const step = etaOf(eta, t);
    const streamSeed = deriveSeed(seed, "responses", t + 1);
    const drawn = samples === undefined
      ? Array.from(mixture.keys())
      : Array.from({ length: samples }, (_, k) =>
        draw(mixture, randomStream(streamSeed, PROMPT, k)));
    const coins = votes === undefined ? undefined : randomStream(seed, "votes", t);
    const judgement = compareDrawn(game, drawn, estimator === "scores", votes ?? 0, coins);
    const weighted = samples === undefined ? { weights: Array.from(mixture) } : {};
    const { winRates } = estimateWinRates(judgement, { estimator, selfTerm, ...weighted });
    const { indexes, best } = select(winRates, selection);
    const goals = targets(winRates, { eta: step, normalizer, ...weighted });
    sums.fill(0);
    counts.fill(0);
    for (const k of indexes) {
      sums[drawn[k]!]! += labels === "hard" ? (k === best ? step / 2 : -step / 2) : goals[k]!;
      counts[drawn[k]!]! += 1;
    }
    for (let i = 0; i < size; i++) {
      if (counts[i]! > 0) logWeights[i]! += sums[i]! / counts[i]!;
    }
  }
}

/** K×K preferences of the answers drawn, with logits ½ log(P/(1 − P)) where they are asked for. */
function compareDrawn(
  { size, preferences: known }: PreferenceMatrix,
  drawn: readonly number[],
  withLogits: boolean,
  votes: number,
  coins: RandomStream | undefined,
): Judgement {
  const count = drawn.length;
  const preferences = new Float64Array(count * count).fill(0.5);
  const logits = new Float64Array(withLogits ? count * count : 0);
  for (let i = 0; i < count; i++) {
    for (let j = i + 1; j < count; j++) {
      if (drawn[i] === drawn[j]) continue;
      let p = known[drawn[i]! * size + drawn[j]!]!;
      if (coins !== undefined) {
        let won = 0;
        for (let vote = 0; vote < votes; vote++) if (coins.next() < p) won++;
        p = won / votes;
      }
      preferences[i * count + j] = p;
      preferences[j * count + i] = 1 - p;
      if (!withLogits) continue;
      if (!(p > 0 && p < 1)) {
        throw new RangeError(
          `Cannot give scores to answers ${drawn[i]} and ${
            drawn[j]
          } as their preference must be above ` +
            `0 and below 1: ${p}`,
        );
      }
      logits[i * count + j] = Math.log(p / (1 - p)) / 2;
      logits[j * count + i] = -logits[i * count + j]!;
    }
  }
  const mask = new Uint8Array(count * count).fill(1);
  return { size: count, preferences, mask, ...(withLogits ? { logits } : {}) };
}
