/**
 * What judges are trained on: responses to a prompt, and how often one was preferred to another.
 *
 * @module
 */

import type { Message } from "../../core/policy.ts";

/** K responses to one prompt with labels of their pairs. */
export interface LabelledGroup {
  /** x. */
  readonly prompt: string | readonly Message[];
  /** y_1 … y_K. */
  readonly responses: readonly string[];
  /**
   * [K][K]: how far i was preferred to j, shown in this order, in [0, 1]; ½ is a tie, null was not
   * asked. The two orders need not agree.
   */
  readonly labels: readonly (readonly (number | null)[])[];
}

/** An unordered pair of a group with its label. */
export interface LabelledPair {
  /** Index of the group. */
  readonly group: number;
  /** Index of a response. */
  readonly left: number;
  /** Index of a later response. */
  readonly right: number;
  /** How far `left` was preferred, over the orders that were asked, in [0, 1]. */
  readonly label: number;
}

/**
 * The pairs of groups that have a label. One that was asked in both orders is one pair, whose label is
 * the mean of the two answers: what a judge says for a place, and not for a response, cancels.
 *
 * @throws {RangeError} When labels are not K×K, or one is not in [0, 1].
 *
 * @example
 * ```ts
 * import { labelledPairs } from "./labelled_group.ts";
 * import assert from "node:assert/strict";
 * // Whoever is shown first wins: a tie.
 * const group = { prompt: "?", responses: ["a", "b"], labels: [[null, 1], [1, null]] };
 * assert.deepEqual(labelledPairs([group]), [{ group: 0, left: 0, right: 1, label: 0.5 }]);
 * ```
 */
export function labelledPairs(groups: readonly LabelledGroup[]): LabelledPair[] {
  return groups.flatMap(({ responses, labels }, group) => {
    const size = responses.length;
    if (labels.length !== size || labels.some((row) => row.length !== size)) {
      throw new RangeError(
        `Cannot use the labels of group ${group} as they must be ${size}×${size}: ${labels.length} rows`,
      );
    }
    const wrong = labels.flat().find((label) => label !== null && !(label >= 0 && label <= 1));
    if (wrong !== undefined) {
      throw new RangeError(
        `Cannot use the labels of group ${group} as they must be in [0, 1]: ${wrong}`,
      );
    }
    const pairs: LabelledPair[] = [];
    for (let left = 0; left < size; left++) {
      for (let right = left + 1; right < size; right++) {
        const back = labels[right]![left] ?? null;
        const asked = [labels[left]![right] ?? null, back === null ? null : 1 - back]
          .filter((label) => label !== null);
        if (asked.length === 0) continue;
        const label = asked.reduce((a, b) => a + b) / asked.length;
        pairs.push({ group, left, right, label });
      }
    }
    return pairs;
  });
}
