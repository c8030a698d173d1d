/**
 * The best of N responses: what a judge gains without training.
 *
 * @module
 */

import { compare } from "./ask.ts";
import { estimateWinRates, type EstimateWinRatesOptions } from "./estimators.ts";
import { fingerprint } from "./hash.ts";
import type { Json } from "./journal.ts";
import type { PreferenceOracle } from "./oracle.ts";
import type { Response, Sampler } from "./policy.ts";
import { select } from "./selection.ts";

/** Options of {@linkcode bestOfSampler}. */
export interface BestOfOptions extends Omit<EstimateWinRatesOptions, "weights"> {
  /** Compares the N responses. */
  readonly oracle: PreferenceOracle;
  /** N ≥ 2. */
  readonly of: number;
}

/**
 * A sampler each of whose responses is the one of N with the highest win rate among them, the first of
 * equals (all may be equal).
 *
 * @throws {RangeError} When N is not a whole number of at least 2.
 *
 * @example
 * ```ts
 * import { bestOfSampler } from "./best_of_sampler.ts";
 * import { judge } from "./judgements.ts";
 * import { tabularPolicy } from "./tabular.ts";
 * import assert from "node:assert/strict";
 * const oracle = {
 *   id: "a first",
 *   async *compare(groups: readonly { prompt: never; responses: { text: string }[] }[]) {
 *     for (const group of groups) {
 *       const worth = (i: number) => group.responses[i]!.text === "a" ? 1 : 0;
 *       yield judge(group, (i, j) => 0.5 + (worth(i) - worth(j)) / 2);
 *     }
 *   },
 * };
 * const policy = tabularPolicy({ answers: { p: ["a", "b"] } });
 * const sampler = bestOfSampler(policy, { oracle: oracle as never, of: 20 });
 * const options = { samples: 3, temperature: 1, topP: 1, maxTokens: 1, seed: 1 };
 * for await (const { responses } of sampler.sample([{ id: "p", content: "?" }], options)) {
 *   assert.deepEqual(responses.map(({ text }) => text), ["a", "a", "a"]);
 * }
 * ```
 */
export function bestOfSampler(sampler: Sampler, options: BestOfOptions): Sampler {
  const { oracle, of, ...estimation } = options;
  if (!(Number.isSafeInteger(of) && of >= 2)) {
    throw new RangeError(`Cannot take the best of responses as at least 2 must be drawn: ${of}`);
  }
  return {
    id: `best-of-${of}-${fingerprint([sampler.id, oracle.id, estimation] as unknown as Json)}`,
    async *sample(prompts, sampling) {
      const { samples, signal } = sampling;
      const asked = { oracle, ...(signal === undefined ? {} : { signal }) };
      for await (
        const { prompt, responses } of sampler.sample(prompts, {
          ...sampling,
          samples: samples * of,
        })
      ) {
        const groups = Array.from({ length: samples }, (_, k) => ({
          prompt,
          responses: responses.slice(k * of, (k + 1) * of),
        }));
        const chosen: Response[] = [];
        for await (const { judgement } of compare(asked, "", groups)) {
          const { best } = select(estimateWinRates(judgement, estimation).winRates);
          chosen.push(groups[chosen.length]!.responses[Math.max(0, best)]!);
        }
        yield { prompt, responses: chosen };
      }
    },
  };
}
