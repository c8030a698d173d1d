/**
 * Policies that play one of several policies, drawn anew for each response.
 *
 * @module
 */

import { fingerprint } from "./hash.ts";
import type {
  Policy,
  Prompt,
  Response,
  ResponseGroup,
  Sampled,
  SampleOptions,
  TokenLogProbs,
} from "./policy.ts";
import { deriveSeed, randomStream } from "./random.ts";

/** Options of {@linkcode mixturePolicy}. */
export interface MixturePolicyOptions {
  /** Shares of the members, from 0 on with a positive sum; equal ones by default. */
  readonly weights?: readonly number[];
}

/**
 * π̄(y | x) = Σ_m w_m π_m(y | x): to answer, a member is drawn and answers. With the iterates
 * π_0 … π_{T−1} of self-play as members it is the object of Theorem 4.1, the one that converges where
 * the last iterate circles; they may be tables or adapters of one language model.
 *
 * It mixes responses, not tokens: the log-probability of a response is log Σ_m w_m exp(log π_m(y | x)),
 * and that of a token what the response's beginning makes of it,
 *
 *     log π̄(y_t | x, y_<t) = log Σ_m w_m π_m(y_≤t | x) − log Σ_m w_m π_m(y_<t | x),
 *
 * so that tokens add up to the response. Samples carry no `logProb`, which would need every member;
 * `logProbs` asks them all. A member of weight 0 is never asked.
 *
 * Sample k of a prompt is the same however many are asked for. Members must sample (an exhaustive
 * tabular policy does not: its average is a table, `averagedIterate`) and, to score, agree on the
 * tokens of a response.
 *
 * Source: Wu et al. 2024, arXiv:2405.00675, theorem 4.1.
 *
 * @throws {RangeError} When there is no member, or weights do not fit.
 *
 * @example
 * ```ts
 * import { mixturePolicy } from "./mixture_policy.ts";
 * import { tabularPolicy } from "./tabular.ts";
 * import assert from "node:assert/strict";
 * const answers = { p: ["yes", "no"] };
 * const mixture = mixturePolicy([
 *   tabularPolicy({ answers, logWeights: { p: [0, -Infinity] } }),
 *   tabularPolicy({ answers }),
 * ]);
 * const group = { prompt: { id: "p", content: "?" }, responses: [{ text: "yes" }] };
 * for await (const [logProbs] of mixture.logProbs([group])) {
 *   assert.ok(Math.abs(Math.exp(logProbs![0]!) - 0.75) < 1e-6);
 * }
 * ```
 */
export function mixturePolicy(
  members: readonly Policy[],
  options: MixturePolicyOptions = {},
): Policy {
  const given = options.weights ?? members.map(() => 1);
  const total = given.reduce((sum, weight) => sum + weight, 0);
  const fits = given.length === members.length &&
    given.every((weight) => weight >= 0 && isFinite(weight));
  if (members.length === 0 || !fits || !(total > 0)) {
    throw new RangeError(
      `Cannot mix policies as each must have a weight from 0 on, and one a positive: ` +
        `${members.length} policies, weights ${given.slice(0, 8)}`,
    );
  }
  const shares = given.map((weight) => weight / total);
  const id = `mixture-${fingerprint(members.map((member, index) => [member.id, shares[index]!]))}`;
  return {
    id,
    sample: (prompts, sampling) => sampleMixture(members, shares, prompts, sampling),
    logProbs: (groups, asked) => scoreMixture(members, shares, groups, asked?.signal),
  };
}

/** Which of a prompt's samples each member answers: by member, sample indexes. */
function assign(prompt: Prompt, shares: readonly number[], options: SampleOptions): number[][] {
  const samples: number[][] = shares.map(() => []);
  for (let sample = 0; sample < options.samples; sample++) {
    let left = randomStream(options.seed, "mixture", prompt.id, sample).next();
    let member = shares.findIndex((share) => (left -= share) < 0);
    if (member < 0) member = shares.findLastIndex((share) => share > 0);
    samples[member]!.push(sample);
  }
  return samples;
}

async function* sampleMixture(
  members: readonly Policy[],
  shares: readonly number[],
  prompts: readonly Prompt[],
  options: SampleOptions,
): AsyncGenerator<Sampled> {
  const assigned = prompts.map((prompt) => assign(prompt, shares, options));
  const answered = prompts.map(() => new Array<Response>(options.samples));
  for (const [member, policy] of members.entries()) {
    // A call asks each prompt as often; prompts with as many samples of the member go together.
    const counts = new Map<number, number[]>();
    for (const [at, samples] of assigned.entries()) {
      const count = samples[member]!.length;
      if (count > 0) counts.set(count, [...counts.get(count) ?? [], at]);
    }
    const seed = deriveSeed(options.seed, "mixture", member);
    for (const [count, places] of [...counts].sort(([a], [b]) => a - b)) {
      options.signal?.throwIfAborted();
      const asked = places.map((at) => prompts[at]!);
      let next = 0;
      for await (
        const { prompt, responses, weights } of policy.sample(asked, {
          ...options,
          samples: count,
          seed,
        })
      ) {
        const at = places[next++];
        if (at === undefined || prompts[at]!.id !== prompt.id || responses.length !== count) {
          throw new RangeError(
            `Cannot mix "${policy.id}" as it must answer each prompt ${count} times, in order: ` +
              `${responses.length} responses to "${prompt.id}"`,
          );
        }
        if (weights !== undefined) {
          throw new RangeError(
            `Cannot mix "${policy.id}" as it must draw samples: it yields every answer with its ` +
              `probability; average the tables with averagedIterate`,
          );
        }
        for (const [k, sample] of assigned[at]![member]!.entries()) {
          const { logProb: _, ...response } = responses[k]!;
          answered[at]![sample] = response;
        }
      }
      if (next !== places.length) {
        throw new RangeError(
          `Cannot mix "${policy.id}" as it must answer every prompt: ${next} of ${places.length}`,
        );
      }
    }
  }
  for (const [at, prompt] of prompts.entries()) yield { prompt, responses: answered[at]! };
}

async function* scoreMixture(
  members: readonly Policy[],
  shares: readonly number[],
  groups: readonly ResponseGroup[],
  signal?: AbortSignal,
): AsyncGenerator<TokenLogProbs> {
  const asked = members.flatMap((policy, member) =>
    shares[member]! > 0 ? [{ policy, logShare: Math.log(shares[member]!) }] : []
  );
  const streams = asked.map(({ policy }) =>
    policy.logProbs(groups, signal === undefined ? {} : { signal })[Symbol.asyncIterator]()
  );
  try {
    for (const group of groups) {
      const scored = await Promise.all(streams.map((stream) => stream.next()));
      const missing = scored.findIndex(({ done }) => done);
      if (missing >= 0) {
        throw new RangeError(
          `Cannot mix "${asked[missing]!.policy.id}" as it must score every group: it ended early`,
        );
      }
      const byMember = scored.map(({ value }) => value as TokenLogProbs);
      yield group.responses.map((_, k) =>
        mixTokens(byMember.map((logProbs) => logProbs[k]!), asked, group.prompt)
      );
    }
  } finally {
    for (const stream of streams) await stream.return?.();
  }
}

/** Token log-probabilities of one response, from the members'. */
function mixTokens(
  byMember: readonly Float32Array[],
  asked: readonly { readonly policy: Policy; readonly logShare: number }[],
  prompt: Prompt,
): Float32Array {
  const tokens = byMember[0]!.length;
  const other = byMember.findIndex((logProbs) => logProbs.length !== tokens);
  if (other >= 0) {
    throw new TypeError(
      `Cannot score a response to "${prompt.id}" as members must agree on its tokens: ${tokens} of ` +
        `"${asked[0]!.policy.id}", ${byMember[other]!.length} of "${asked[other]!.policy.id}"`,
    );
  }
  const prefixes = asked.map(({ logShare }) => logShare);
  let before = 0; // log Σ w = 0
  return Float32Array.from({ length: tokens }, (_, t) => {
    for (const [member, logProbs] of byMember.entries()) prefixes[member]! += logProbs[t]!;
    const now = logSumExp(prefixes);
    // Where no member could have come this far, the response is impossible from its first such token.
    const token = before === -Infinity ? 0 : now - before;
    before = now;
    return token;
  });
}

function logSumExp(values: readonly number[]): number {
  const largest = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (largest === -Infinity) return -Infinity;
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}
