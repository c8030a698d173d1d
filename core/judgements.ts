/**
 * Making judgements and checking them.
 *
 * @module
 */

import type { ComparisonGroup, Judgement } from "./oracle.ts";

/** How far P + Pᵀ may be from 1: judges compute in float32. */
const SYMMETRY_TOLERANCE = 1e-5;

/**
 * The judgement of a group from a preference of index pairs. Only the pairs the group asks for are
 * compared; the others are masked, and NaN. The mirrored cell is 1 − P.
 *
 * @param group K responses, all pairs or some.
 * @param preference P(y_i ≻ y_j | x) in [0, 1], called once per unordered pair.
 * @throws {RangeError} When a pair does not name two responses of the group.
 *
 * @example
 * ```ts
 * import { judge } from "./judgements.ts";
 * import assert from "node:assert/strict";
 * const group = { prompt: { id: "p", content: "?" }, responses: [{ text: "a" }, { text: "b" }] };
 * const { preferences } = judge(group, () => 0.75);
 * assert.deepEqual([...preferences], [0.5, 0.75, 0.25, 0.5]);
 * ```
 */
export function judge(
  group: ComparisonGroup,
  preference: (i: number, j: number) => number,
): Judgement {
  const size = group.responses.length;
  const preferences = new Float64Array(size * size).fill(NaN);
  const mask = new Uint8Array(size * size);
  const set = (i: number, j: number, p: number): void => {
    preferences[i * size + j] = p;
    mask[i * size + j] = 1;
  };
  for (let i = 0; i < size; i++) set(i, i, 0.5);
  const compare = (i: number, j: number): void => {
    const p = preference(i, j);
    set(i, j, p);
    set(j, i, 1 - p);
  };
  if (group.pairs === undefined) {
    for (let i = 0; i < size; i++) for (let j = i + 1; j < size; j++) compare(i, j);
  } else {
    for (const [i, j] of group.pairs) {
      const names = (index: number) => Number.isInteger(index) && index >= 0 && index < size;
      if (!names(i) || !names(j) || i === j) {
        throw new RangeError(
          `Cannot compare responses to prompt "${group.prompt.id}" as a pair must name two of its ` +
            `${size}: (${i}, ${j})`,
        );
      }
      compare(i, j);
    }
  }
  return { size, preferences, mask };
}

/**
 * Holds a judgement to its laws: K×K arrays, probabilities in [0, 1], P + Pᵀ = 1, a symmetric mask, a
 * diagonal of ½, logits finite where cells exist.
 *
 * @returns The judgement.
 * @throws {TypeError} When an array is not K×K.
 * @throws {RangeError} When a value breaks a law.
 *
 * @example
 * ```ts
 * import { checkJudgement } from "./judgements.ts";
 * import assert from "node:assert/strict";
 * const group = { prompt: { id: "p", content: "?" }, responses: [{ text: "a" }, { text: "b" }] };
 * const preferences = Float64Array.of(0.5, 0.75, 0.75, 0.5), mask = Uint8Array.of(1, 1, 1, 1);
 * assert.throws(() => checkJudgement({ size: 2, preferences, mask }, group, "judge"), RangeError);
 * ```
 */
export function checkJudgement(
  judgement: Judgement,
  group: ComparisonGroup,
  oracleId: string,
): Judgement {
  const { size, preferences, mask, logits } = judgement;
  const where = () => `Cannot use the judgement of "${oracleId}" on prompt "${group.prompt.id}"`;
  if (
    size !== group.responses.length || preferences.length !== size * size ||
    mask.length !== size * size || (logits !== undefined && logits.length !== size * size)
  ) {
    throw new TypeError(
      `${where()} as it must have ${group.responses.length}×${group.responses.length} cells: ` +
        `size ${size}, ${preferences.length} preferences, mask of ${mask.length}` +
        (logits === undefined ? "" : `, ${logits.length} logits`),
    );
  }
  for (let i = 0; i < size; i++) {
    if (mask[i * size + i] !== 1 || preferences[i * size + i] !== 0.5) {
      throw new RangeError(
        `${where()} as its diagonal must be ½: ${preferences[i * size + i]} at ${i}`,
      );
    }
    for (let j = i + 1; j < size; j++) {
      const at = i * size + j, mirror = j * size + i;
      if (mask[at] !== mask[mirror]) {
        throw new RangeError(`${where()} as its mask must be symmetric: it is not at (${i}, ${j})`);
      }
      if (mask[at] !== 1) continue;
      const p = preferences[at]!, q = preferences[mirror]!;
      if (!(p >= 0 && p <= 1 && q >= 0 && q <= 1)) {
        throw new RangeError(
          `${where()} as preferences must be in [0, 1]: ${p} and ${q} at (${i}, ${j})`,
        );
      }
      if (Math.abs(p + q - 1) > SYMMETRY_TOLERANCE) {
        throw new RangeError(`${where()} as P + Pᵀ must be 1: ${p} + ${q} at (${i}, ${j})`);
      }
      if (logits !== undefined && !(isFinite(logits[at]!) && isFinite(logits[mirror]!))) {
        throw new RangeError(`${where()} as logits must be finite: they are not at (${i}, ${j})`);
      }
    }
  }
  return judgement;
}
