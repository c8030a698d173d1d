/**
 * What a run of self-play reports while it goes on, and at its end.
 *
 * @module
 */

import type { MeanLength, WinRateAgainst } from "./evaluate.ts";
import type { Judgement } from "./oracle.ts";
import type { Policy, Sampled } from "./policy.ts";
import type { GroupStatistics } from "./statistics.ts";
import type { StepMetrics, TrainingGroup } from "./trainer.ts";

/** Parts of an iteration, in their order. */
export type Stage = "generate" | "judge" | "train" | "evaluate";

/** Whom an evaluation compares π_{t+1} with: π_t, or π_0. */
export type Opponent = "previous" | "reference";

/** What held-out prompts say of one policy. */
export interface Evaluation {
  /** Iteration whose outcome was evaluated: π_{t+1} of iteration t + 1; 0 for π_0. */
  readonly iteration: number;
  /** Held-out prompts. */
  readonly prompts: number;
  /** Mean length of the policy's responses. */
  readonly length?: MeanLength;
  /** Win rates against opponents; empty for π_0. */
  readonly against: { readonly [name in Opponent]?: WinRateAgainst };
}

/** What an iteration came to. */
export interface IterationSummary {
  /** Counts from 1. */
  readonly iteration: number;
  /** η of its targets. */
  readonly eta: number;
  /** What its groups look like. */
  readonly statistics: GroupStatistics;
  /** Absent without held-out prompts. */
  readonly evaluation?: Evaluation;
}

/**
 * An event. All are data, but for `policy`, which hands over the policy itself.
 *
 * Everything of an iteration is yielded again when a run goes on in its midst, with `restored` where it
 * was in the journal; of iterations that had ended only `policy` and `iteration` are. An event's
 * receiver has had it before anything that follows is done, so what it writes per iteration is there
 * when the iteration counts as ended; a receiver may see an event twice in two runs, never not at all.
 */
export type SelfPlayEvent<P extends Policy = Policy> =
  | {
    readonly type: "stage-started";
    readonly iteration: number;
    readonly stage: Stage;
    /** Prompts (generate, judge), groups (train), prompts times 1 + opponents (evaluate). */
    readonly total: number;
  }
  | {
    readonly type: "progress";
    readonly iteration: number;
    readonly stage: Stage;
    readonly done: number;
    readonly total: number;
    readonly restored: boolean;
  }
  | { readonly type: "stage-finished"; readonly iteration: number; readonly stage: Stage }
  | {
    readonly type: "sampled";
    readonly iteration: number;
    readonly sampled: Sampled;
    readonly restored: boolean;
  }
  | {
    readonly type: "judged";
    readonly iteration: number;
    readonly sampled: Sampled;
    readonly judgement: Judgement;
    /** The estimator's table P_ij at i·K + j, which win rates are means of; NaN where masked. */
    readonly preferences: Float64Array;
    /** P̂ of each response; NaN where dropped. */
    readonly winRates: Float64Array;
    /** Indexes of the responses that train; of a pair the chosen first. Empty when tied or dropped. */
    readonly selected: readonly number[];
    /** What trains, with targets; absent when tied or dropped. */
    readonly group?: TrainingGroup;
    readonly restored: boolean;
  }
  | { readonly type: "step"; readonly iteration: number; readonly metrics: StepMetrics }
  | {
    /** Responses to a held-out prompt of the policy that came out of `iteration`; 0 for π_0. */
    readonly type: "held-out";
    readonly iteration: number;
    readonly sampled: Sampled;
    readonly restored: boolean;
  }
  | { readonly type: "evaluated"; readonly iteration: number; readonly evaluation: Evaluation }
  | {
    readonly type: "policy";
    readonly iteration: number;
    /** π_{t+1}. */
    readonly policy: P;
    /** The iteration's fit had ended in an earlier run. */
    readonly restored: boolean;
  }
  | {
    readonly type: "iteration";
    readonly iteration: number;
    readonly summary: IterationSummary;
    /** The iteration had ended in an earlier run. */
    readonly restored: boolean;
  };

/** The end of a run. */
export interface SelfPlayResult<P extends Policy = Policy> {
  /** π_T. */
  readonly policy: P;
  /** Of π_0; absent without held-out prompts. */
  readonly initialEvaluation?: Evaluation;
  /** Summaries of all iterations, those of earlier runs with them. */
  readonly iterations: readonly IterationSummary[];
}
