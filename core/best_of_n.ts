/**
 * Best of N as a run: nothing is trained, and the best of N responses is compared with one.
 *
 * @module
 */

import type { AskOptions } from "./ask.ts";
import { type BestOfOptions, bestOfSampler } from "./best_of_sampler.ts";
import type { IterationSummary, SelfPlayEvent, SelfPlayResult } from "./events.ts";
import { heldOutEvaluator } from "./held_out.ts";
import type { EvaluationOptions } from "./loop.ts";
import type { Policy } from "./policy.ts";
import { unjudgedStatistics } from "./statistics.ts";

/** Options of {@linkcode bestOfN}. */
export interface BestOfNOptions<P extends Policy> extends AskOptions {
  /** π_0. */
  readonly policy: P;
  /** What chooses, and among how many. */
  readonly best: BestOfOptions;
  /** What is asked, and what compares. */
  readonly evaluation: EvaluationOptions;
  /** 0 by default. */
  readonly seed?: number;
}

/**
 * Evaluates the best of N responses ({@linkcode bestOfSampler}) against the policy's own, as iteration 1
 * of a run is: the same events and records, so that it stands beside runs that train.
 *
 * @throws {RangeError} When N is not a whole number of at least 2; when policy or oracle break their laws.
 */
export async function* bestOfN<P extends Policy>(
  options: BestOfNOptions<P>,
): AsyncGenerator<SelfPlayEvent<P>, SelfPlayResult<P>> {
  const { policy, best } = options;
  const sampler = bestOfSampler(policy, best);
  const evaluator = heldOutEvaluator(options, options.evaluation);
  const initialEvaluation = yield* evaluator.first();
  const evaluation = yield* evaluator.next(1, policy, sampler);
  const summary: IterationSummary = {
    ...{ iteration: 1, eta: 1 },
    statistics: unjudgedStatistics(0),
    evaluation,
  };
  yield { type: "iteration", iteration: 1, summary, restored: false };
  return { policy, initialEvaluation, iterations: [summary] };
}
