/** Whether counts fit probabilities, by Pearson's test. */

import assert from "node:assert/strict";

/** Quantile of the normal distribution whose upper tail is 10⁻⁴; seeds are fixed, so it never flakes. */
const NORMAL_QUANTILE = 3.719;

/** Cells with fewer expected counts are merged, as Pearson's test asks. */
const LEAST_EXPECTED = 5;

/** Upper 10⁻⁴ quantile of χ² (Wilson & Hilferty 1931). */
function criticalValue(freedom: number): number {
  const spread = 2 / (9 * freedom);
  return freedom * (1 - spread + NORMAL_QUANTILE * Math.sqrt(spread)) ** 3;
}

/**
 * Asserts that counts come from a distribution, and that nothing of probability 0 was drawn.
 *
 * @returns χ² and its degrees of freedom.
 */
export function assertFits(
  counts: ArrayLike<number>,
  probabilities: ArrayLike<number>,
): { statistic: number; freedom: number } {
  assert.equal(counts.length, probabilities.length);
  let draws = 0;
  for (let i = 0; i < counts.length; i++) draws += counts[i]!;
  let statistic = 0;
  let cells = 0;
  const rest = { count: 0, expected: 0 };
  const add = (count: number, expected: number) => {
    statistic += (count - expected) ** 2 / expected;
    cells++;
  };
  for (let i = 0; i < counts.length; i++) {
    const expected = draws * probabilities[i]!;
    if (expected === 0) assert.equal(counts[i]!, 0, `${i} was drawn and has probability 0`);
    if (expected >= LEAST_EXPECTED) {
      add(counts[i]!, expected);
    } else {
      rest.count += counts[i]!;
      rest.expected += expected;
    }
  }
  if (rest.expected >= LEAST_EXPECTED) add(rest.count, rest.expected);
  const freedom = cells - 1;
  assert.ok(freedom >= 1, "too few cells to test");
  const limit = criticalValue(freedom);
  assert.ok(statistic <= limit, `χ² is ${statistic} with ${freedom} degrees of freedom > ${limit}`);
  return { statistic, freedom };
}
