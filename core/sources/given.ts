/**
 * Groups that need no judge: pairs and demonstrations that are given, and demonstrations against the
 * policy's own responses.
 *
 * @module
 */

import { respond, type SamplingOptions } from "../ask.ts";
import type { SelfPlayEvent } from "../events.ts";
import { fingerprint } from "../hash.ts";
import type { Json } from "../journal.ts";
import type { Policy, Prompt, Response } from "../policy.ts";
import { deriveSeed } from "../random.ts";
import { unjudgedStatistics } from "../statistics.ts";
import { targets } from "../targets.ts";
import type { TrainingGroup, TrainingResponse } from "../trainer.ts";
import type { GroupRequest, GroupSource, SourcedGroups } from "./source.ts";

/** A demonstration: a prompt with a response to learn from. */
export interface Demonstration {
  /** x. */
  readonly prompt: Prompt;
  /** y. */
  readonly chosen: Response;
}

/** A pair that was judged elsewhere. */
export interface GivenPair extends Demonstration {
  /** The response that lost. */
  readonly rejected: Response;
  /** P̂ of the chosen and of the rejected response, for objectives with targets. */
  readonly winRates?: readonly [number, number];
  /** P(chosen ≻ rejected), for the goal `pair`. */
  readonly preference?: number;
}

/**
 * Pairs from elsewhere, each a group. Several may be of one prompt; all of a prompt belong to one
 * iteration.
 *
 * @param goal What the targets η (P − ½) are made of: win rates, the preference of the pair alone, or
 * `none` where the loss reads no target.
 * @throws {RangeError} When a pair lacks what its target is made of.
 *
 * @example
 * ```ts
 * import { givenPairs } from "./given.ts";
 * import assert from "node:assert/strict";
 * const prompt = { id: "p", content: "?" };
 * const pair = { prompt, chosen: { text: "a" }, rejected: { text: "b" } };
 * assert.throws(() => givenPairs([pair], "win-rate"), RangeError);
 * const source = givenPairs([pair], "none");
 * const request = { iteration: 1, eta: 1, seed: 0, prompts: [prompt] } as never;
 * const next = await source.groups(request).next();
 * assert.ok(next.done);
 * assert.equal(next.value.groups[0]!.responses[1]!.response.text, "b");
 * ```
 */
export function givenPairs<P extends Policy>(
  pairs: readonly GivenPair[],
  goal: "win-rate" | "pair" | "none",
): GroupSource<P> {
  const ratesOf = (pair: GivenPair): readonly [number, number] | undefined => {
    switch (goal) {
      case "win-rate":
        return pair.winRates ?? missing(pair, "the win rates of both responses");
      case "pair": {
        const preference = pair.preference ?? missing(pair, "the preference of the pair");
        return [preference, 1 - preference];
      }
      case "none":
        return pair.winRates;
      default:
        return goal satisfies never;
    }
  };
  const rates = new Map(pairs.map((pair) => [pair, ratesOf(pair)]));
  return given(pairs, `pairs ${goal}`, (pair, eta) => {
    const own = rates.get(pair);
    const goals = own === undefined || goal === "none" ? [0, 0] : targets(own, { eta });
    return [pair.chosen, pair.rejected].map((response, side) => ({
      response,
      target: goals[side]!,
      weight: 0.5,
      ...(own === undefined ? {} : { winRate: own[side]! }),
    }));
  });
}

function missing({ prompt }: GivenPair, what: string): never {
  throw new RangeError(
    `Cannot train on the pair of prompt "${prompt.id}" as it must have ${what}: it has not`,
  );
}

/**
 * Demonstrations, each a group of one response: token likelihood.
 *
 * @example
 * ```ts
 * import { givenDemonstrations } from "./given.ts";
 * import assert from "node:assert/strict";
 * const prompt = { id: "p", content: "?" };
 * const source = givenDemonstrations([{ prompt, chosen: { text: "a" } }]);
 * const request = { iteration: 1, eta: 1, seed: 0, prompts: [prompt] } as never;
 * const next = await source.groups(request).next();
 * assert.ok(next.done);
 * assert.equal(next.value.groups[0]!.responses[0]!.weight, 1);
 * ```
 */
export function givenDemonstrations<P extends Policy>(
  demonstrations: readonly Demonstration[],
): GroupSource<P> {
  return given(
    demonstrations,
    "demonstrations",
    ({ chosen }) => [{ response: chosen, target: 0, weight: 1 }],
  );
}

function given<P extends Policy, D extends Demonstration>(
  data: readonly D[],
  what: string,
  responsesOf: (item: D, eta: number) => readonly TrainingResponse[],
): GroupSource<P> {
  const byPrompt = groupByPrompt(data);
  return {
    id: `${what} ${fingerprint(data as unknown as Json)}`,
    // deno-lint-ignore require-yield -- nothing happens: the groups are there.
    async *groups({ prompts, eta }) {
      const groups = prompts.flatMap(({ id }) =>
        (byPrompt.get(id) ?? []).map((item): TrainingGroup => ({
          prompt: item.prompt,
          responses: responsesOf(item, eta),
        }))
      );
      return { groups, statistics: unjudgedStatistics(groups.length) };
    },
  };
}

/**
 * Demonstrations against the policy's own responses: π_t answers each prompt K ≥ 1 times, and each
 * answer is the rejected response of a pair whose chosen one is the demonstration. An answer that is
 * the demonstration trains nothing.
 *
 * Source: Chen et al. 2024, arXiv:2401.01335 (SPIN), with K = 1.
 */
export function againstDemonstrations<P extends Policy>(
  demonstrations: readonly Demonstration[],
  sampling: SamplingOptions,
): GroupSource<P> {
  const byPrompt = groupByPrompt(demonstrations);
  return {
    id: JSON.stringify([
      ...["against demonstrations", fingerprint(demonstrations as unknown as Json), sampling],
    ]),
    async *groups(request: GroupRequest<P>): AsyncGenerator<SelfPlayEvent<P>, SourcedGroups> {
      const { policy, prompts, iteration } = request;
      const stage = "generate", total = prompts.length;
      yield { type: "stage-started", iteration, stage, total };
      const groups: TrainingGroup[] = [];
      let done = 0, tied = 0;
      const list = `iteration-${iteration}/responses`;
      const seed = deriveSeed(request.seed, "responses", iteration);
      for await (
        const { sampled, restored } of respond(request, list, policy, prompts, sampling, seed)
      ) {
        for (const { prompt, chosen } of byPrompt.get(sampled.prompt.id) ?? []) {
          for (const own of sampled.responses) {
            if (own.text === chosen.text) tied++;
            else {
              const responses = [chosen, own].map((response) => ({
                response,
                target: 0,
                weight: 0.5,
              }));
              groups.push({ prompt, responses });
            }
          }
        }
        yield { type: "sampled", iteration, sampled, restored };
        yield { type: "progress", iteration, stage, done: ++done, total, restored };
      }
      yield { type: "stage-finished", iteration, stage };
      return { groups, statistics: unjudgedStatistics(groups.length, tied) };
    },
  };
}

function groupByPrompt<D extends Demonstration>(data: readonly D[]): Map<string, D[]> {
  const byPrompt = new Map<string, D[]>();
  for (const item of data) {
    const list = byPrompt.get(item.prompt.id);
    if (list === undefined) byPrompt.set(item.prompt.id, [item]);
    else list.push(item);
  }
  return byPrompt;
}
