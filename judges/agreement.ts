/**
 * How well preferences agree with labels: accuracy, calibration, and what no transitive judge can say.
 *
 * @module
 */

import { countTriads } from "../core/statistics.ts";

/** A pair with what a judge says of it and what was observed. */
export interface JudgedPair {
  /** P(y ≻ y′) of the judge, in [0, 1]. */
  readonly preference: number;
  /** How far y was preferred, in [0, 1]; ½ is a tie. */
  readonly label: number;
}

/** One row of a reliability table: pairs whose favourite has a preference in [low, high). */
export interface ReliabilityRow {
  /** Smallest preference of the row. */
  readonly low: number;
  /** Preferences of the row are below it; in the last one 1 is too. */
  readonly high: number;
  /** How many there are. */
  readonly pairs: number;
  /** Mean preference for the favourite; NaN without pairs. */
  readonly preference: number;
  /** Mean label of the favourite; NaN without pairs. */
  readonly label: number;
}

/** How a judge does on some pairs. */
export interface Agreement {
  /** Pairs with a label. */
  readonly pairs: number;
  /** Pairs whose label is not ½. */
  readonly decided: number;
  /** Share of the decided pairs on whose side the judge is, an exact ½ counting half. NaN without. */
  readonly accuracy: number;
  /** Mean of (preference − label)². */
  readonly brier: number;
  /** Mean cross-entropy, nats. */
  readonly logLoss: number;
  /** By the favourite's preference, from ½ to 1 in steps of a tenth. */
  readonly reliability: readonly ReliabilityRow[];
}

/** Preferences are kept this far from 0 and 1 in the cross-entropy. */
const SURE = 1e-6;

/**
 * Agreement of a judge with labels, over pairs. Each pair is looked at from the side of the judge's
 * favourite in the reliability table, so that it does not depend on which response is called the first.
 *
 * @example
 * ```ts
 * import { agreement } from "./agreement.ts";
 * import assert from "node:assert/strict";
 * const { accuracy, brier, reliability } = agreement([
 *   { preference: 0.9, label: 1 },
 *   { preference: 0.3, label: 1 },
 *   { preference: 0.5, label: 0.5 },
 * ]);
 * assert.equal(accuracy, 0.5);
 * assert.ok(Math.abs(brier - (0.01 + 0.49) / 3) < 1e-12);
 * assert.equal(reliability.at(-1)!.label, 1);
 * ```
 */
export function agreement(pairs: readonly JudgedPair[]): Agreement {
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const decided = pairs.filter(({ label }) => label !== 0.5);
  const side = ({ preference, label }: JudgedPair) =>
    preference === 0.5 ? 0.5 : (preference > 0.5) === (label > 0.5) ? 1 : 0;
  const favourites = pairs.map(({ preference, label }) =>
    preference >= 0.5 ? { preference, label } : { preference: 1 - preference, label: 1 - label }
  );
  const reliability = [5, 6, 7, 8, 9].map((tenth): ReliabilityRow => {
    const [low, high] = [tenth / 10, (tenth + 1) / 10];
    const inside = favourites.filter(({ preference }) =>
      preference >= low && (preference < high || tenth === 9)
    );
    return {
      low,
      high,
      pairs: inside.length,
      preference: mean(inside.map(({ preference }) => preference)),
      label: mean(inside.map(({ label }) => label)),
    };
  });
  return {
    pairs: pairs.length,
    decided: decided.length,
    accuracy: mean(decided.map(side)),
    brier: mean(pairs.map(({ preference, label }) => (preference - label) ** 2)),
    logLoss: mean(pairs.map(({ preference, label }) => {
      const p = Math.min(Math.max(preference, SURE), 1 - SURE);
      return -(label * Math.log(p) + (1 - label) * Math.log(1 - p));
    })),
    reliability,
  };
}

/**
 * Counts triads of labels, and the cyclic ones among them: what a transitive judge cannot agree with.
 *
 * @param labels K×K, the label of (i, j) at [i][j] as one answer for both orders; null without.
 *
 * @example
 * ```ts
 * import { labelTriads } from "./agreement.ts";
 * import assert from "node:assert/strict";
 * const rock = [[null, 1, 0], [0, null, 1], [1, 0, null]];
 * assert.deepEqual(labelTriads(rock), { triads: 1, cyclic: 1 });
 * ```
 */
export function labelTriads(
  labels: readonly (readonly (number | null)[])[],
): { readonly triads: number; readonly cyclic: number } {
  const size = labels.length;
  const flat = labels.flat();
  return countTriads({
    size,
    preferences: Float64Array.from(flat, (label) => label ?? NaN),
    mask: Uint8Array.from(flat, (label, at) => label !== null || at % (size + 1) === 0 ? 1 : 0),
  });
}
