/**
 * The loss of an optimizer step over numbers: what the training programs compute, for tests, for small
 * fits, and for losses whose pairs read each other.
 *
 * @module
 */

import { type Arithmetic, type Dual, duals } from "../arithmetic.ts";
import type { Loss, Targeted } from "./loss.ts";

/** A response as a step sees it. */
export interface StepResponse<T> extends Targeted<T> {
  /** Share of this response in its group's loss; a pair has the weight of both together. */
  readonly weight: number;
}

/** The responses of one prompt; of a pair the chosen one first. */
export type StepGroup<T> = readonly StepResponse<T>[];

/**
 * The mean over groups of their losses.
 *
 * @throws {RangeError} When the loss is of pairs and a group is none.
 *
 * @example
 * ```ts
 * import { stepLoss } from "./step_loss.ts";
 * import { losses } from "./losses.ts";
 * import { numbers } from "../arithmetic.ts";
 * import assert from "node:assert/strict";
 * const chosen = { logProb: -3, logRatio: 1, tokens: 1, target: 4, weight: 0.5 };
 * const rejected = { logProb: -3, logRatio: 0, tokens: 1, target: -1, weight: 0.5 };
 * // (3² + 1²) / 2, the paper's code; TRL's sum with targets ±1/2β = ±1 is 0² + 1².
 * assert.equal(stepLoss(numbers, losses.sppo({ beta: 1 }), [[chosen, rejected]]), 5);
 * const hard = losses["sppo-hard"]({ beta: 0.5, against: "previous" });
 * assert.equal(stepLoss(numbers, hard, [[chosen, rejected]]), 1);
 * ```
 */
export function stepLoss<T>(
  a: Arithmetic<T>,
  loss: Loss,
  groups: readonly StepGroup<T>[],
): T {
  const total = groups.reduce(
    (sum, group) => a.add(sum, groupLoss(a, loss, group, groups)),
    a.constant(0),
  );
  return a.div(total, a.constant(groups.length));
}

function groupLoss<T>(
  a: Arithmetic<T>,
  loss: Loss,
  group: StepGroup<T>,
  groups: readonly StepGroup<T>[],
): T {
  const weighted = (weight: number, value: T) => a.mul(a.constant(weight), value);
  if (loss.per === "response") {
    return group.reduce(
      (sum, response) => a.add(sum, weighted(response.weight, loss.loss(a, response))),
      a.constant(0),
    );
  }
  const [chosen, rejected] = pairOf(group);
  const weight = chosen.weight + rejected.weight;
  if (loss.per === "pair") return weighted(weight, loss.loss(a, chosen, rejected));
  const mean = (side: 0 | 1): T => {
    const ratios = groups.map((each) => pairOf(each)[side].logRatio);
    return a.div(ratios.reduce((sum, ratio) => a.add(sum, ratio)), a.constant(ratios.length));
  };
  return weighted(weight, loss.loss(a, chosen, rejected, { chosen: mean(0), rejected: mean(1) }));
}

/**
 * The two of a pair.
 *
 * @throws {RangeError} When there are not two.
 *
 * @example
 * ```ts
 * import { pairOf } from "./step_loss.ts";
 * import assert from "node:assert/strict";
 * assert.throws(() => pairOf(["a"]), RangeError);
 * ```
 */
export function pairOf<R>(group: readonly R[]): readonly [R, R] {
  const [chosen, rejected] = group;
  if (group.length !== 2) {
    throw new RangeError(
      `Cannot compare responses as a group must be a pair, the chosen one first: ${group.length} of them`,
    );
  }
  return [chosen!, rejected!];
}

/**
 * The derivative of {@linkcode stepLoss} by the log-probability of each response, which is also that by
 * its log-ratio, groups after each other.
 *
 * @example
 * ```ts
 * import { stepSlopes } from "./step_loss.ts";
 * import { losses } from "./losses.ts";
 * import assert from "node:assert/strict";
 * const y = { logProb: -3, logRatio: 0, tokens: 1, target: 0, weight: 0.5 };
 * // DPO at equal log-ratios: −β σ(0) of the chosen, and the opposite of the rejected.
 * const dpo = losses.dpo({ beta: 0.1, against: "previous", labelSmoothing: 0 });
 * assert.deepEqual(stepSlopes(dpo, [[y, y]]), [-0.05, 0.05]);
 * ```
 */
export function stepSlopes(loss: Loss, groups: readonly StepGroup<number>[]): number[] {
  const lift = (group: StepGroup<number>, variable: number): StepGroup<Dual> =>
    group.map(({ logProb, logRatio, tokens, target, weight }, index) => {
      const slope = index === variable ? 1 : 0;
      return {
        logProb: { value: logProb, slope },
        logRatio: { value: logRatio, slope },
        tokens: duals.constant(tokens),
        target: duals.constant(target),
        weight,
      };
    });
  const constant = groups.map((group) => lift(group, -1));
  return groups.flatMap((group, at) =>
    group.map((_, index) => {
      const lifted = lift(group, index);
      // Others than its own group depend on a response in a loss of the whole batch only.
      if (loss.per === "batch") return stepLoss(duals, loss, constant.with(at, lifted)).slope;
      return groupLoss(duals, loss, lifted, []).slope / groups.length;
    })
  );
}
