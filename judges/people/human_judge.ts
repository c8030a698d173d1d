/**
 * A person as a preference oracle.
 *
 * @module
 */

import { fingerprint } from "../../core/hash.ts";
import { judge } from "../../core/judgements.ts";
import type {
  CompareOptions,
  ComparisonGroup,
  Judgement,
  PreferenceOracle,
} from "../../core/oracle.ts";
import type { Prompt } from "../../core/policy.ts";
import { randomStream } from "../../core/random.ts";
import type { Voter } from "./voter.ts";

/** What a person said of two responses. */
export interface HumanVote {
  /** x. */
  readonly prompt: Prompt;
  /** Both texts, in the order of their group, not in the order they were shown. */
  readonly responses: readonly [string, string];
  /** Which of them was shown first. */
  readonly first: 0 | 1;
  /** Which of them is better, or neither. */
  readonly better: 0 | 1 | "neither";
}

/** Where votes are kept; a `Map` is one. */
export interface VoteStore {
  /** The vote kept under a key of {@linkcode voteKey}. */
  get(key: string): HumanVote | undefined;
  /** Keeps a vote, in place of one under the same key. */
  set(key: string, vote: HumanVote): unknown;
}

/** Options of {@linkcode humanJudge}. */
export interface HumanJudgeOptions {
  /** Who it is: shown with the questions, and part of the judge's id. */
  readonly name?: string;
  /** Seed of the order in which two responses are shown; 0 when not given. */
  readonly seed?: number;
  /** Where votes are kept, so that nothing is asked twice; a new `Map` when not given. */
  readonly votes?: VoteStore;
}

/** What a vote is kept under: the content of the prompt and both texts, in either order. */
export function voteKey(content: Prompt["content"], one: string, other: string): string {
  const texts = one <= other ? [one, other] : [other, one];
  const asked = typeof content === "string"
    ? content
    : content.map(({ role, content }) => [role, content]);
  return fingerprint([asked, ...texts]);
}

/**
 * A judge that asks a person: 1, 0, or ½ where neither is better. Each two different texts are asked
 * about once, K(K − 1)/2 questions for K responses, in an order drawn by the seed from the prompt's
 * content and the texts; one vote serves both orders. All questions of a comparison are asked before
 * its first judgement, so that the person knows how many there are and may go back. A vote is kept as
 * soon as it is given.
 *
 * A judgement's `counts` tell of its pairs of different texts: `pairs`; `ties`; `first_place`, the sum
 * of what went to the response shown first, so that first_place/pairs − ½ is the bias for the first
 * place; `cached`, those whose vote was there already. There are no logits.
 *
 * @example
 * ```ts
 * import { humanJudge } from "./human_judge.ts";
 * import assert from "node:assert/strict";
 * // Someone who likes whatever is first in the alphabet.
 * const oracle = humanJudge({
 *   begin: () =>
 *     Promise.resolve({
 *       ask: ({ first, second }) => Promise.resolve(first < second ? "first" : "second"),
 *       [Symbol.dispose]() {},
 *     }),
 * });
 * const prompt = { id: "p", content: "?" }, responses = [{ text: "b" }, { text: "a" }];
 * for await (const { preferences } of oracle.compare([{ prompt, responses }])) {
 *   assert.deepEqual([...preferences], [0.5, 0, 1, 0.5]);
 * }
 * ```
 */
export function humanJudge(voter: Voter, options: HumanJudgeOptions = {}): PreferenceOracle {
  const { name, seed = 0, votes = new Map<string, HumanVote>() } = options;

  async function ask(
    pairs: readonly Pair[],
    { signal, later }: CompareOptions,
  ): Promise<void> {
    using session = await voter.begin(signal);
    const told = {
      total: pairs.length,
      ...(later === undefined ? {} : { later }),
      ...(name === undefined ? {} : { name }),
    };
    for (let at = 0; at < pairs.length;) {
      const pair = pairs[at]!, { key, prompt, responses } = pair;
      const first = firstShown(seed, pair), second = first === 0 ? 1 : 0;
      const shown = { prompt, first: responses[first], second: responses[second] };
      const answer = await session.ask({ ...shown, number: at + 1, ...told }, signal);
      signal?.throwIfAborted();
      if (answer === "back") {
        at = Math.max(0, at - 1);
        continue;
      }
      const better = answer === "tie" ? "neither" : answer === "first" ? first : second;
      votes.set(key, { prompt, responses, first, better });
      at++;
    }
  }

  return {
    id: `human${name === undefined ? "" : `:${name}`}@seed=${seed}`,
    async *compare(groups, asked = {}) {
      const { signal } = asked;
      signal?.throwIfAborted();
      const pairs = groups.map(pairsOf);
      const open = new Map(pairs.flat().map((pair) => [pair.key, pair]));
      for (const key of [...open.keys()]) if (votes.get(key) !== undefined) open.delete(key);
      if (open.size > 0) await ask([...open.values()], asked);
      for (const [index, group] of groups.entries()) {
        signal?.throwIfAborted();
        const fresh = pairs[index]!.filter(({ key }) => open.delete(key)).length;
        yield judgementFrom(group, pairs[index]!, votes, fresh);
      }
    },
  };
}

/** Two different texts of a group. */
interface Pair extends Pick<HumanVote, "prompt" | "responses"> {
  readonly key: string;
}

/** The pairs of different texts that a group asks for, each once. */
function pairsOf(group: ComparisonGroup): Pair[] {
  const { prompt, responses } = group;
  const found = new Map<string, Pair>();
  judge(group, (a, b) => {
    const [i, j] = [Math.min(a, b), Math.max(a, b)];
    const texts = [responses[i]!.text, responses[j]!.text] as const;
    const key = voteKey(prompt.content, ...texts);
    if (texts[0] !== texts[1] && !found.has(key)) found.set(key, { key, prompt, responses: texts });
    return 0.5;
  });
  return [...found.values()];
}

/**
 * Which of a pair is shown first. The draw is about the texts in the order of their key, so that it
 * does not depend on the order in which a group has them.
 */
function firstShown(seed: number, { key, responses: [one, other] }: Pair): 0 | 1 {
  const smaller = randomStream(seed, "first shown", key).next() < 0.5;
  return smaller === one < other ? 0 : 1;
}

function judgementFrom(
  group: ComparisonGroup,
  asked: readonly Pair[],
  votes: VoteStore,
  fresh: number,
): Judgement {
  const counts = { pairs: asked.length, ties: 0, first_place: 0, cached: asked.length - fresh };
  for (const { key } of asked) {
    const { first, better } = votes.get(key)!;
    if (better === "neither") counts.ties++;
    counts.first_place += better === "neither" ? 0.5 : better === first ? 1 : 0;
  }
  const { prompt, responses } = group;
  const judgement = judge(group, (i, j) => {
    const [one, other] = [responses[i]!.text, responses[j]!.text];
    if (one === other) return 0.5;
    const { responses: texts, better } = votes.get(voteKey(prompt.content, one, other))!;
    if (better === "neither") return 0.5;
    return texts[better] === one ? 1 : 0;
  });
  return { ...judgement, counts };
}
