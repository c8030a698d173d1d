/**
 * Policies over finite sets of answers, in float64: what theory is about, and what tests of the loop run
 * on.
 *
 * @module
 */

import { hash128 } from "./hash.ts";
import type { Policy, Prompt, Response, ResponseGroup, Sampled, SampleOptions } from "./policy.ts";
import type { TokenLogProbs } from "./policy.ts";
import { randomStream } from "./random.ts";

/** A policy that is a table: for each prompt, answers and their probabilities. Immutable. */
export interface TabularPolicy extends Policy {
  /** Prompt ids, in the order of the table. */
  readonly promptIds: readonly string[];
  /** Whether `sample` yields every answer once, with its probability, in place of samples. */
  readonly exhaustive: boolean;
  /** The answers to a prompt. @throws {RangeError} When the prompt is not in the table. */
  answers(promptId: string): readonly string[];
  /** log π(y | x), nats, in the order of the answers. Not to be written to. */
  logProbsOf(promptId: string): Float64Array;
  /** π(y | x), in the order of the answers. */
  probabilities(promptId: string): Float64Array;
  /** The same table with other log-weights for some prompts; they are normalised. */
  with(logWeights: ReadonlyMap<string, ArrayLike<number>>): TabularPolicy;
}

/** Options of {@linkcode tabularPolicy}. */
export interface TabularPolicyOptions {
  /** Answers by prompt id; different from each other. */
  readonly answers: { readonly [promptId: string]: readonly string[] };
  /** Logarithms of weights by prompt id, normalised on entry; a uniform policy without. */
  readonly logWeights?: { readonly [promptId: string]: ArrayLike<number> };
  /** False by default. */
  readonly exhaustive?: boolean;
}

/** How far from 0 log Σ π may be: rounding of a sum over a few thousand answers. */
const NORMALIZED = 1e-12;

interface Row {
  readonly answers: readonly string[];
  readonly indexes: ReadonlyMap<string, number>;
  readonly logProbs: Float64Array;
}

/**
 * A tabular policy.
 *
 * It samples at any temperature from the whole table; nucleus, top-k and min-p are refused. An answer
 * counts as one token, whose id is its index. An exhaustive policy yields every answer once with its
 * probability as its weight, whatever K is, at temperature 1.
 *
 * @throws {RangeError} When a prompt has no answers, or the same twice, or weights do not fit.
 *
 * @example
 * ```ts
 * import { tabularPolicy } from "./tabular.ts";
 * import assert from "node:assert/strict";
 * const policy = tabularPolicy({
 *   answers: { p: ["yes", "no"] },
 *   logWeights: { p: [Math.log(3), 0] },
 * });
 * assert.ok(Math.abs(policy.probabilities("p")[0]! - 0.75) < 1e-12);
 * ```
 */
export function tabularPolicy(options: TabularPolicyOptions): TabularPolicy {
  const rows = new Map<string, Row>();
  for (const [promptId, answers] of Object.entries(options.answers)) {
    const indexes = new Map(answers.map((answer, index) => [answer, index]));
    if (answers.length === 0 || indexes.size !== answers.length) {
      throw new RangeError(
        `Cannot make a tabular policy as the answers to "${promptId}" must be different, and one at ` +
          `least: ${JSON.stringify(answers)}`,
      );
    }
    const logWeights = options.logWeights?.[promptId] ?? new Float64Array(answers.length);
    rows.set(promptId, { answers, indexes, logProbs: normalize(logWeights, answers, promptId) });
  }
  return fromRows(rows, options.exhaustive ?? false);
}

function fromRows(rows: ReadonlyMap<string, Row>, exhaustive: boolean): TabularPolicy {
  let id: string | undefined;
  const row = (promptId: string): Row => {
    const found = rows.get(promptId);
    if (found === undefined) {
      throw new RangeError(
        `Cannot ask a tabular policy as the prompt must be in its table: "${promptId}"`,
      );
    }
    return found;
  };
  const policy: TabularPolicy = {
    get id() {
      return id ??= tableId(rows, exhaustive);
    },
    promptIds: [...rows.keys()],
    exhaustive,
    answers: (promptId) => row(promptId).answers,
    logProbsOf: (promptId) => row(promptId).logProbs,
    probabilities: (promptId) => row(promptId).logProbs.map(Math.exp),
    with(logWeights) {
      const changed = new Map(rows);
      for (const [promptId, weights] of logWeights) {
        const { answers, indexes } = row(promptId);
        changed.set(promptId, {
          answers,
          indexes,
          logProbs: normalize(weights, answers, promptId),
        });
      }
      return fromRows(changed, exhaustive);
    },
    async *sample(prompts, options): AsyncGenerator<Sampled> {
      checkSampling(options, exhaustive);
      for (const prompt of prompts) {
        options.signal?.throwIfAborted();
        yield exhaustive
          ? everyAnswer(prompt, row(prompt.id))
          : drawAnswers(prompt, row(prompt.id), options);
      }
    },
    async *logProbs(groups, { signal } = {}): AsyncGenerator<TokenLogProbs> {
      for (const group of groups) {
        signal?.throwIfAborted();
        yield scores(group, row(group.prompt.id));
      }
    },
  };
  return policy;
}

function scores({ prompt, responses }: ResponseGroup, { indexes, logProbs }: Row): TokenLogProbs {
  return responses.map(({ text }) => {
    const index = indexes.get(text);
    if (index === undefined) {
      throw new RangeError(
        `Cannot score a response to "${prompt.id}" as it must be among the answers: ` +
          JSON.stringify(text),
      );
    }
    return Float32Array.of(logProbs[index]!);
  });
}

function everyAnswer(prompt: Prompt, { answers, logProbs }: Row): Sampled {
  const responses = answers.map((text, index): Response => ({
    text,
    tokenIds: [index],
    finishReason: "stop",
    logProb: logProbs[index]!,
  }));
  return { prompt, responses, weights: Array.from(logProbs, Math.exp) };
}

function drawAnswers(prompt: Prompt, { answers, logProbs }: Row, options: SampleOptions): Sampled {
  const { samples, temperature, seed } = options;
  const largest = logProbs.reduce((a, b) => Math.max(a, b));
  const shares = temperature === 0
    ? logProbs.map((_, index) => index === logProbs.indexOf(largest) ? 1 : 0)
    : logProbs.map((logProb) => Math.exp((logProb - largest) / temperature));
  const total = shares.reduce((a, b) => a + b);
  const responses = Array.from({ length: samples }, (_, sample): Response => {
    let left = randomStream(seed, prompt.id, sample).next() * total;
    let index = shares.findIndex((share) => (left -= share) < 0);
    if (index < 0) index = shares.findLastIndex((share) => share > 0);
    return {
      text: answers[index]!,
      tokenIds: [index],
      finishReason: "stop",
      logProb: logProbs[index]!,
    };
  });
  return { prompt, responses };
}

function checkSampling(options: SampleOptions, exhaustive: boolean): void {
  const { temperature, topP, topK = 0, minP = 0 } = options;
  if (topP !== 1 || topK !== 0 || minP !== 0) {
    throw new RangeError(
      "Cannot sample a tabular policy as top-p must be 1, top-k 0 and min-p 0: " +
        `${topP}, ${topK}, ${minP}`,
    );
  }
  if (exhaustive ? temperature !== 1 : !(temperature >= 0)) {
    throw new RangeError(
      `Cannot sample a tabular policy as its temperature must be ${
        exhaustive ? "1 where it yields every answer" : "at least 0"
      }: ${temperature}`,
    );
  }
}

function normalize(
  logWeights: ArrayLike<number>,
  answers: readonly string[],
  promptId: string,
): Float64Array {
  const values = Float64Array.from(logWeights);
  const largest = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (values.length !== answers.length || !isFinite(largest) || values.some(Number.isNaN)) {
    throw new RangeError(
      `Cannot make a tabular policy as "${promptId}" must have ${answers.length} log-weights, one of ` +
        `them finite: ${Array.from(values)}`,
    );
  }
  let sum = 0;
  for (const value of values) sum += Math.exp(value - largest);
  const logZ = largest + Math.log(sum);
  // What is normalised already stays as it is, bit by bit, so that a table that was kept is the same.
  if (Math.abs(logZ) <= NORMALIZED) return values;
  for (let index = 0; index < values.length; index++) values[index]! -= logZ;
  return values;
}

function tableId(rows: ReadonlyMap<string, Row>, exhaustive: boolean): string {
  const names = JSON.stringify([...rows].map(([promptId, { answers }]) => [promptId, answers]));
  const hashes = [hash128(names)];
  for (const { logProbs } of rows.values()) {
    hashes.push(
      hash128(new Uint8Array(logProbs.buffer, logProbs.byteOffset, logProbs.byteLength)),
    );
  }
  const all = Uint32Array.from(hashes.flatMap((hash) => [...hash]));
  const digits = [...hash128(new Uint8Array(all.buffer))].map((word) =>
    word.toString(16).padStart(8, "0")
  ).join("");
  return `tabular${exhaustive ? "-exhaustive" : ""}-${digits}`;
}

/** Averages policies: the mixture that plays each of them equally often. */
export interface AveragedIterate {
  /** Adds a policy. */
  add(policy: TabularPolicy): void;
  /** How many were added. */
  readonly count: number;
  /** Mean of π(y | x) over the policies added. @throws {RangeError} When none was. */
  probabilities(promptId: string): Float64Array;
}

/**
 * An accumulator of averaged iterates.
 *
 * @example
 * ```ts
 * import { averagedIterate, tabularPolicy } from "./tabular.ts";
 * import assert from "node:assert/strict";
 * const average = averagedIterate();
 * const answers = { p: ["yes", "no"] };
 * average.add(tabularPolicy({ answers, logWeights: { p: [0, -Infinity] } }));
 * average.add(tabularPolicy({ answers }));
 * assert.deepEqual([...average.probabilities("p")], [0.75, 0.25]);
 * ```
 */
export function averagedIterate(): AveragedIterate {
  const sums = new Map<string, Float64Array>();
  let count = 0;
  return {
    add(policy) {
      for (const promptId of policy.promptIds) {
        const logProbs = policy.logProbsOf(promptId);
        const sum = sums.get(promptId) ?? new Float64Array(logProbs.length);
        for (let index = 0; index < sum.length; index++) sum[index]! += Math.exp(logProbs[index]!);
        sums.set(promptId, sum);
      }
      count++;
    },
    get count() {
      return count;
    },
    probabilities(promptId) {
      const sum = sums.get(promptId);
      if (sum === undefined) {
        throw new RangeError(`Cannot average policies as one must have the prompt: "${promptId}"`);
      }
      return sum.map((value) => value / count);
    },
  };
}
