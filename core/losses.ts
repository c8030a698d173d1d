/**
 * Losses of one response, written over {@linkcode Arithmetic}.
 *
 * @module
 */

import type { Arithmetic } from "./arithmetic.ts";

/** What a loss sees of one response. */
export interface LossInput<T> {
  /** log π_θ(y | x), nats summed over response tokens. */
  readonly logProb: T;
  /** log π_θ(y | x) − log π_t(y | x). */
  readonly logRatio: T;
  /** Target of the log-ratio, nats. */
  readonly target: T;
  /** Number of response tokens. */
  readonly tokens: T;
}

/** The loss of one response. A group's loss is the sum over its responses of weight · loss. */
export type ResponseLoss = <T>(arithmetic: Arithmetic<T>, input: LossInput<T>) => T;

/** Name of a loss, as `--loss` takes it. */
export type LossName = "sppo" | "sft";

/**
 * The losses.
 *
 * - `sppo`: (log π_θ/π_t − target)², with target η(P̂ − ½). The weights ½ and ½ of a pair give the
 *   paper's code (`(loss_w + loss_l) / 2`); TRL's `sppo_hard` is the sum, twice as large.
 *   Source: Wu et al. 2024, arXiv:2405.00675; uclaml/SPPO `sppo/trainer.py`, `sppo_loss`.
 * - `sft`: −log π_θ(y | x), the token likelihood, summed over the response.
 *
 * @example
 * ```ts
 * import { losses } from "./losses.ts";
 * import { numbers } from "./arithmetic.ts";
 * import assert from "node:assert/strict";
 * const input = { logProb: -9, logRatio: 1, target: 4, tokens: 3 };
 * assert.equal(losses.sppo(numbers, input), 9);
 * assert.equal(losses.sft(numbers, input), 9);
 * ```
 */
export const losses: Readonly<Record<LossName, ResponseLoss>> = {
  sppo(arithmetic, { logRatio, target }) {
    const residual = arithmetic.sub(logRatio, target);
    return arithmetic.mul(residual, residual);
  },
  sft(arithmetic, { logProb }) {
    return arithmetic.sub(arithmetic.constant(0), logProb);
  },
};
