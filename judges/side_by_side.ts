/**
 * Judgements of several judges on the same groups.
 *
 * @module
 */

import type {
  CompareOptions,
  ComparisonGroup,
  Judgement,
  PreferenceOracle,
} from "../core/oracle.ts";

/**
 * What each of some judges says of each group. All of them are stopped when one fails or the receiver
 * has enough.
 *
 * @throws {RangeError} When a judge has fewer judgements than there are groups.
 *
 * @example
 * ```ts
 * import { sideBySide } from "./side_by_side.ts";
 * import { jsonJudge, lengthJudge } from "./feature_judge.ts";
 * import assert from "node:assert/strict";
 * const prompt = { id: "p", content: "?" }, responses = [{ text: "word" }, { text: "[1, 2]" }];
 * const judges = [lengthJudge({ max: 1 }), jsonJudge()];
 * for await (const [length, json] of sideBySide(judges, [{ prompt, responses }])) {
 *   assert.ok(length!.preferences[1]! > 0.5 && json!.preferences[1]! < 0.5);
 * }
 * ```
 */
export async function* sideBySide(
  oracles: readonly PreferenceOracle[],
  groups: readonly ComparisonGroup[],
  options?: CompareOptions,
): AsyncGenerator<readonly Judgement[]> {
  const streams = oracles.map((oracle) => oracle.compare(groups, options)[Symbol.asyncIterator]());
  try {
    for (const { prompt } of groups) {
      const results = await Promise.all(streams.map((stream) => stream.next()));
      yield results.map((result, index) => {
        if (result.done === true) {
          throw new RangeError(
            `Cannot combine judges as each must give one judgement per group: ` +
              `"${oracles[index]!.id}" has none for prompt "${prompt.id}"`,
          );
        }
        return result.value;
      });
    }
  } finally {
    await Promise.allSettled(streams.map((stream) => stream.return?.()));
  }
}

/** The costs and counts of some judgements together, as a judgement has them: nothing where none has any. */
export function costsOf(judgements: readonly Judgement[]): Pick<Judgement, "cost" | "counts"> {
  const cost: { tokens?: number; requests?: number; currency?: number } = {};
  for (const name of ["tokens", "requests", "currency"] as const) {
    const parts = judgements.flatMap((judgement) => judgement.cost?.[name] ?? []);
    if (parts.length > 0) cost[name] = parts.reduce((a, b) => a + b);
  }
  const counts: Record<string, number> = {};
  for (const judgement of judgements) {
    for (const [name, count] of Object.entries(judgement.counts ?? {})) {
      counts[name] = (counts[name] ?? 0) + count;
    }
  }
  return {
    ...(Object.keys(cost).length === 0 ? {} : { cost }),
    ...(Object.keys(counts).length === 0 ? {} : { counts }),
  };
}

/**
 * A judgement from a preference of unordered pairs, undefined where there is none.
 *
 * @param preference P(y_i ≻ y_j) for i < j.
 */
export function judgementOf(
  size: number,
  preference: (i: number, j: number) => number | undefined,
): Judgement {
  const preferences = new Float64Array(size * size).fill(NaN);
  const mask = new Uint8Array(size * size);
  for (let i = 0; i < size; i++) {
    preferences[i * size + i] = 0.5;
    mask[i * size + i] = 1;
    for (let j = i + 1; j < size; j++) {
      const p = preference(i, j);
      if (p === undefined) continue;
      preferences[i * size + j] = p;
      preferences[j * size + i] = 1 - p;
      mask[i * size + j] = mask[j * size + i] = 1;
    }
  }
  return { size, preferences, mask };
}
