/**
 * PairRM as a preference oracle, and LLM-Blender's ways of ranking by it.
 *
 * @module
 */

import { sigmoid } from "../core/estimators.ts";
import { judge } from "../core/judgements.ts";
import type { ComparisonGroup, Judgement, PreferenceOracle } from "../core/oracle.ts";
import type { Prompt } from "../core/policy.ts";

/** What reads a prompt with two responses; `PairRanker` of the models is one. */
export interface PairModel {
  /** Covers its weights. */
  readonly id: string;
  /** Logits of ordered pairs (left, right) of responses: above 0 where the left one is better. */
  logits(
    prompt: Prompt["content"],
    responses: readonly string[],
    pairs: readonly (readonly [number, number])[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<ArrayLike<number>>;
}

/** Options of {@linkcode pairJudge}. */
export interface PairJudgeOptions {
  /**
   * Divides L_ij − L_ji. 1, as in the SPPO paper's formula and LLM-Blender's `PairRMJudge`, when not
   * given. PairRM is trained by −log σ(L) on one order, so that 2 is what it is calibrated for.
   */
  readonly temperature?: number;
}

/**
 * A judge that reads both orders of each pair:
 *
 *     P(y_i ≻ y_j) = σ((L_ij − L_ji) / temperature).
 *
 * The judgement keeps all logits, of both orders. A pair of texts is read once, however often it
 * occurs in a group; equal texts are ½ to each other, whatever the model's preference for a side is.
 * A group is read by itself, so its judgement does not depend on the others in the least.
 *
 * @throws {RangeError} When the temperature is not positive.
 *
 * @example
 * ```ts
 * import { pairJudge } from "./pair_rm.ts";
 * import assert from "node:assert/strict";
 * // A model that likes long answers, and the left side.
 * const model = {
 *   id: "long-left",
 *   logits: (_: unknown, texts: readonly string[], pairs: readonly (readonly [number, number])[]) =>
 *     Promise.resolve(pairs.map(([i, j]) => texts[i]!.length - texts[j]!.length + 3)),
 * };
 * const prompt = { id: "p", content: "?" }, responses = [{ text: "ab" }, { text: "a" }];
 * for await (const { preferences, logits } of pairJudge(model).compare([{ prompt, responses }])) {
 *   assert.deepEqual([...logits!], [0, 4, 2, 0]);
 *   assert.equal(preferences[1], 1 / (1 + Math.exp(-2)));
 * }
 * ```
 */
export function pairJudge(
  model: PairModel,
  { temperature = 1 }: PairJudgeOptions = {},
): PreferenceOracle {
  checkTemperature(temperature);
  return {
    id: `pair-rm:${model.id}@temperature=${temperature}`,
    async *compare(groups, { signal } = {}) {
      for (const group of groups) {
        signal?.throwIfAborted();
        const logits = await groupLogits(model, group, signal);
        yield judgementOf(group, logits, temperature);
      }
    },
  };
}

/** @throws {RangeError} When a temperature is not a positive number. */
export function checkTemperature(temperature: number): void {
  if (!(temperature > 0 && isFinite(temperature))) {
    throw new RangeError(`Cannot make a judge as its temperature must be positive: ${temperature}`);
  }
}

/** Logits [K, K] with L_ij − L_ji = margin(i, j), of a margin with margin(i, j) = −margin(j, i). */
export function pairwiseLogits(
  size: number,
  margin: (i: number, j: number) => number,
): Float64Array {
  return Float64Array.from(
    { length: size * size },
    (_, at) => margin(Math.floor(at / size), at % size) / 2,
  );
}

/** L [K, K] of the cells that are asked for; 0 elsewhere. */
async function groupLogits(
  model: PairModel,
  group: ComparisonGroup,
  signal: AbortSignal | undefined,
): Promise<Float64Array> {
  const { mask, size } = judge(group, () => 0.5); // which cells, checked
  const texts = [...new Set(group.responses.map(({ text }) => text))];
  const textOf = group.responses.map(({ text }) => texts.indexOf(text));
  const asked: [number, number][] = [];
  const answerOf = new Map<number, number>(); // left · texts + right → index into asked
  const cells: { readonly at: number; readonly answer: number }[] = [];
  mask.forEach((exists, at) => {
    const [i, j] = [Math.floor(at / size), at % size];
    if (exists === 0 || i === j) return;
    const key = textOf[i]! * texts.length + textOf[j]!;
    if (!answerOf.has(key)) answerOf.set(key, asked.push([textOf[i]!, textOf[j]!]) - 1);
    cells.push({ at, answer: answerOf.get(key)! });
  });
  const answers = asked.length === 0
    ? []
    : await model.logits(group.prompt.content, texts, asked, signal ? { signal } : {});
  const logits = new Float64Array(size * size);
  for (const { at, answer } of cells) logits[at] = answers[answer]!;
  return logits;
}

function judgementOf(
  group: ComparisonGroup,
  logits: Float64Array,
  temperature: number,
): Judgement {
  const size = group.responses.length;
  const difference = (i: number, j: number) => logits[i * size + j]! - logits[j * size + i]!;
  return { ...judge(group, (i, j) => sigmoid(difference(i, j) / temperature)), logits };
}
