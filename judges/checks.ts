/**
 * Features that say whether something holds: building blocks of checks.
 *
 * @module
 */

import { answerNumber, type Rational } from "./answers/answer_number.ts";
import type { Feature } from "./features.ts";

/**
 * The opposite of a feature: 1 − its score.
 *
 * @example
 * ```ts
 * import { notFeature } from "./checks.ts";
 * import { jsonFeature } from "./features.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(["{}", "{"].map(notFeature(jsonFeature()).score), [0, 1]);
 * ```
 */
export function notFeature({ id, score }: Feature): Feature {
  return { id: `not:${id}`, score: (text) => 1 - score(text) };
}

/**
 * A text inside: 1 where the response has it, letter by letter, else 0.
 *
 * @throws {RangeError} When it is empty.
 *
 * @example
 * ```ts
 * import { containsFeature } from "./checks.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(["x = f(1)", "x = F(1)"].map(containsFeature("f(").score), [1, 0]);
 * ```
 */
export function containsFeature(part: string): Feature {
  if (part === "") throw new RangeError(`Cannot look for a text as it must be given: ""`);
  return {
    id: `contains:${JSON.stringify(part)}`,
    score: (text) => text.includes(part) ? 1 : 0,
  };
}

/** Options of {@linkcode valueFeature}. */
export interface ValueFeatureOptions {
  /** The least the number may be; no bound by default. */
  readonly min?: number;
  /** The most it may be; no bound by default. */
  readonly max?: number;
}

/**
 * A number in a range: 1 where the response comes to a number (as `answerNumber` finds it) that is
 * inside, bounds with it, else 0; 0 where it has no number.
 *
 * @throws {RangeError} When neither bound is given, one is no finite number, or the first is above the second.
 *
 * @example
 * ```ts
 * import { valueFeature } from "./checks.ts";
 * import assert from "node:assert/strict";
 * const { score } = valueFeature({ min: -1, max: 0.5 });
 * assert.deepEqual(["It is 1/2.", "-1", "-1.01", "none"].map(score), [1, 1, 0, 0]);
 * ```
 */
export function valueFeature({ min, max }: ValueFeatureOptions): Feature {
  const given = [min, max].filter((bound) => bound !== undefined);
  if (given.length === 0 || !given.every(isFinite) || (min ?? -Infinity) > (max ?? Infinity)) {
    throw new RangeError(
      `Cannot make a range of values as its bounds must be numbers, the first at most the second: ${
        given.join(" and ") || "none"
      }`,
    );
  }
  const low = exact(min), high = exact(max);
  return {
    id: `value:${min ?? ""}..${max ?? ""}`,
    score(text) {
      const value = answerNumber(text);
      if (value === undefined) return 0;
      return (low === undefined || atMost(low, value)) &&
          (high === undefined || atMost(value, high))
        ? 1
        : 0;
    },
  };
}

/** A number as it is written: 0.1 is a tenth. */
function exact(bound: number | undefined): Rational | undefined {
  return bound === undefined ? undefined : answerNumber(String(bound));
}

function atMost(x: Rational, y: Rational): boolean {
  return x.numerator * y.denominator <= y.numerator * x.denominator;
}
