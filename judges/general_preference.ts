/**
 * General preference models as judges: an embedding of each response, and a skew-symmetric product
 * between them, which can go round in circles.
 *
 * @module
 */

import { sigmoid } from "../core/estimators.ts";
import { judge } from "../core/judgements.ts";
import type { PreferenceOracle } from "../core/oracle.ts";
import type { Prompt } from "../core/policy.ts";
import { checkTemperature, pairwiseLogits } from "./pair_rm.ts";

/** Embeddings of the responses to one prompt. */
export interface Embeddings {
  /** v(y) of each response: 2k numbers. */
  readonly vectors: readonly ArrayLike<number>[];
  /** λ(x), k numbers; all 1 when absent. */
  readonly blockWeights?: ArrayLike<number>;
}

/** What embeds responses. */
export interface EmbeddingModel {
  /** Covers its weights and settings. */
  readonly id: string;
  /** Embeddings of each response, of one even length. */
  embeddings(
    prompt: Prompt["content"],
    responses: readonly string[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<Embeddings>;
}

/**
 * s(v, v′) = Σ_b λ_b (v[2b] v′[2b + 1] − v[2b + 1] v′[2b]): vᵀ R v′ with R of blocks (0 λ; −λ 0) along
 * its diagonal. s(v, v′) = −s(v′, v).
 *
 * @throws {RangeError} When the lengths are odd or differ.
 *
 * @example
 * ```ts
 * import { skewScore } from "./general_preference.ts";
 * import assert from "node:assert/strict";
 * // Three directions in a plane, each a third of a turn after the one before: a cycle.
 * const v = [0, 1, 2].map((i) => [Math.cos(2 * Math.PI * i / 3), Math.sin(2 * Math.PI * i / 3)]);
 * for (const i of [0, 1, 2]) assert.ok(skewScore(v[i]!, v[(i + 1) % 3]!) > 0.86);
 * ```
 */
export function skewScore(
  left: ArrayLike<number>,
  right: ArrayLike<number>,
  blockWeights?: ArrayLike<number>,
): number {
  if (left.length !== right.length || left.length % 2 !== 0) {
    throw new RangeError(
      `Cannot compare embeddings as they must have one even length: ${left.length} and ${right.length}`,
    );
  }
  let sum = 0;
  for (let b = 0; 2 * b < left.length; b++) {
    const turn = left[2 * b]! * right[2 * b + 1]! - left[2 * b + 1]! * right[2 * b]!;
    sum += (blockWeights?.[b] ?? 1) * turn;
  }
  return sum;
}

/**
 * A judge P(y ≻ y′) = σ(s(v(y), v(y′)) / tau). K responses take K readings, not K². The logits of the
 * judgement are s / (2 tau), so that L_ij − L_ji is what σ is taken of.
 *
 * Source: Zhang et al. 2024, "General Preference Modeling with Preference Representations",
 * arXiv:2410.02197; general-preference/general-preference-model
 * `general_preference/models/loss.py`, `HighDimGeneralPreferenceLoss`.
 *
 * @param tau 0.1 when not given, as there.
 * @throws {RangeError} When tau is not positive.
 */
export function generalPreferenceJudge(
  model: EmbeddingModel,
  { tau = 0.1 }: { readonly tau?: number } = {},
): PreferenceOracle {
  checkTemperature(tau);
  return {
    id: `gpm:${model.id}@tau=${tau}`,
    async *compare(groups, options = {}) {
      for (const group of groups) {
        options.signal?.throwIfAborted();
        const texts = [...new Set(group.responses.map(({ text }) => text))];
        const { vectors, blockWeights } = await model.embeddings(
          group.prompt.content,
          texts,
          options,
        );
        const own = group.responses.map(({ text }) => vectors[texts.indexOf(text)]!);
        const margin = (i: number, j: number) => skewScore(own[i]!, own[j]!, blockWeights) / tau;
        yield {
          ...judge(group, (i, j) => sigmoid(margin(i, j))),
          logits: pairwiseLogits(own.length, margin),
        };
      }
    },
  };
}
