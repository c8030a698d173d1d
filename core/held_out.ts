/**
 * The evaluation of a run's policies on held-out prompts.
 *
 * @module
 */

import { type AskOptions, compareAcross, respond } from "./ask.ts";
import { meanLength, promptWinRate, summarizeWinRates, type WinRateAgainst } from "./evaluate.ts";
import type { Evaluation, Opponent, SelfPlayEvent } from "./events.ts";
import type { Policy, Sampled, Sampler } from "./policy.ts";
import { deriveSeed } from "./random.ts";
import type { EvaluationOptions } from "./loop.ts";

/** Evaluates the policies of a run one after the other. */
export interface HeldOutEvaluator<P extends Policy> {
  /** Samples π_0. */
  first(): AsyncGenerator<SelfPlayEvent<P>, Evaluation>;
  /** Passes over an iteration that had been evaluated in an earlier run. */
  skip(iteration: number): void;
  /** Samples π_{t+1} (`after`) and compares it with π_t (`before`) and π_0. */
  next(
    iteration: number,
    before: Sampler,
    after: Sampler,
  ): AsyncGenerator<SelfPlayEvent<P>, Evaluation>;
}

/** What an evaluator needs of a run. */
export interface EvaluatorOptions<P extends Sampler> extends AskOptions {
  /** π_0. */
  readonly policy: P;
  /** 0 by default. */
  readonly seed?: number;
}

/** An evaluator, which remembers the responses of π_0 and of the policy before. */
export function heldOutEvaluator<P extends Policy>(
  options: EvaluatorOptions<P>,
  { heldOut, oracle, sampling, against = ["previous", "reference"] }: EvaluationOptions,
): HeldOutEvaluator<P> {
  const stage = "evaluate";
  const asked = { ...options, oracle };
  let reference: readonly Sampled[] = [];
  /** The policy before the one to be evaluated next, with its responses once they are asked for. */
  let previous: { iteration: number; responses: readonly Sampled[] | undefined };

  async function* responsesOf(
    iteration: number,
    policy: Sampler,
    progress: { done: number; readonly total: number; readonly of: number },
  ): AsyncGenerator<SelfPlayEvent<P>, Sampled[]> {
    const seed = deriveSeed(options.seed ?? 0, "evaluation", iteration);
    const list = `evaluation/${iteration}/responses`;
    const all: Sampled[] = [];
    for await (const answer of respond(options, list, policy, heldOut, sampling, seed)) {
      const { sampled, restored } = answer;
      all.push(sampled);
      yield { type: "held-out", iteration, sampled, restored };
      if (progress.of === iteration) yield advance(progress, restored);
    }
    return all;
  }

  function advance(
    progress: { done: number; readonly total: number; readonly of: number },
    restored: boolean,
  ): SelfPlayEvent<P> {
    const { total, of: iteration } = progress;
    return { type: "progress", iteration, stage, done: ++progress.done, total, restored };
  }

  return {
    async *first(): AsyncGenerator<SelfPlayEvent<P>, Evaluation> {
      const progress = { done: 0, total: heldOut.length, of: 0 };
      yield { type: "stage-started", iteration: 0, stage, total: progress.total };
      reference = yield* responsesOf(0, options.policy, progress);
      previous = { iteration: 0, responses: reference };
      const evaluation = evaluationOf(0, reference, {});
      yield { type: "stage-finished", iteration: 0, stage };
      yield { type: "evaluated", iteration: 0, evaluation };
      return evaluation;
    },
    skip(iteration: number): void {
      previous = { iteration, responses: undefined };
    },
    async *next(
      iteration: number,
      before: Sampler,
      after: Sampler,
    ): AsyncGenerator<SelfPlayEvent<P>, Evaluation> {
      // At the first iteration π_t is π_0: one comparison serves both.
      const opponents = iteration === 1 && against.length > 0 ? ["previous" as const] : against;
      const total = heldOut.length * (1 + opponents.length);
      const progress = { done: 0, total, of: iteration };
      yield { type: "stage-started", iteration, stage, total };
      if (previous.responses === undefined && opponents.includes("previous")) {
        previous = {
          iteration: iteration - 1,
          responses: yield* responsesOf(iteration - 1, before, progress),
        };
      }
      const ours = yield* responsesOf(iteration, after, progress);
      const rates: { [name in Opponent]?: WinRateAgainst } = {};
      for (const opponent of opponents) {
        const theirs = opponent === "previous" ? previous.responses! : reference;
        const list = `evaluation/${iteration}/against-${opponent}`;
        const summary = summarizeWinRates();
        let index = 0;
        for await (const answer of compareAcross(asked, list, ours, theirs)) {
          summary.add(promptWinRate(answer.cross, ours[index]!.weights, theirs[index]!.weights));
          index++;
          yield advance(progress, answer.restored);
        }
        rates[opponent] = summary.result();
      }
      if (iteration === 1) { for (const opponent of against) rates[opponent] = rates.previous!; }
      if (!against.includes("previous")) delete rates.previous;
      previous = { iteration, responses: ours };
      const evaluation = evaluationOf(iteration, ours, rates);
      yield { type: "stage-finished", iteration, stage };
      yield { type: "evaluated", iteration, evaluation };
      return evaluation;
    },
  };
}

function evaluationOf(
  iteration: number,
  sampled: readonly Sampled[],
  against: Evaluation["against"],
): Evaluation {
  const length = meanLength(sampled);
  return {
    iteration,
    prompts: sampled.length,
    ...(length === undefined ? {} : { length }),
    against,
  };
}
