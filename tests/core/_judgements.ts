/**
 * Judgements for tests.
 *
 * @module
 */

import { sigmoid } from "../../core/estimators.ts";
import type { Judgement } from "../../core/oracle.ts";
import { fc } from "../_deps.ts";

/** A judgement from logits (left, right), by the paper's P_ij = σ(L_ij − L_ji). */
export function fromLogits(rows: readonly (readonly number[])[]): Judgement {
  const size = rows.length;
  const logits = Float64Array.from(rows.flat());
  const preferences = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      preferences[i * size + j] = i === j
        ? 0.5
        : sigmoid(logits[i * size + j]! - logits[j * size + i]!);
    }
  }
  return { size, preferences, mask: new Uint8Array(size * size).fill(1), logits };
}

/** Judgements of 2 to 7 responses, some cells masked. */
export const judgements: fc.Arbitrary<Judgement> = fc.integer({ min: 2, max: 7 }).chain((size) =>
  fc.record({
    above: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
      minLength: size * size,
      maxLength: size * size,
    }),
    kept: fc.array(fc.boolean(), { minLength: size * size, maxLength: size * size }),
  }).map(({ above, kept }) => {
    const preferences = new Float64Array(size * size).fill(NaN);
    const mask = new Uint8Array(size * size);
    for (let i = 0; i < size; i++) {
      preferences[i * size + i] = 0.5;
      mask[i * size + i] = 1;
      for (let j = i + 1; j < size; j++) {
        const at = i * size + j, mirror = j * size + i;
        if (!kept[at]) continue;
        preferences[at] = above[at]!;
        preferences[mirror] = 1 - above[at]!;
        mask[at] = mask[mirror] = 1;
      }
    }
    return { size, preferences, mask };
  })
);
