/**
 * The losses: one table, each entry a formula over {@linkcode Arithmetic}. Where the formulas and the
 * names are from: docs/objectives.md.
 *
 * @module
 */

import type { Arithmetic } from "../arithmetic.ts";
import type {
  Anchor,
  BatchLoss,
  Likelihood,
  LikelihoodLoss,
  LikelihoodPairLoss,
  LogRatio,
  Loss,
  RatioPairLoss,
  TargetLoss,
} from "./loss.ts";

/** β of a loss on log-ratios, and the policy they are taken against. */
export interface Contrast {
  /** β = 1/η > 0. */
  readonly beta: number;
  /** π_t, or π_0. */
  readonly against: Anchor;
}

/** A contrast whose labels may be wrong. */
export interface SmoothedContrast extends Contrast {
  /** Share of labels taken to be wrong, in [0, ½). */
  readonly labelSmoothing: number;
}

/** What each loss is given, and what kind of loss it is. */
export interface Losses {
  /** (log π_θ/π_t − target)². β = 1/η is for metrics: targets hold the η of the loss. */
  readonly sppo: (parameters: { readonly beta: number }) => TargetLoss;
  /** (r_w − 1/2β)² + (r_l + 1/2β)². */
  readonly "sppo-hard": (parameters: Contrast) => RatioPairLoss;
  /** −log π_θ(y | x). */
  readonly sft: (parameters: Record<never, never>) => LikelihoodLoss;
  /** −log σ(β (r_w − r_l)), with the labels smoothed. */
  readonly dpo: (parameters: SmoothedContrast) => RatioPairLoss;
  /** max(0, 1 − β (r_w − r_l)). */
  readonly hinge: (parameters: Contrast) => RatioPairLoss;
  /** DPO's loss, unbiased where a known share of labels is wrong. */
  readonly robust: (parameters: SmoothedContrast) => RatioPairLoss;
  /** (r_w − r_l − 1/2β)². */
  readonly ipo: (parameters: Contrast) => RatioPairLoss;
  /** The same on log-ratios per token. */
  readonly "ipo-mean": (parameters: Contrast) => RatioPairLoss;
  /** ½ (1 − σ(β (r_w − z_l))) + ½ (1 − σ(β (z_w − r_l))), z = max(0, mean r of that half). */
  readonly "kto-pair": (parameters: Contrast) => BatchLoss;
  /** −log σ(β (l_w − l_l) − margin), l per token; margin ≥ 0. */
  readonly simpo: (
    parameters: { readonly beta: number; readonly margin: number },
  ) => LikelihoodPairLoss;
  /** −l_w − β log σ(log odds of l_w − log odds of l_l), l per token. */
  readonly orpo: (parameters: { readonly beta: number }) => LikelihoodPairLoss;
  /**
   * −min(ρ A, clip(ρ, 1 − ε, 1 + ε) A), ρ = π_θ/π_t of the whole response, A its target, ε = `clip`;
   * β is for metrics: the advantage holds that of the objective.
   */
  readonly "policy-gradient": (
    parameters: { readonly beta: number; readonly clip: number },
  ) => TargetLoss;
}

/** Name of a loss. */
export type LossName = keyof Losses;

/** A loss by its name and what it is given: plain data. */
export type LossSpec = {
  readonly [N in LossName]: { readonly name: N } & Parameters<Losses[N]>[0];
}[LossName];

const square = <T>(a: Arithmetic<T>, x: T): T => a.mul(x, x);
const scale = <T>(a: Arithmetic<T>, factor: number, x: T): T => a.mul(a.constant(factor), x);
const negative = <T>(a: Arithmetic<T>, x: T): T => scale(a, -1, x);
const mean = <T>(a: Arithmetic<T>, { logProb, tokens }: Likelihood<T>): T => a.div(logProb, tokens);
const meanRatio = <T>(a: Arithmetic<T>, { logRatio, tokens }: LogRatio<T>): T =>
  a.div(logRatio, tokens);
/** log(1 − eˣ) of x < 0, as log tanh(−x/2) + log(1 + eˣ), exact where eˣ is near 1. */
const log1mExp = <T>(a: Arithmetic<T>, x: T): T =>
  a.sub(a.log(a.tanh(scale(a, -0.5, x))), a.logSigmoid(negative(a, x)));
/** min(p, q). */
const least = <T>(a: Arithmetic<T>, p: T, q: T): T => a.sub(p, a.relu(a.sub(p, q)));

const rewardOfRatio = (beta: number) => ({ logRatio }: LogRatio<number>): number => beta * logRatio;
const rewardOfMean = (beta: number) => (y: LogRatio<number>): number => beta * y.logProb / y.tokens;

function checkBeta(name: LossName, beta: number): void {
  if (!(beta > 0 && isFinite(beta))) {
    throw new RangeError(`Cannot use the loss ${name} as beta must be a positive number: ${beta}`);
  }
}

function checkSmoothing(name: LossName, labelSmoothing: number): void {
  if (!(labelSmoothing >= 0 && labelSmoothing < 0.5)) {
    throw new RangeError(
      `Cannot use the loss ${name} as the share of wrong labels must be in [0, 0.5): ${labelSmoothing}`,
    );
  }
}

/**
 * The losses by name, r being log-ratios and l log-probabilities.
 *
 * @example
 * ```ts
 * import { losses } from "./losses.ts";
 * import { numbers } from "../arithmetic.ts";
 * import assert from "node:assert/strict";
 * // Equal log-ratios: DPO is at log 2; IPO misses its margin of 1/2β = 1 altogether.
 * const y = { logProb: -9, logRatio: 1, target: 4, tokens: 3 };
 * const { loss: dpo } = losses.dpo({ beta: 0.5, against: "previous", labelSmoothing: 0 });
 * assert.equal(dpo(numbers, y, y), Math.log(2));
 * assert.equal(losses.ipo({ beta: 0.5, against: "previous" }).loss(numbers, y, y), 1);
 * assert.equal(losses.sppo({ beta: 1 }).loss(numbers, y), 9);
 * assert.equal(losses.sft({}).loss(numbers, y), 9);
 * ```
 */
export const losses: Losses = {
  sppo: ({ beta }) => ({
    per: "response",
    against: "previous",
    reward: rewardOfRatio(beta),
    scale: beta ** 2,
    loss: (a, { logRatio, target }) => square(a, a.sub(logRatio, target)),
  }),

  "sppo-hard": ({ beta, against }) => ({
    per: "pair",
    against,
    reward: rewardOfRatio(beta),
    scale: beta ** 2,
    loss: (a, chosen, rejected) =>
      a.add(
        square(a, a.sub(chosen.logRatio, a.constant(0.5 / beta))),
        square(a, a.add(rejected.logRatio, a.constant(0.5 / beta))),
      ),
  }),

  sft: () => ({
    per: "response",
    loss: (a, { logProb }) => negative(a, logProb),
  }),

  dpo: ({ beta, against, labelSmoothing }) => ({
    per: "pair",
    against,
    reward: rewardOfRatio(beta),
    loss(a, chosen, rejected) {
      const margin = scale(a, beta, a.sub(chosen.logRatio, rejected.logRatio));
      return smoothed(a, margin, 1 - labelSmoothing, labelSmoothing);
    },
  }),

  hinge: ({ beta, against }) => ({
    per: "pair",
    against,
    reward: rewardOfRatio(beta),
    loss: (a, chosen, rejected) =>
      a.relu(
        a.sub(a.constant(1), scale(a, beta, a.sub(chosen.logRatio, rejected.logRatio))),
      ),
  }),

  robust: ({ beta, against, labelSmoothing: wrong }) => ({
    per: "pair",
    against,
    reward: rewardOfRatio(beta),
    loss(a, chosen, rejected) {
      const margin = scale(a, beta, a.sub(chosen.logRatio, rejected.logRatio));
      return smoothed(a, margin, (1 - wrong) / (1 - 2 * wrong), -wrong / (1 - 2 * wrong));
    },
  }),

  ipo: ({ beta, against }) => ({
    per: "pair",
    against,
    reward: rewardOfRatio(beta),
    scale: beta ** 2,
    loss: (a, chosen, rejected) =>
      square(a, a.sub(a.sub(chosen.logRatio, rejected.logRatio), a.constant(0.5 / beta))),
  }),

  "ipo-mean": ({ beta, against }) => ({
    per: "pair",
    against,
    reward: rewardOfRatio(beta),
    scale: beta ** 2,
    loss: (a, chosen, rejected) =>
      square(
        a,
        a.sub(a.sub(meanRatio(a, chosen), meanRatio(a, rejected)), a.constant(0.5 / beta)),
      ),
  }),

  "kto-pair": ({ beta, against }) => ({
    per: "batch",
    against,
    reward: rewardOfRatio(beta),
    loss(a, chosen, rejected, means) {
      // 1 − σ(x) = σ(−x); each half's reference point is the divergence seen in the other half.
      const sigmoid = (x: typeof chosen.logRatio) => a.exp(a.logSigmoid(x));
      const gain = sigmoid(scale(a, beta, a.sub(a.relu(means.rejected), chosen.logRatio)));
      const pain = sigmoid(scale(a, beta, a.sub(rejected.logRatio, a.relu(means.chosen))));
      return scale(a, 0.5, a.add(gain, pain));
    },
  }),

  simpo: ({ beta, margin }) => ({
    per: "pair",
    reward: rewardOfMean(beta),
    loss: (a, chosen, rejected) =>
      negative(
        a,
        a.logSigmoid(
          a.sub(scale(a, beta, a.sub(mean(a, chosen), mean(a, rejected))), a.constant(margin)),
        ),
      ),
  }),

  orpo: ({ beta }) => ({
    per: "pair",
    reward: rewardOfMean(beta),
    loss(a, chosen, rejected) {
      const [won, lost] = [mean(a, chosen), mean(a, rejected)];
      const logOdds = a.sub(a.sub(won, lost), a.sub(log1mExp(a, won), log1mExp(a, lost)));
      return negative(a, a.add(won, scale(a, beta, a.logSigmoid(logOdds))));
    },
  }),

  "policy-gradient": ({ beta, clip }) => ({
    per: "response",
    against: "previous",
    reward: rewardOfRatio(beta),
    loss(a, { logRatio, target }) {
      const ratio = a.exp(logRatio);
      const low = a.constant(1 - clip), high = a.constant(1 + clip);
      // clip(ρ) = low + relu(ρ − low) − relu(ρ − high)
      const clipped = a.sub(
        a.add(low, a.relu(a.sub(ratio, low))),
        a.relu(a.sub(ratio, high)),
      );
      return negative(a, least(a, a.mul(ratio, target), a.mul(clipped, target)));
    },
  }),
};

/** −p log σ(x) − q log σ(−x). */
function smoothed<T>(a: Arithmetic<T>, x: T, p: number, q: number): T {
  const loss = scale(a, -p, a.logSigmoid(x));
  return q === 0 ? loss : a.add(loss, scale(a, -q, a.logSigmoid(negative(a, x))));
}

/**
 * The loss that a record names.
 *
 * @throws {RangeError} When a parameter is out of its range.
 *
 * @example
 * ```ts
 * import { lossOf } from "./losses.ts";
 * import assert from "node:assert/strict";
 * assert.equal(lossOf({ name: "sppo-hard", beta: 0.5, against: "reference" }).per, "pair");
 * assert.throws(() => lossOf({ name: "orpo", beta: 0 }), RangeError);
 * ```
 */
export function lossOf(spec: LossSpec): Loss {
  if ("beta" in spec) checkBeta(spec.name, spec.beta);
  if ("labelSmoothing" in spec) checkSmoothing(spec.name, spec.labelSmoothing);
  if ("margin" in spec && !(spec.margin >= 0 && isFinite(spec.margin))) {
    throw new RangeError(
      `Cannot use the loss ${spec.name} as its margin must be a number of at least 0: ${spec.margin}`,
    );
  }
  if ("clip" in spec && !(spec.clip > 0)) {
    throw new RangeError(
      `Cannot use the loss ${spec.name} as clip must be a positive number: ${spec.clip}`,
    );
  }
  const make = losses[spec.name] as (parameters: LossSpec) => Loss;
  return make(spec);
}
