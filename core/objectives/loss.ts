/**
 * What a loss is: of a response, of a pair, or of a pair beside the others of its step. It is given no
 * more than it may read: a loss without a fixed policy cannot name a log-ratio, and one without targets
 * no target.
 *
 * @module
 */

import type { Arithmetic } from "../arithmetic.ts";

/** What every loss sees of a response. */
export interface Likelihood<T> {
  /** log π_θ(y | x), nats summed over response tokens. */
  readonly logProb: T;
  /** Number of response tokens. */
  readonly tokens: T;
}

/** What a loss with a fixed policy to depart from sees. */
export interface LogRatio<T> extends Likelihood<T> {
  /** log π_θ(y | x) − log π(y | x) of that policy, nats summed over response tokens. */
  readonly logRatio: T;
}

/** What a loss with a goal for each response sees. */
export interface Targeted<T> extends LogRatio<T> {
  /** Where the log-ratio should go, in nats; of `policy-gradient` the advantage. */
  readonly target: T;
}

/**
 * The fixed policy whose log-probabilities log-ratios are taken against: `previous` is π_t, from
 * which the iteration's responses are; `reference` is π_0, the start of the run.
 */
export type Anchor = "previous" | "reference";

/** What all losses say beside their formula. */
export interface LossBase {
  /**
   * What metrics call a response's reward: β log π_θ/π, or for losses without a fixed policy β times
   * the mean log-probability of a token. Absent where there is none.
   */
  readonly reward?: (response: LogRatio<number>) => number;
  /** β² of a squared error in nats of the order of 1/β: the loss times this does not grow with 1/β. */
  readonly scale?: number;
}

/** The loss of one response by its likelihood. A group's loss is the sum of weight · loss. */
export interface LikelihoodLoss extends LossBase {
  /** What it is the loss of. */
  readonly per: "response";
  /** Nothing: no other policy is asked. */
  readonly against?: undefined;
  /** The formula. */
  readonly loss: <T>(a: Arithmetic<T>, response: Likelihood<T>) => T;
}

/** The loss of one response with a goal. A group's loss is the sum of weight · loss. */
export interface TargetLoss extends LossBase {
  /** What it is the loss of. */
  readonly per: "response";
  /** Whom log-ratios are taken against. */
  readonly against: Anchor;
  /** The formula. */
  readonly loss: <T>(a: Arithmetic<T>, response: Targeted<T>) => T;
}

/** The loss of a pair by its likelihoods. A group is a pair, chosen first, and has its weight. */
export interface LikelihoodPairLoss extends LossBase {
  /** What it is the loss of. */
  readonly per: "pair";
  /** Nothing: no other policy is asked. */
  readonly against?: undefined;
  /** The formula. */
  readonly loss: <T>(a: Arithmetic<T>, chosen: Likelihood<T>, rejected: Likelihood<T>) => T;
}

/** The loss of a pair by its log-ratios. A group is a pair, chosen first, and has its weight. */
export interface RatioPairLoss extends LossBase {
  /** What it is the loss of. */
  readonly per: "pair";
  /** Whom log-ratios are taken against. */
  readonly against: Anchor;
  /** The formula. */
  readonly loss: <T>(a: Arithmetic<T>, chosen: LogRatio<T>, rejected: LogRatio<T>) => T;
}

/**
 * The loss of a pair beside the others of an optimizer step: it also reads the mean log-ratio of all
 * chosen and of all rejected responses of the step, and its gradient goes through them.
 */
export interface BatchLoss extends LossBase {
  /** What it is the loss of. */
  readonly per: "batch";
  /** Whom log-ratios are taken against. */
  readonly against: Anchor;
  /** The formula. */
  readonly loss: <T>(
    a: Arithmetic<T>,
    chosen: LogRatio<T>,
    rejected: LogRatio<T>,
    means: { readonly chosen: T; readonly rejected: T },
  ) => T;
}

/** A loss. */
export type Loss =
  | LikelihoodLoss
  | TargetLoss
  | LikelihoodPairLoss
  | RatioPairLoss
  | BatchLoss;
