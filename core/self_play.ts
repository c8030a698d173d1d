/**
 * Self-play: the loop of SPPO, for any policy, judge and trainer.
 *
 * @module
 */

import { compare, respond, type SamplingOptions } from "./ask.ts";
import { estimateWinRates, type EstimateWinRatesOptions } from "./estimators.ts";
import type { IterationSummary, Opponent, SelfPlayEvent, SelfPlayResult } from "./events.ts";
import { fingerprint } from "./hash.ts";
import { heldOutEvaluator } from "./held_out.ts";
import { discardingJournal, type Journal, type Json } from "./journal.ts";
import type { PreferenceOracle } from "./oracle.ts";
import { checkOptions, promptsOf, summaryKey } from "./plan.ts";
import type { Policy, Prompt, Sampled } from "./policy.ts";
import { deriveSeed } from "./random.ts";
import { select, type Selection } from "./selection.ts";
import { type GroupStatistics, groupStatistics } from "./statistics.ts";
import { type Normalizer, targets } from "./targets.ts";
import type { Trainer, TrainingGroup } from "./trainer.ts";

/** η of iteration t = 0, 1, … of T. */
export type EtaSchedule = (t: number, iterations: number) => number;

/** How an iteration's groups are made from judgements. */
export interface GroupOptions extends Omit<EstimateWinRatesOptions, "weights"> {
  /** `best-worst` by default; `best` for objectives that only raise likelihood. */
  readonly selection?: Selection;
  /** η = 1/β > 0, or a schedule. */
  readonly eta: number | EtaSchedule;
  /** `half` by default. */
  readonly normalizer?: Normalizer;
}

/** Options of {@linkcode selfPlay}. */
export interface SelfPlayOptions<P extends Policy> extends GroupOptions {
  /** π_0. */
  readonly policy: P;
  /** Says which responses are preferred. */
  readonly oracle: PreferenceOracle;
  /** Fits each iteration's policy. */
  readonly trainer: Trainer<P>;
  /** Prompts to train on, with unique ids. */
  readonly prompts: readonly Prompt[];
  /** Prompts to evaluate on; none by default, and then nothing is evaluated. */
  readonly heldOut?: readonly Prompt[];
  /** T ≥ 1. */
  readonly iterations: number;
  /** How each iteration samples; K = `samples` ≥ 2. */
  readonly sampling: SamplingOptions;
  /** How held-out prompts are used. */
  readonly evaluation?: {
    /** As `sampling` by default; K ≥ 1. */
    readonly sampling?: SamplingOptions;
    /** `["previous", "reference"]` by default. */
    readonly against?: readonly Opponent[];
  };
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

/**
 * Plays a policy against itself.
 *
 * Iteration t + 1 = 1 … T:
 *
 * 1. generate: π_t answers each prompt K times;
 * 2. judge: the oracle compares the K responses, P̂(y ≻ π_t | x) is estimated
 *    ({@linkcode estimateWinRates}), responses are selected ({@linkcode select}) and get their targets
 *    ({@linkcode targets});
 * 3. train: the trainer fits π_{t+1}; without anything to train on π_{t+1} = π_t;
 * 4. evaluate: π_{t+1} answers the held-out prompts and is compared with π_t and π_0.
 *
 * With a journal, a run that was interrupted anywhere and is called again with the same options goes
 * on, and ends in the same records and the same policy. Records: `iteration-N/responses`,
 * `iteration-N/judgements`, `iteration-N/fit` (what the fit was started on); `evaluation/N/responses`,
 * `evaluation/N/against-previous`, `evaluation/N/against-reference`; `iterations` (the summaries). Keys
 * are the prompt's id, `#`, and a hash of what the record depends on. The trainer has the journal
 * within `iteration-N`, and other names than these.
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
  checkOptions(options);
  const { trainer, iterations, journal, signal } = options;
  const heldOut = options.heldOut ?? [];
  const evaluator = heldOut.length === 0 ? undefined : heldOutEvaluator(options, heldOut);
  const initialEvaluation = evaluator === undefined ? undefined : yield* evaluator.first();
  const summaries = await journal?.records("iterations");
  const results: IterationSummary[] = [];
  let policy = options.policy;
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
    const sampled = yield* generate(options, policy, iteration, prompts);
    const { groups, statistics } = yield* judgeGroups(options, iteration, eta, sampled);
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

async function* generate<P extends Policy>(
  options: SelfPlayOptions<P>,
  policy: P,
  iteration: number,
  prompts: readonly Prompt[],
): AsyncGenerator<SelfPlayEvent<P>, Sampled[]> {
  const stage = "generate", total = prompts.length;
  yield { type: "stage-started", iteration, stage, total };
  const all: Sampled[] = [];
  const seed = deriveSeed(options.seed ?? 0, "responses", iteration);
  const list = `iteration-${iteration}/responses`;
  const responses = respond(options, list, policy, prompts, options.sampling, seed);
  for await (const { sampled, restored } of responses) {
    all.push(sampled);
    yield { type: "sampled", iteration, sampled, restored };
    yield { type: "progress", iteration, stage, done: all.length, total, restored };
  }
  yield { type: "stage-finished", iteration, stage };
  return all;
}

async function* judgeGroups<P extends Policy>(
  options: SelfPlayOptions<P>,
  iteration: number,
  eta: number,
  all: readonly Sampled[],
): AsyncGenerator<SelfPlayEvent<P>, { groups: TrainingGroup[]; statistics: GroupStatistics }> {
  const stage = "judge", total = all.length;
  yield { type: "stage-started", iteration, stage, total };
  const groups: TrainingGroup[] = [];
  const statistics = groupStatistics();
  const list = `iteration-${iteration}/judgements`;
  let done = 0;
  for await (const { judgement, restored } of compare(options, list, all)) {
    const sampled = all[done++]!;
    const weights = sampled.weights;
    const weighted = weights === undefined ? {} : { weights };
    const estimated = estimateWinRates(judgement, { ...estimatorOptions(options), ...weighted });
    const { winRates, preferences } = estimated;
    const selected = select(winRates, options.selection);
    statistics.add(judgement, estimated, selected);
    const { indexes } = selected;
    let group: TrainingGroup | undefined;
    if (indexes.length > 0) {
      const goals = targets(winRates, {
        eta,
        normalizer: options.normalizer ?? "half",
        ...weighted,
      });
      // Shares of a pair are ½ each, of one response 1; of all responses their probabilities.
      const shares = options.selection === "all" ? weights : undefined;
      group = {
        prompt: sampled.prompt,
        responses: indexes.map((k) => ({
          response: sampled.responses[k]!,
          target: goals[k]!,
          weight: shares?.[k] ?? 1 / indexes.length,
          winRate: winRates[k]!,
        })),
      };
      groups.push(group);
    }
    yield {
      type: "judged",
      iteration,
      sampled,
      judgement,
      preferences,
      winRates,
      selected: indexes,
      ...(group === undefined ? {} : { group }),
      restored,
    };
    yield { type: "progress", iteration, stage, done, total, restored };
  }
  yield { type: "stage-finished", iteration, stage };
  return { groups, statistics: statistics.result() };
}

function estimatorOptions(options: GroupOptions): EstimateWinRatesOptions {
  const { estimator = "matrix", selfTerm = "include", preferenceTemperature } = options;
  return {
    estimator,
    selfTerm,
    ...(preferenceTemperature === undefined ? {} : { preferenceTemperature }),
  };
}

async function* fit<P extends Policy>(
  options: SelfPlayOptions<P>,
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
