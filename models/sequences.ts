/**
 * Prompts and responses as tokens of one run, planned into batches under a token budget. A prompt is
 * computed once for all its responses in a batch.
 *
 * @module
 */

import type { BoundExecutable, HostTensor } from "../graph/mod.ts";

/** A response after its prompt. */
export interface Sequence {
  /** Tokens of the prompt, at least one. */
  readonly promptIds: readonly number[];
  /** Tokens that are scored. */
  readonly responseIds: readonly number[];
}

/** Tokens a sequence feeds: all but the last, which is only predicted. */
export function fedTokens({ promptIds, responseIds }: Sequence): number {
  return promptIds.length + responseIds.length - 1;
}

/** Names a prompt by its tokens. */
function promptKey({ promptIds }: Sequence): string {
  return promptIds.join();
}

/**
 * What a batch takes: prompts × longest prompt + responses × longest response, in tokens. That bounds
 * the tokens fed, those scored, and the rows that attention is padded to.
 */
class BatchSize {
  readonly #prompts = new Set<string>();
  #longestPrompt = 0;
  #responses = 0;
  #longestResponse = 0;

  /** The size with more sequences. */
  with(sequences: readonly Sequence[]): BatchSize {
    const size = new BatchSize();
    for (const prompt of this.#prompts) size.#prompts.add(prompt);
    size.#longestPrompt = this.#longestPrompt;
    size.#longestResponse = this.#longestResponse;
    size.#responses = this.#responses + sequences.length;
    for (const sequence of sequences) {
      size.#prompts.add(promptKey(sequence));
      size.#longestPrompt = Math.max(size.#longestPrompt, sequence.promptIds.length);
      size.#longestResponse = Math.max(size.#longestResponse, sequence.responseIds.length);
    }
    return size;
  }

  get tokens(): number {
    return this.#prompts.size * this.#longestPrompt + this.#responses * this.#longestResponse;
  }
}

/**
 * Batches of indices under a token budget, longest first, with the responses of a prompt beside each
 * other. A batch takes prompts × longest prompt + responses × longest response tokens (what is too long
 * by itself stands alone). Depends on the token ids alone.
 *
 * @param together Sequences that stay in one batch: 2 where each two that follow one another are a pair.
 *
 * @example
 * ```ts
 * import { planSequences } from "./sequences.ts";
 * import assert from "node:assert/strict";
 * const sequence = (prompt: number, length: number) => ({
 *   promptIds: [prompt, prompt, prompt],
 *   responseIds: Array(length).fill(0),
 * });
 * // Two of prompt 7 take 3 + 2 · 4 tokens.
 * const sequences = [sequence(7, 4), sequence(8, 5), sequence(7, 3)];
 * assert.deepEqual(planSequences(sequences, 11), [[1], [0, 2]]);
 * ```
 */
export function planSequences(
  sequences: readonly Sequence[],
  tokenBudget: number,
  together = 1,
): number[][] {
  const longest = (indices: readonly number[]) =>
    Math.max(...indices.map((index) => fedTokens(sequences[index]!)));
  const byPrompt = new Map<string, number[][]>();
  for (let start = 0; start < sequences.length; start += together) {
    const unit = Array.from({ length: together }, (_, at) => start + at);
    const key = promptKey(sequences[start]!);
    const units = byPrompt.get(key);
    if (units) units.push(unit);
    else byPrompt.set(key, [unit]);
  }
  const groups = [...byPrompt.values()].map((units) => ({ units, longest: longest(units.flat()) }));
  groups.sort((a, b) => b.longest - a.longest || a.units[0]![0]! - b.units[0]![0]!);

  const of = (indices: readonly number[]) => indices.map((index) => sequences[index]!);
  const batches: number[][] = [];
  let size = new BatchSize();
  for (const { units } of groups) {
    units.sort((a, b) => longest(b) - longest(a) || a[0]! - b[0]!);
    const whole = of(units.flat());
    // A prompt that fits a batch with all its responses is not computed in two.
    const apart = new BatchSize().with(whole).tokens <= tokenBudget &&
      size.with(whole).tokens > tokenBudget;
    for (const [at, unit] of units.entries()) {
      const next = size.with(of(unit));
      const batch = batches.at(-1);
      if (batch && !(apart && at === 0) && next.tokens <= tokenBudget) {
        batch.push(...unit);
        size = next;
      } else {
        batches.push([...unit]);
        size = new BatchSize().with(of(unit));
      }
    }
  }
  return batches;
}

/** A cell of a table where nothing is. */
const NONE = -1;

/** Numbers of rows by places: a padded table. */
function table(rows: readonly (readonly number[])[], width: number): HostTensor {
  const data = new Int32Array(rows.length * width).fill(NONE);
  rows.forEach((row, index) => data.set(row, index * width));
  return { shape: [rows.length, width], data };
}

function vector(values: readonly number[]): HostTensor {
  return { shape: [values.length], data: Int32Array.from(values) };
}

const longestOf = (rows: readonly (readonly unknown[])[]): number =>
  Math.max(1, ...rows.map(({ length }) => length));

/**
 * The inputs of the likelihood program for some sequences: all tokens after each other without padding,
 * each prompt once and then its responses, whose positions start again behind the prompt. See
 * `models/programs/shared_prompts.ts` for the tables that attention is computed by.
 */
export function packSequences(sequences: readonly Sequence[]): Record<string, HostTensor> {
  const byPrompt = new Map<string, number[]>();
  sequences.forEach((sequence, index) => {
    const key = promptKey(sequence);
    const indices = byPrompt.get(key);
    if (indices) indices.push(index);
    else byPrompt.set(key, [index]);
  });

  const ids: number[] = [];
  const positions: number[] = [];
  /** Adds tokens. @returns where they stand. */
  const feed = (tokens: readonly number[], start: number): number[] =>
    tokens.map((id, at) => {
      positions.push(start + at);
      return ids.push(id) - 1;
    });
  const prompts: number[][] = [];
  const responses: number[][] = sequences.map(() => []);
  const promptOf: number[] = sequences.map(() => 0);
  for (const indices of byPrompt.values()) {
    const { promptIds } = sequences[indices[0]!]!;
    const prompt = prompts.push(feed(promptIds, 0)) - 1;
    for (const index of indices) {
      promptOf[index] = prompt;
      responses[index] = feed(sequences[index]!.responseIds.slice(0, -1), promptIds.length);
    }
  }
  const [promptTime, responseTime] = [longestOf(prompts), longestOf(responses)];
  /** The keys of each response: those of its prompt by their places in the table of prompts, and its own. */
  const promptKeys = promptOf.map((prompt) =>
    prompts[prompt]!.map((_, at) => prompt * promptTime + at)
  );
  const ownKeys = responses.map((own, at) => [...promptKeys[at]!.map(() => NONE), ...own]);
  const keyTime = longestOf(ownKeys);
  /** Where each of some tokens stands in a table. */
  const places = (
    rows: readonly (readonly number[])[],
    width: number,
    tokens = ids.length,
  ): number[][] => {
    const found: number[][] = Array.from({ length: tokens }, () => []);
    rows.forEach((row, index) =>
      row.forEach((token, at) => token !== NONE && found[token]!.push(index * width + at))
    );
    return found;
  };
  const promptKeyPlaces = places(promptKeys, keyTime, prompts.length * promptTime);
  const copies = longestOf(promptKeyPlaces);

  const rows: number[] = [];
  const targets: number[] = [];
  const owner: number[] = [];
  sequences.forEach(({ responseIds }, index) => {
    // Each token is predicted by the one before it.
    const before = [prompts[promptOf[index]!]!.at(-1)!, ...responses[index]!];
    responseIds.forEach((id, at) => {
      rows.push(before[at]!);
      targets.push(id);
      owner.push(index);
    });
  });
  return {
    ids: { shape: [1, ids.length], data: Int32Array.from(ids) },
    positions: { shape: [1, ids.length], data: Int32Array.from(positions) },
    prompt_tokens: table(prompts, promptTime),
    prompt_places: table(places(prompts, promptTime), 1),
    response_tokens: table(responses, responseTime),
    response_places: table(places(responses, responseTime), 1),
    prompt_key_tokens: table(promptKeys, keyTime),
    prompt_key_places: {
      shape: [prompts.length, promptTime, copies],
      data: table(promptKeyPlaces, copies).data,
    },
    own_key_tokens: table(ownKeys, keyTime),
    own_key_places: table(places(ownKeys, keyTime), 1),
    prompt_lengths: vector(promptOf.map((prompt) => prompts[prompt]!.length)),
    rows: vector(rows),
    targets: vector(targets),
    owner: vector(owner),
  };
}

/**
 * Token log-probabilities of sequences, in their order.
 *
 * @param likelihood The likelihood program, bound.
 */
export async function scoreSequences(
  likelihood: BoundExecutable,
  sequences: readonly Sequence[],
  tokenBudget: number,
  signal?: AbortSignal,
): Promise<Float32Array[]> {
  const scored: Float32Array[] = sequences.map(() => new Float32Array(0));
  const filled = sequences.flatMap((sequence, index) =>
    sequence.responseIds.length > 0 ? [index] : []
  );
  for (const plan of planSequences(filled.map((at) => sequences[at]!), tokenBudget)) {
    signal?.throwIfAborted();
    const batch = plan.map((at) => filled[at]!);
    const { owner: _, ...inputs } = packSequences(batch.map((index) => sequences[index]!));
    const outputs = await likelihood.run(inputs, signal ? { signal } : {});
    const values = outputs.token_log_probs!.data as Float32Array;
    let at = 0;
    for (const index of batch) {
      const { length } = sequences[index]!.responseIds;
      scored[index] = values.slice(at, at + length);
      at += length;
    }
  }
  return scored;
}
