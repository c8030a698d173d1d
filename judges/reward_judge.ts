/**
 * Reward models as judges: a number for each response, and Bradley–Terry between them.
 *
 * @module
 */

import { sigmoid } from "../core/estimators.ts";
import { judge } from "../core/judgements.ts";
import type { PreferenceOracle } from "../core/oracle.ts";
import type { Prompt } from "../core/policy.ts";
import { checkTemperature, pairwiseLogits } from "./pair_rm.ts";

/** What gives a response a reward; higher is better. */
export interface RewardModel {
  /** Covers its weights and settings. */
  readonly id: string;
  /** A finite reward of each response. */
  rewards(
    prompt: Prompt["content"],
    responses: readonly string[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<ArrayLike<number>>;
}

/**
 * A judge P(y ≻ y′) = σ((r(y) − r(y′)) / temperature): transitive. K responses take K readings. The
 * logits of the judgement are (r_i − r_j) / 2, so that L_ij − L_ji is the difference of rewards.
 *
 * @param temperature 1 when not given, for which Bradley–Terry models are trained.
 * @throws {RangeError} When the temperature is not positive.
 *
 * @example
 * ```ts
 * import { rewardJudge } from "./reward_judge.ts";
 * import assert from "node:assert/strict";
 * const model = {
 *   id: "length",
 *   rewards: (_: unknown, texts: readonly string[]) => Promise.resolve(texts.map((t) => t.length)),
 * };
 * const prompt = { id: "p", content: "?" }, responses = [{ text: "ab" }, { text: "a" }];
 * for await (const { preferences } of rewardJudge(model).compare([{ prompt, responses }])) {
 *   assert.equal(preferences[1], 1 / (1 + Math.exp(-1)));
 * }
 * ```
 */
export function rewardJudge(
  model: RewardModel,
  { temperature = 1 }: { readonly temperature?: number } = {},
): PreferenceOracle {
  checkTemperature(temperature);
  return {
    id: `reward:${model.id}@temperature=${temperature}`,
    async *compare(groups, options = {}) {
      for (const group of groups) {
        options.signal?.throwIfAborted();
        const texts = [...new Set(group.responses.map(({ text }) => text))];
        const ofText = await model.rewards(group.prompt.content, texts, options);
        const rewards = group.responses.map(({ text }) => ofText[texts.indexOf(text)]!);
        const margin = (i: number, j: number) => rewards[i]! - rewards[j]!;
        yield {
          ...judge(group, (i, j) => sigmoid(margin(i, j) / temperature)),
          logits: pairwiseLogits(rewards.length, margin),
        };
      }
    },
  };
}

/** A reward model and how much it counts. */
export interface RewardTerm {
  /** The model. */
  readonly model: RewardModel;
  /** Positive; weights are divided by their sum. */
  readonly weight: number;
}

/**
 * The weighted mean of rewards, r = Σ w r_m / Σ w. (A mixture of judges is the mean of their
 * preferences instead.)
 *
 * @throws {RangeError} When there is no model, or a weight is not positive.
 *
 * @example
 * ```ts
 * import { rewardEnsemble } from "./reward_judge.ts";
 * import assert from "node:assert/strict";
 * const constant = (r: number) => ({ id: `${r}`, rewards: () => Promise.resolve([r]) });
 * const model = rewardEnsemble([{ model: constant(1), weight: 3 }, { model: constant(5), weight: 1 }]);
 * assert.deepEqual(await model.rewards("?", ["y"]), [2]);
 * ```
 */
export function rewardEnsemble(terms: readonly RewardTerm[]): RewardModel {
  const total = terms.reduce((sum, { weight }) => sum + weight, 0);
  if (terms.length === 0 || !terms.every(({ weight }) => weight > 0) || !isFinite(total)) {
    throw new RangeError(
      `Cannot combine reward models as there must be one at least, and their weights positive: ${
        terms.map(({ weight }) => weight).join(", ") || "none"
      }`,
    );
  }
  return {
    id: terms.map(({ model, weight }) => `${weight / total}*${model.id}`).join("+"),
    async rewards(prompt, responses, options) {
      const sums = new Array<number>(responses.length).fill(0);
      for (const { model, weight } of terms) {
        const rewards = await model.rewards(prompt, responses, options);
        sums.forEach((_, index) => sums[index]! += weight / total * rewards[index]!);
      }
      return sums;
    },
  };
}

/**
 * A reward less a price for length: r − penalty · characters (code points). Reward models often like
 * what is long.
 *
 * @param penalty Reward per character, at least 0.
 *
 * @example
 * ```ts
 * import { lengthPenalised } from "./reward_judge.ts";
 * import assert from "node:assert/strict";
 * const model = { id: "one", rewards: () => Promise.resolve([1, 1]) };
 * assert.deepEqual(await lengthPenalised(model, 0.5).rewards("?", ["", "🙂"]), [1, 0.5]);
 * ```
 */
export function lengthPenalised(model: RewardModel, penalty: number): RewardModel {
  if (!(penalty >= 0 && isFinite(penalty))) {
    throw new RangeError(`Cannot penalise length as the penalty must be at least 0: ${penalty}`);
  }
  return {
    id: `${model.id}-${penalty}*characters`,
    async rewards(prompt, responses, options) {
      const rewards = await model.rewards(prompt, responses, options);
      return responses.map((text, index) => rewards[index]! - penalty * [...text].length);
    },
  };
}
