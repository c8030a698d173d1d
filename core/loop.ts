/**
 * The loop: groups, a fit, an evaluation, again and again, whatever the groups come from.
 *
 * @module
 */

import type { SamplingOptions } from "./ask.ts";
import type { IterationSummary, Opponent, SelfPlayEvent, SelfPlayResult } from "./events.ts";
import { fingerprint } from "./hash.ts";
import { heldOutEvaluator } from "./held_out.ts";
import { discardingJournal, type Journal, type Json } from "./journal.ts";
import type { PreferenceOracle } from "./oracle.ts";
import { checkOptions, promptsOf, summaryKey } from "./plan.ts";
import type { Policy, Prompt } from "./policy.ts";
import type { GroupSource } from "./sources/source.ts";
import type { Trainer, TrainingGroup } from "./trainer.ts";

/** η of iteration t = 0, 1, … of T. */
export type EtaSchedule = (t: number, iterations: number) => number;

/** What every run has, wherever its groups come from. */
export interface RunOptions<P extends Policy> {
  /** π_0. */
  readonly policy: P;
  /** Fits each iteration's policy. */
  readonly trainer: Trainer<P>;
  /** Prompts to train on, with unique ids. */
  readonly prompts: readonly Prompt[];
  /** T ≥ 1. */
  readonly iterations: number;
  /** η = 1/β > 0, or a schedule. */
  readonly eta: number | EtaSchedule;
  /**
   * - `split` (default): each iteration has a part of the prompts, as in the paper.
   * - `repeat`: each has all.
   */
  readonly promptsPerIteration?: "split" | "repeat";
  /**
   * Parts of `split`; `iterations` by default. Iterations past the last begin again at the first. Give
   * the old number when a run goes on with more iterations, so that the old parts stay.
   */
  readonly parts?: number;
  /** Prompts per call of the policy and the oracle; 8 by default. */
  readonly promptsPerBatch?: number;
  /** Where the run is kept; nothing is without one. */
  readonly journal?: Journal;
  /** 0 by default. */
  readonly seed?: number;
  /** Ends the run with an error, the signal's reason. */
  readonly signal?: AbortSignal;
}

/** How policies are evaluated. */
export interface EvaluationOptions {
  /** Prompts that are not trained on; at least one. */
  readonly heldOut: readonly Prompt[];
  /** Compares the policies' responses. */
  readonly oracle: PreferenceOracle;
  /** K ≥ 1. */
  readonly sampling: SamplingOptions;
  /** `["previous", "reference"]` by default. */
  readonly against?: readonly Opponent[];
}

/** Options of {@linkcode iterate}. */
export interface LoopOptions<P extends Policy> extends RunOptions<P> {
  /** Makes the groups of each iteration. */
  readonly source: GroupSource<P>;
  /** Nothing is evaluated without. */
  readonly evaluation?: EvaluationOptions;
}

/**
 * Iterates.
 *
 * Iteration t + 1 = 1 … T:
 *
 * 1. the source makes groups from π_t and the iteration's prompts;
 * 2. the trainer fits π_{t+1}; without anything to train on π_{t+1} = π_t;
 * 3. π_{t+1} answers the held-out prompts and is compared with π_t and π_0, where there are any.
 *
 * With a journal, a run that was interrupted anywhere and is called again with the same options goes
 * on, and ends in the same records and the same policy. Records: those of the source, and
 * `iteration-N/fit` (what the fit was started on); `evaluation/N/responses`,
 * `evaluation/N/against-previous`, `evaluation/N/against-reference`; `iterations` (the summaries). Keys
 * are the prompt's id, `#`, and a hash of what the record depends on. The trainer has the journal
 * within `iteration-N`, and other names than these.
 *
 * @throws {RangeError} When an option is out of its range, before anything is done; when policy or
 * oracle break their laws; when the journal holds a fit that was started on something else.
 * @throws What source, policy, oracle, trainer or journal throw, after everything finished is recorded.
 *
 * @example
 * ```ts
 * import { iterate } from "./loop.ts";
 * import { givenPairs } from "./sources/given.ts";
 * import { type TabularPolicy, tabularPolicy } from "./tabular.ts";
 * import { gradientDescent } from "./tabular_trainers.ts";
 * import assert from "node:assert/strict";
 *
 * // IPO on one pair ends where log-ratios differ by 1/2β: odds of √e with β = 1, whatever the start.
 * const prompt = { id: "p", content: "a or b?" };
 * const run = iterate({
 *   policy: tabularPolicy({ answers: { p: ["a", "b"] } }),
 *   source: givenPairs<TabularPolicy>(
 *     [{ prompt, chosen: { text: "a" }, rejected: { text: "b" } }],
 *     "none",
 *   ),
 *   trainer: gradientDescent({
 *     loss: { name: "ipo", beta: 1, against: "previous" },
 *     steps: 99,
 *     learningRate: 0.2,
 *   }),
 *   prompts: [prompt],
 *   iterations: 1,
 *   eta: 1,
 * });
 * let next = await run.next();
 * while (!next.done) next = await run.next();
 * const [a, b] = next.value.policy.probabilities("p");
 * assert.ok(Math.abs(a! / b! - Math.sqrt(Math.E)) < 1e-9);
 * ```
 */
export async function* iterate<P extends Policy>(
  options: LoopOptions<P>,
): AsyncGenerator<SelfPlayEvent<P>, SelfPlayResult<P>> {
  checkOptions(options);
  const { source, trainer, iterations, journal, signal, seed = 0, policy: first } = options;
  const evaluator = options.evaluation === undefined
    ? undefined
    : heldOutEvaluator(options, options.evaluation);
  const initialEvaluation = evaluator === undefined ? undefined : yield* evaluator.first();
  const summaries = await journal?.records("iterations");
  const results: IterationSummary[] = [];
  let policy = first;
  for (let t = 0; t < iterations; t++) {
    signal?.throwIfAborted();
    const iteration = t + 1;
    const eta = typeof options.eta === "number" ? options.eta : options.eta(t, iterations);
    const prompts = promptsOf(options, t);
    const inner = (journal ?? discardingJournal()).within(`iteration-${iteration}`);
    const key = journal === undefined ? "" : summaryKey(options, policy, iteration, eta, prompts);
    const known = summaries?.get(key) as IterationSummary | undefined;
    if (known !== undefined) {
      const next = known.statistics.trainedGroups === 0
        ? policy
        : await trainer.restore(policy, inner);
      if (next !== undefined) {
        evaluator?.skip(iteration);
        policy = next;
        results.push(known);
        yield { type: "policy", iteration, policy, restored: true };
        yield { type: "iteration", iteration, summary: known, restored: true };
        continue;
      }
    }
    const { groups, statistics } = yield* source.groups({
      ...{ policy, referencePolicy: first, prompts, iteration, eta, seed },
      ...(journal === undefined ? {} : { journal }),
      ...(options.promptsPerBatch === undefined
        ? {}
        : { promptsPerBatch: options.promptsPerBatch }),
      ...(signal === undefined ? {} : { signal }),
    });
    const previousPolicy = policy;
    if (groups.length > 0) {
      policy = yield* fit(options, previousPolicy, groups, iteration, inner);
    } else {
      yield { type: "policy", iteration, policy, restored: false };
    }
    const evaluation = evaluator === undefined
      ? undefined
      : yield* evaluator.next(iteration, previousPolicy, policy);
    const summary: IterationSummary = {
      iteration,
      eta,
      statistics,
      ...(evaluation === undefined ? {} : { evaluation }),
    };
    results.push(summary);
    yield { type: "iteration", iteration, summary, restored: false };
    if (known === undefined) await journal?.append("iterations", key, summary as unknown as Json);
  }
  return {
    policy,
    ...(initialEvaluation === undefined ? {} : { initialEvaluation }),
    iterations: results,
  };
}

async function* fit<P extends Policy>(
  options: LoopOptions<P>,
  previousPolicy: P,
  groups: readonly TrainingGroup[],
  iteration: number,
  inner: Journal,
): AsyncGenerator<SelfPlayEvent<P>, P> {
  const { trainer, policy: referencePolicy, journal, signal } = options;
  const stage = "train";
  yield { type: "stage-started", iteration, stage, total: groups.length };
  let policy: P | undefined;
  if (journal !== undefined) {
    const hashes = groups.map((group) => fingerprint(group as unknown as Json));
    const key = fingerprint([previousPolicy.id, referencePolicy.id, trainer.id, ...hashes]);
    const started = await inner.records("fit");
    if (started.size === 0) await inner.append("fit", key, { groups: groups.length });
    else if (!started.has(key)) {
      throw new RangeError(
        `Cannot go on with iteration ${iteration} as its fit must go on from what it was started ` +
          `on: policy, trainer or groups differ now; use another journal`,
      );
    } else policy = await trainer.restore(previousPolicy, inner);
  }
  const restored = policy !== undefined;
  if (policy === undefined) {
    const task = { previousPolicy, referencePolicy, groups, iteration };
    const steps = trainer.train(task, {
      journal: inner,
      ...(signal === undefined ? {} : { signal }),
    });
    let ended = false;
    try {
      let next = await steps.next();
      while (next.done !== true) {
        yield { type: "step", iteration, metrics: next.value };
        next = await steps.next();
      }
      ended = true;
      policy = next.value;
    } finally {
      // A receiver that stops listening stops the fit.
      if (!ended) await steps.return(undefined as never);
    }
  }
  yield { type: "stage-finished", iteration, stage };
  yield { type: "policy", iteration, policy, restored };
  return policy;
}
