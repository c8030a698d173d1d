/**
 * A judge asked in both orders.
 *
 * @module
 */

import { type ComparisonGroup, needsOf, type PreferenceOracle } from "../core/oracle.ts";
import { costsOf, judgementOf } from "./side_by_side.ts";

/** How far a judge's answers depend on which response is shown first. */
export interface OrderReport {
  /** Pairs that were answered in both orders. */
  readonly pairs: number;
  /** Those of them with another side in the other order: for, against and ½ are three sides. */
  readonly inconsistent: number;
  /** Mean P(the response shown first ≻ the other), over both orders; ½ without a bias, NaN without pairs. */
  readonly first: number;
  /** Mean |P − P′| of the preference for one response in both orders; NaN without pairs. */
  readonly difference: number;
}

/** A judge asked in both orders, with what came of it. */
export interface OrderSwapJudge extends PreferenceOracle {
  /** What was seen so far, over all comparisons. */
  report(): OrderReport;
}

/**
 * Asks a judge about each pair in both orders, and takes the mean. Whatever a judge gives to a place and
 * not to a response cancels, so that a judge that sees the order keeps P(y ≻ y′) + P(y′ ≻ y) = 1 under
 * an exchange of the two. Of an oracle that keeps the law already nothing changes, at twice the cost.
 *
 * The second order is the group with its responses reversed, asked beside the group in one comparison.
 * A cell exists where it does in both. Costs add up; there are no logits. A judgement's `counts` tell of
 * `pairs`, `first_place` (the sum of (p + p′)/2, p and p′ being the preferences for the response shown
 * first) and `order_conflicts` (pairs of which both orders prefer the same place), in place of the
 * judge's own counts of these names, which count both orders.
 *
 * @example
 * ```ts
 * import { orderSwapJudge } from "./order_swap.ts";
 * import { judge } from "../core/judgements.ts";
 * import assert from "node:assert/strict";
 * const oracle = orderSwapJudge({
 *   id: "the first",
 *   async *compare(groups) {
 *     for (const group of groups) yield judge(group, () => 0.75);
 *   },
 * });
 * const prompt = { id: "p", content: "?" }, responses = [{ text: "a" }, { text: "b" }];
 * for await (const { preferences } of oracle.compare([{ prompt, responses }])) {
 *   assert.equal(preferences[1], 0.5);
 * }
 * assert.deepEqual(oracle.report(), { pairs: 1, inconsistent: 1, first: 0.75, difference: 0.5 });
 * ```
 */
export function orderSwapJudge(oracle: PreferenceOracle): OrderSwapJudge {
  let pairs = 0, inconsistent = 0, first = 0, difference = 0;
  return {
    id: `swap(${oracle.id})`,
    ...needsOf([oracle]),
    async *compare(groups, options) {
      const asked = groups.flatMap((group) => [group, reversed(group)]);
      const stream = oracle.compare(asked, options)[Symbol.asyncIterator]();
      try {
        for (const { prompt, responses } of groups) {
          const there = await stream.next(), back = await stream.next();
          if (there.done === true || back.done === true) {
            throw new RangeError(
              `Cannot ask a judge in both orders as it must give one judgement per group: ` +
                `"${oracle.id}" has none for prompt "${prompt.id}"`,
            );
          }
          const judgements = [there.value, back.value];
          const size = responses.length;
          const counts = { pairs: 0, first_place: 0, order_conflicts: 0 };
          const swapped = judgementOf(size, (i, j) => {
            const at = i * size + j, other = (size - 1 - i) * size + (size - 1 - j);
            if (there.value.mask[at] !== 1 || back.value.mask[other] !== 1) return undefined;
            const p = there.value.preferences[at]!, q = back.value.preferences[other]!;
            pairs++;
            if (Math.sign(p - 0.5) !== Math.sign(q - 0.5)) inconsistent++;
            first += (p + 1 - q) / 2;
            difference += Math.abs(p - q);
            counts.pairs++;
            counts.first_place += (p + 1 - q) / 2;
            if ((p - 0.5) * (0.5 - q) > 0) counts.order_conflicts++;
            return (p + q) / 2;
          });
          const costs = costsOf(judgements);
          yield { ...swapped, ...costs, counts: { ...costs.counts, ...counts } };
        }
      } finally {
        await stream.return?.();
      }
    },
    report: () => ({
      pairs,
      inconsistent,
      first: first / pairs,
      difference: difference / pairs,
    }),
  };
}

/** A group with its responses reversed: every pair is shown the other way round. */
function reversed({ prompt, responses, pairs }: ComparisonGroup): ComparisonGroup {
  const last = responses.length - 1;
  return {
    prompt,
    responses: responses.toReversed(),
    ...(pairs === undefined ? {} : { pairs: pairs.map(([i, j]) => [last - j, last - i] as const) }),
  };
}
