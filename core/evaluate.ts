/**
 * Comparing two policies by their responses to the same prompts.
 *
 * @module
 */

import { checkJudgement } from "./judgements.ts";
import type { ComparisonGroup, Judgement, PreferenceOracle } from "./oracle.ts";
import type { Sampled } from "./policy.ts";

/** P(y ≻ y′ | x) of each of our K responses (rows) against each of their K′; null where masked. */
export type CrossPreferences = readonly (readonly (number | null)[])[];

/** How often one policy's responses are preferred to another's. */
export interface WinRateAgainst {
  /** Mean over prompts of the mean preference over K×K′ comparisons, in [0, 1]; absent without any. */
  readonly winRate?: number;
  /**
   * Standard error of the win rate, clustered by prompt: sd of the prompts' win rates (n − 1) / √n.
   * Comparisons of one prompt share its responses, and count as one observation. Absent below two.
   */
  readonly standardError?: number;
  /** Prompts that count. */
  readonly prompts: number;
  /** Prompts left out, because the oracle compared no pair of theirs. */
  readonly droppedPrompts: number;
  /** Comparisons that count. */
  readonly comparisons: number;
}

/** Options of {@linkcode winRateAgainst}. */
export interface WinRateAgainstOptions {
  /** Prompts given to the oracle at a time; 8 by default. */
  readonly promptsPerBatch?: number;
  /** Ends the comparison. */
  readonly signal?: AbortSignal;
  /** Called after each prompt. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * The win rate of our responses against theirs: every one of ours against every one of theirs.
 *
 * @param ours Responses of a policy, by prompt.
 * @param theirs Responses of another policy to the same prompts in the same order.
 * @throws {RangeError} When the prompts differ.
 *
 * @example
 * ```ts
 * import { winRateAgainst } from "./evaluate.ts";
 * import { judge } from "./judgements.ts";
 * import type { PreferenceOracle } from "./oracle.ts";
 * import assert from "node:assert/strict";
 * const longer: PreferenceOracle = {
 *   id: "longer",
 *   async *compare(groups) {
 *     for (const group of groups) {
 *       const lengths = group.responses.map(({ text }) => text.length);
 *       yield judge(group, (i, j) => lengths[i]! > lengths[j]! ? 1 : 0);
 *     }
 *   },
 * };
 * const prompt = { id: "p", content: "?" };
 * const ours = [{ prompt, responses: [{ text: "aaa" }, { text: "a" }] }];
 * const theirs = [{ prompt, responses: [{ text: "aa" }] }];
 * const { winRate, comparisons } = await winRateAgainst(longer, ours, theirs);
 * assert.equal(winRate, 0.5);
 * assert.equal(comparisons, 2);
 * ```
 */
export async function winRateAgainst(
  oracle: PreferenceOracle,
  ours: readonly Sampled[],
  theirs: readonly Sampled[],
  options: WinRateAgainstOptions = {},
): Promise<WinRateAgainst> {
  const { promptsPerBatch = 8, signal, onProgress } = options;
  const summary = summarizeWinRates();
  const groups = crossGroups(ours, theirs);
  for (let start = 0; start < groups.length; start += promptsPerBatch) {
    signal?.throwIfAborted();
    const batch = groups.slice(start, start + promptsPerBatch);
    let index = start;
    for await (const judgement of oracle.compare(batch, signal === undefined ? {} : { signal })) {
      const group = groups[index];
      if (group === undefined || index >= start + batch.length) break;
      const ourSampled = ours[index]!, theirSampled = theirs[index]!;
      const cross = crossPreferences(
        checkJudgement(judgement, group, oracle.id),
        ourSampled.responses.length,
      );
      summary.add(promptWinRate(cross, ourSampled.weights, theirSampled.weights));
      index++;
      onProgress?.(index, groups.length);
    }
    if (index !== start + batch.length) {
      throw new RangeError(
        `Cannot compare policies as "${oracle.id}" must give one judgement per group: ` +
          `${index - start} for ${batch.length}`,
      );
    }
  }
  return summary.result();
}

/**
 * Groups that compare each of our responses with each of theirs, and ours first.
 *
 * @throws {RangeError} When the prompts differ.
 *
 * @example
 * ```ts
 * import { crossGroups } from "./evaluate.ts";
 * import assert from "node:assert/strict";
 * const prompt = { id: "p", content: "?" };
 * const ours = [{ prompt, responses: [{ text: "a" }] }];
 * const theirs = [{ prompt, responses: [{ text: "b" }, { text: "c" }] }];
 * assert.deepEqual(crossGroups(ours, theirs)[0]!.pairs, [[0, 1], [0, 2]]);
 * ```
 */
export function crossGroups(
  ours: readonly Sampled[],
  theirs: readonly Sampled[],
): ComparisonGroup[] {
  if (ours.length !== theirs.length) {
    throw new RangeError(
      `Cannot compare policies as both must answer the same prompts: ${ours.length} and ${theirs.length}`,
    );
  }
  return ours.map(({ prompt, responses }, index) => {
    const other = theirs[index]!;
    if (prompt.id !== other.prompt.id) {
      throw new RangeError(
        `Cannot compare policies as both must answer the same prompts in the same order: ` +
          `"${prompt.id}" and "${other.prompt.id}"`,
      );
    }
    const pairs: [number, number][] = [];
    for (let i = 0; i < responses.length; i++) {
      for (let j = 0; j < other.responses.length; j++) pairs.push([i, responses.length + j]);
    }
    return { prompt, responses: [...responses, ...other.responses], pairs };
  });
}

/**
 * The K×K′ corner of a judgement of {@linkcode crossGroups}.
 *
 * @param judgement Of K + K′ responses.
 * @param count K, our responses.
 *
 * @example
 * ```ts
 * import { crossPreferences } from "./evaluate.ts";
 * import assert from "node:assert/strict";
 * const preferences = Float64Array.of(0.5, 0.9, 0.1, 0.5), mask = Uint8Array.of(1, 1, 1, 1);
 * assert.deepEqual(crossPreferences({ size: 2, preferences, mask }, 1), [[0.9]]);
 * ```
 */
export function crossPreferences(
  { size, preferences, mask }: Pick<Judgement, "size" | "preferences" | "mask">,
  count: number,
): CrossPreferences {
  return Array.from({ length: count }, (_, i) =>
    Array.from({ length: size - count }, (_, j) => {
      const at = i * size + count + j;
      return mask[at] === 1 ? preferences[at]! : null;
    }));
}

/** The win rate on one prompt, and from how many comparisons. */
export interface PromptWinRate {
  /** Mean preference over the comparisons; absent without any. */
  readonly winRate?: number;
  /** Comparisons made. */
  readonly comparisons: number;
}

/**
 * Mean of the cells that exist, Σ u_i v_j P_ij / Σ u_i v_j.
 *
 * @param cross K×K′ preferences.
 * @param ourWeights u, probabilities of our responses where they are not samples.
 * @param theirWeights v, of theirs.
 *
 * @example
 * ```ts
 * import { promptWinRate } from "./evaluate.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(promptWinRate([[1, 0.5], [null, 0]]), { winRate: 0.5, comparisons: 3 });
 * assert.equal(promptWinRate([[1], [0]], [0.75, 0.25]).winRate, 0.75);
 * ```
 */
export function promptWinRate(
  cross: CrossPreferences,
  ourWeights?: readonly number[],
  theirWeights?: readonly number[],
): PromptWinRate {
  let sum = 0, total = 0, comparisons = 0;
  for (const [i, row] of cross.entries()) {
    for (const [j, preference] of row.entries()) {
      if (preference === null) continue;
      const weight = (ourWeights?.[i] ?? 1) * (theirWeights?.[j] ?? 1);
      sum += weight * preference;
      total += weight;
      comparisons++;
    }
  }
  return total > 0 ? { winRate: sum / total, comparisons } : { comparisons: 0 };
}

/** Adds up win rates of prompts. */
export interface WinRateSummary {
  /** Counts a prompt. */
  add(prompt: PromptWinRate): void;
  /** What it comes to. */
  result(): WinRateAgainst;
}

/**
 * The mean over prompts and its standard error clustered by prompt.
 *
 * @example
 * ```ts
 * import { summarizeWinRates } from "./evaluate.ts";
 * import assert from "node:assert/strict";
 * const summary = summarizeWinRates();
 * for (const winRate of [0.2, 0.4, 0.6]) summary.add({ winRate, comparisons: 4 });
 * const { winRate, standardError } = summary.result();
 * assert.ok(Math.abs(winRate! - 0.4) < 1e-12);
 * assert.ok(Math.abs(standardError! - 0.2 / Math.sqrt(3)) < 1e-12);
 * ```
 */
export function summarizeWinRates(): WinRateSummary {
  const winRates: number[] = [];
  let droppedPrompts = 0, comparisons = 0;
  return {
    add(prompt) {
      comparisons += prompt.comparisons;
      if (prompt.winRate === undefined) droppedPrompts++;
      else winRates.push(prompt.winRate);
    },
    result() {
      const prompts = winRates.length;
      const counts = { prompts, droppedPrompts, comparisons };
      if (prompts === 0) return counts;
      const winRate = winRates.reduce((sum, rate) => sum + rate, 0) / prompts;
      if (prompts === 1) return { winRate, ...counts };
      const squares = winRates.reduce((sum, rate) => sum + (rate - winRate) ** 2, 0);
      return { winRate, standardError: Math.sqrt(squares / (prompts - 1) / prompts), ...counts };
    },
  };
}

/** Mean length of responses. */
export interface MeanLength {
  /** Words: runs of characters that are not white space. */
  readonly words: number;
  /** Characters: Unicode code points. */
  readonly characters: number;
  /** Tokens that were sampled, the end of the turn with them; absent where a response has no ids. */
  readonly tokens?: number;
}

/**
 * Mean length over prompts of the mean over their responses (weighted where they have weights).
 *
 * @returns Undefined without responses.
 *
 * @example
 * ```ts
 * import { meanLength } from "./evaluate.ts";
 * import assert from "node:assert/strict";
 * const prompt = { id: "p", content: "?" };
 * const sampled = [{ prompt, responses: [{ text: "one two" }, { text: "" }] }];
 * assert.deepEqual(meanLength(sampled), { words: 1, characters: 3.5 });
 * ```
 */
export function meanLength(sampled: readonly Sampled[]): MeanLength | undefined {
  let words = 0, characters = 0, tokens = 0, prompts = 0, allHaveTokens = true;
  for (const { responses, weights } of sampled) {
    if (responses.length === 0) continue;
    prompts++;
    for (const [k, { text, tokenIds }] of responses.entries()) {
      const share = weights?.[k] ?? 1 / responses.length;
      words += share * countWords(text);
      characters += share * countCharacters(text);
      if (tokenIds === undefined) allHaveTokens = false;
      else tokens += share * tokenIds.length;
    }
  }
  if (prompts === 0) return undefined;
  return {
    words: words / prompts,
    characters: characters / prompts,
    ...(allHaveTokens ? { tokens: tokens / prompts } : {}),
  };
}

/**
 * Number of words: runs of characters that are not white space.
 *
 * @example
 * ```ts
 * import { countWords } from "./evaluate.ts";
 * import assert from "node:assert/strict";
 * assert.equal(countWords(" one\ntwo, three "), 3);
 * ```
 */
export function countWords(text: string): number {
  return text.match(/\S+/gu)?.length ?? 0;
}

/**
 * Number of characters: Unicode code points, as Python counts them.
 *
 * @example
 * ```ts
 * import { countCharacters } from "./evaluate.ts";
 * import assert from "node:assert/strict";
 * assert.equal(countCharacters("a🙂"), 2);
 * ```
 */
export function countCharacters(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit >= 0xd800 && unit < 0xdc00) {
      const next = text.charCodeAt(at + 1);
      if (next >= 0xdc00 && next < 0xe000) at++;
    }
    count++;
  }
  return count;
}
