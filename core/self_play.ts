/**
 * Self-play: the loop of SPPO, for any policy, judge and trainer.
 *
 * @module
 */

import type { SamplingOptions } from "./ask.ts";
import type { Opponent, SelfPlayEvent, SelfPlayResult } from "./events.ts";
import { iterate, type RunOptions } from "./loop.ts";
import type { Policy, Prompt } from "./policy.ts";
import { type JudgedOptions, judgedSource, type Opponents } from "./sources/judged.ts";

/** Options of {@linkcode selfPlay}. */
export interface SelfPlayOptions<P extends Policy> extends RunOptions<P>, JudgedOptions {
  /** Who answers beside π_t, and against whom win rates are then; π_t itself by default. */
  readonly opponents?: Opponents<P>;
  /** Prompts to evaluate on; none by default, and then nothing is evaluated. */
  readonly heldOut?: readonly Prompt[];
  /** How held-out prompts are used. */
  readonly evaluation?: {
    /** As `sampling` by default; K ≥ 1. */
    readonly sampling?: SamplingOptions;
    /** `["previous", "reference"]` by default. */
    readonly against?: readonly Opponent[];
  };
}

/**
 * Plays a policy against itself: {@linkcode iterate} on the groups of {@linkcode judgedSource}, judged
 * and evaluated by one oracle.
 *
 * In each iteration π_t answers each prompt K times; the oracle compares the K responses, P̂(y ≻ π_t | x)
 * is estimated, responses are selected and get their targets; the trainer fits π_{t+1}; and π_{t+1}
 * answers the held-out prompts and is compared with π_t and π_0. Records of the source are
 * `iteration-N/responses` and `iteration-N/judgements`.
 *
 * @throws {RangeError} When an option is out of its range, before anything is done; when policy or
 * oracle break their laws; when the journal holds a fit that was started on something else.
 * @throws What policy, oracle, trainer or journal throw, after everything finished is recorded.
 *
 * @example
 * ```ts
 * import { selfPlay } from "./self_play.ts";
 * import { judge } from "./judgements.ts";
 * import type { PreferenceOracle } from "./oracle.ts";
 * import { tabularPolicy } from "./tabular.ts";
 * import { multiplicativeWeights } from "./tabular_trainers.ts";
 * import assert from "node:assert/strict";
 *
 * const first: PreferenceOracle = {
 *   id: "a before b",
 *   async *compare(groups) {
 *     for (const group of groups) {
 *       yield judge(group, (i, j) => group.responses[i]!.text < group.responses[j]!.text ? 1 : 0);
 *     }
 *   },
 * };
 * const run = selfPlay({
 *   policy: tabularPolicy({ answers: { p: ["a", "b"] }, exhaustive: true }),
 *   oracle: first,
 *   trainer: multiplicativeWeights(),
 *   prompts: [{ id: "p", content: "a or b?" }],
 *   promptsPerIteration: "repeat",
 *   iterations: 1,
 *   sampling: { samples: 2, temperature: 1, topP: 1, maxTokens: 1 },
 *   selection: "all",
 *   eta: 2,
 * });
 * let next = await run.next();
 * while (!next.done) next = await run.next();
 * // P̂ = 0.75 and 0.25, targets 0.5 and −0.5: odds e to 1.
 * const [a] = next.value.policy.probabilities("p");
 * assert.ok(Math.abs(a! - Math.E / (Math.E + 1)) < 1e-12);
 * ```
 */
export async function* selfPlay<P extends Policy>(
  options: SelfPlayOptions<P>,
): AsyncGenerator<SelfPlayEvent<P>, SelfPlayResult<P>> {
  const { evaluation = {}, heldOut = [], oracle, sampling, opponents, ...run } = options;
  return yield* iterate({
    ...run,
    source: judgedSource<P>({ ...options }, opponents),
    ...(heldOut.length === 0 ? {} : { evaluation: { sampling, ...evaluation, heldOut, oracle } }),
  });
}
