/**
 * How many decoding steps a policy takes.
 *
 * @module
 */

import { DEFAULT_SLOTS } from "../../models/language_model_options.ts";

/** What is answered. */
export interface AnsweredPrompts {
  /** Prompts in all. */
  readonly prompts: number;
  /** Prompts that are asked together. */
  readonly promptsPerBatch: number;
  /** K. */
  readonly samples: number;
  /** Tokens of a response. */
  readonly maxTokens: number;
  /** Responses that are decoded side by side; as many as the model's default where not given. */
  readonly slots?: number;
}

/** Prompts whose samples are decoded side by side, where enough are asked together. */
export function sideBySide(
  { prompts, promptsPerBatch, samples, slots = DEFAULT_SLOTS }: Omit<AnsweredPrompts, "maxTokens">,
): number {
  return Math.min(Math.max(1, Math.floor(slots / samples)), promptsPerBatch, prompts);
}

/**
 * Decoding steps until every response has its full length, by the prompts whose samples run side by side.
 */
export function decodingSteps(answered: AnsweredPrompts): ReadonlyMap<number, number> {
  const { prompts: all, promptsPerBatch, maxTokens } = answered;
  const most = sideBySide(answered);
  const steps = new Map<number, number>();
  for (let start = 0; start < all; start += promptsPerBatch) {
    const end = Math.min(all, start + promptsPerBatch);
    for (let at = start; at < end; at += most) {
      const prompts = Math.min(most, end - at);
      steps.set(prompts, (steps.get(prompts) ?? 0) + maxTokens - 1);
    }
  }
  return steps;
}

/** Responses end before their longest: part of the steps that they might take. */
const EXPECTED_SHARE = 0.5;

/** Steps that are expected for all that is answered by one policy. */
export function expectedSteps(answered: readonly AnsweredPrompts[]): number {
  const most = answered.flatMap((one) => [...decodingSteps(one).values()])
    .reduce((sum, steps) => sum + steps, 0);
  return EXPECTED_SHARE * most;
}
