/**
 * Preference oracles P(y ≻ y′ | x): what says how likely one response is to be preferred to another.
 *
 * @module
 */

import type { Prompt, Response } from "./policy.ts";

/** K responses to one prompt, to be compared with each other. */
export interface ComparisonGroup {
  /** x. */
  readonly prompt: Prompt;
  /** y_1 … y_K. */
  readonly responses: readonly Pick<Response, "text">[];
  /** Unordered pairs (i, j), i ≠ j, to compare; all of them when absent. */
  readonly pairs?: readonly (readonly [number, number])[];
}

/**
 * What an oracle says of one group. A cell that was not compared is masked, never ½.
 *
 * Laws: P + Pᵀ = 1 wherever a cell exists, the mask is symmetric, the diagonal exists and is ½.
 */
export interface Judgement {
  /** K. */
  readonly size: number;
  /** P(y_i ≻ y_j | x) in [0, 1] at i·K + j. */
  readonly preferences: Float64Array;
  /** 1 where the cell at i·K + j exists. */
  readonly mask: Uint8Array;
  /** The judge's raw logit of (left = y_i, right = y_j) at i·K + j, where it has any; diagonal 0. */
  readonly logits?: Float64Array;
  /** What it cost. */
  readonly cost?: {
    readonly tokens?: number;
    readonly requests?: number;
    readonly currency?: number;
  };
  /** What the judge counted on the way, by name, such as answers it could not read; sums make sense. */
  readonly counts?: Readonly<Record<string, number>>;
}

/** Options of {@linkcode PreferenceOracle.compare}. */
export interface CompareOptions {
  /** Ends the comparison: the next judgement is an error, the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Groups that later comparisons of the same work may ask about, where that is known: what a person is
   * told. No judgement depends on it.
   */
  readonly later?: number;
}

/** What an oracle reads of a prompt beside its conversation. */
export interface PromptNeeds {
  /** Names of the prompt's {@linkcode Prompt.fields}, each once. */
  readonly fields: readonly string[];
  /**
   * Refuses a prompt that lacks one, or in which one is not what it must be; so that this is known
   * before there are responses.
   *
   * @throws {Error} Naming the prompt.
   */
  check(prompt: Prompt): void | Promise<void>;
}

/**
 * Something that compares responses. Need not be transitive.
 *
 * Laws: one judgement per group, in order; a group's judgement does not depend on the other groups;
 * identical responses are ½ to each other; calling twice gives the same.
 */
export interface PreferenceOracle {
  /** Covers everything a judgement depends on: weights, template, settings, the user's module. */
  readonly id: string;
  /** What it reads of prompts' fields, where it reads any; comparing without them is an error. */
  readonly needs?: PromptNeeds;
  /** Compares the responses of each group. */
  compare(groups: readonly ComparisonGroup[], options?: CompareOptions): AsyncIterable<Judgement>;
}

/**
 * What some oracles read together, in the form in which an oracle over them has it: nothing when none
 * of them reads anything.
 *
 * @example
 * ```ts
 * import { needsOf, type PreferenceOracle } from "./oracle.ts";
 * import assert from "node:assert/strict";
 * const compare: PreferenceOracle["compare"] = async function* () {};
 * const reading = (field: string) => ({ id: field, needs: { fields: [field], check() {} }, compare });
 * assert.deepEqual(needsOf([reading("a"), reading("b"), reading("a")]).needs?.fields, ["a", "b"]);
 * assert.deepEqual(needsOf([{ id: "text", compare }]), {});
 * ```
 */
export function needsOf(oracles: readonly PreferenceOracle[]): Pick<PreferenceOracle, "needs"> {
  const needs = oracles.flatMap((oracle) => oracle.needs ?? []);
  if (needs.length === 0) return {};
  return {
    needs: {
      fields: [...new Set(needs.flatMap(({ fields }) => fields))],
      async check(prompt) {
        for (const need of needs) await need.check(prompt);
      },
    },
  };
}
