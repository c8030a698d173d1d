/**
 * The algorithms by name.
 *
 * @module
 */

import type { PreferenceMatrix } from "../core/exploitability.ts";
import { decayingHedge, hedge, hedgeEta, optimisticHedge } from "./dynamics/hedge.ts";
import type { Iterates } from "./dynamics/iterates.ts";
import { regression, type RegressionOptions } from "./dynamics/regression.ts";
import { sparring } from "./dynamics/sparring.ts";
import { nashMirrorDescent } from "./dynamics/with_reference.ts";

/** Name of an algorithm. */
export type AlgorithmName =
  | "hedge"
  | "hedge-decaying"
  | "hedge-optimistic"
  | "sppo"
  | "sppo-hard"
  | "sppo-scores"
  | "nash-md"
  | "sparring";

/** How an algorithm is played. */
export interface AlgorithmOptions {
  /** T, for which η is chosen. */
  readonly rounds: number;
  /** η in place of the algorithm's own for T rounds. */
  readonly eta?: number;
  /** K of those that sample; 5 by default. */
  readonly samples?: number;
  /** Votes per comparison of those that sample; exact preferences without. */
  readonly votes?: number;
  /** π_0, and the reference of those that have one; uniform by default. */
  readonly start?: ArrayLike<number>;
  /** 0 by default. */
  readonly seed?: number;
}

/** An algorithm of self-play on a matrix. */
export interface Algorithm {
  /** One line for a table. */
  readonly title: string;
  /** Its mixtures, with the η of its theory for T rounds. */
  iterates(game: PreferenceMatrix, options: AlgorithmOptions): Iterates;
}

/** τ of Nash-MD, in preference: small enough that its equilibrium is near the game's. */
const TAU = 0.02;

function startOf({ start }: AlgorithmOptions): { readonly start?: ArrayLike<number> } {
  return start === undefined ? {} : { start };
}

function sppo(
  game: PreferenceMatrix,
  options: AlgorithmOptions,
  kind: Pick<RegressionOptions, "labels" | "selection" | "estimator">,
): Iterates {
  const { rounds, eta = hedgeEta(game.size, rounds), samples = 5, votes, seed = 0 } = options;
  return regression(game, {
    eta,
    samples,
    seed,
    ...(votes === undefined ? {} : { votes }),
    ...startOf(options),
    ...kind,
  });
}

/**
 * The algorithms, each with the η that its theory gives for T rounds: √(8 ln n / T) for Hedge and
 * SPPO, ½ for optimistic Hedge, √(ln n / nT) for sparring, 2/(τ(t + 2)) with τ = 0.02 for Nash-MD.
 *
 * @example
 * ```ts
 * import { algorithms } from "./algorithms.ts";
 * import { play } from "./play.ts";
 * import { cycleGame } from "./random_games.ts";
 * import assert from "node:assert/strict";
 * const game = cycleGame([0.9, 0.6, 0.7]), rounds = 1024;
 * const { gaps } = play(game, algorithms.hedge.iterates(game, { rounds }), { rounds });
 * assert.ok(gaps[0]!.average < Math.sqrt(Math.log(3) / 2048));
 * ```
 */
export const algorithms: Readonly<Record<AlgorithmName, Algorithm>> = {
  hedge: {
    title: "multiplicative weights (all answers, exact)",
    iterates: (game, options) =>
      hedge(game, {
        eta: options.eta ?? hedgeEta(Math.max(2, game.size), options.rounds),
        ...startOf(options),
      }),
  },
  "hedge-decaying": {
    title: "multiplicative weights, eta falling as 1/sqrt(t)",
    iterates: (game, options) =>
      decayingHedge(game, {
        ...(options.eta === undefined ? {} : { eta: options.eta }),
        ...startOf(options),
      }),
  },
  "hedge-optimistic": {
    title: "optimistic multiplicative weights",
    iterates: (game, options) =>
      optimisticHedge(game, { eta: options.eta ?? 0.5, ...startOf(options) }),
  },
  sppo: {
    title: "SPPO, K samples, soft targets for all",
    iterates: (game, options) => sppo(game, options, {}),
  },
  "sppo-hard": {
    title: "SPPO, K samples, +-eta/2 for best and worst",
    iterates: (game, options) => sppo(game, options, { labels: "hard", selection: "best-worst" }),
  },
  "sppo-scores": {
    title: "SPPO, K samples, transitive estimator",
    iterates: (game, options) => sppo(game, options, { estimator: "scores" }),
  },
  "nash-md": {
    title: "Nash-MD with its start as reference",
    iterates: (game, { eta, start }) =>
      nashMirrorDescent(game, {
        eta: eta ?? ((t) => 2 / (TAU * (t + 2))),
        tau: TAU,
        ...(start === undefined ? {} : { reference: start }),
      }),
  },
  sparring: {
    title: "sparring (Exp3), one outcome a round",
    iterates: (game, options) =>
      sparring(game, {
        eta: options.eta ??
          Math.sqrt(Math.log(Math.max(2, game.size)) / (game.size * options.rounds)),
        seed: options.seed ?? 0,
        ...startOf(options),
      }),
  },
};
