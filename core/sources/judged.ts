/**
 * Groups of the policy's own responses, judged: the source of SPPO, and of everything that is compared
 * with it on the same responses.
 *
 * @module
 */

import { compare, type CompareAskOptions, respond, type SamplingOptions } from "../ask.ts";
import { estimateWinRates, type EstimateWinRatesOptions, type WinRates } from "../estimators.ts";
import { crossGroups } from "../evaluate.ts";
import type { SelfPlayEvent } from "../events.ts";
import type { Judgement, PreferenceOracle } from "../oracle.ts";
import type { Policy, Sampled, Sampler } from "../policy.ts";
import { deriveSeed } from "../random.ts";
import { select, type Selected, type Selection } from "../selection.ts";
import { groupStatistics } from "../statistics.ts";
import type { Normalizer } from "../targets.ts";
import type { TrainingGroup } from "../trainer.ts";
import { type Goal, type GoalInput, goals, NEEDS_KL, type Reward } from "./goals.ts";
import type { GroupRequest, GroupSource, SourcedGroups } from "./source.ts";

/** How groups are made from judgements. */
export interface JudgedOptions extends Omit<EstimateWinRatesOptions, "weights"> {
  /** Says which responses are preferred. */
  readonly oracle: PreferenceOracle;
  /** How an iteration samples; K = `samples` ≥ 2. */
  readonly sampling: SamplingOptions;
  /** `best-worst` by default; `best` for objectives that only raise likelihood. */
  readonly selection?: Selection;
  /** `half` by default. */
  readonly normalizer?: Normalizer;
  /** `win-rate` by default. */
  readonly goal?: Goal;
  /** For the goal `reward`; `win-rate` by default. */
  readonly reward?: Reward;
}

/** Another policy that answers the prompts, and against which win rates are then taken. */
export interface Opponents<P extends Policy> {
  /** Covers everything it depends on, beside the two policies. */
  readonly id: string;
  /** The opponent of an iteration. */
  of(policy: P, referencePolicy: P): Sampler;
}

/** A group on its way. */
interface Judged {
  readonly sampled: Sampled;
  readonly judgement: Judgement;
  readonly estimated: WinRates;
  readonly selected: Selected;
  readonly restored: boolean;
}

/**
 * The source of judged groups: π_t answers each prompt K times, the oracle compares the answers, win
 * rates are estimated ({@linkcode estimateWinRates}), responses are selected ({@linkcode select}) and
 * get their goals ({@linkcode goals}).
 *
 * With `opponents`, another sampler answers as often, each response of π_t is compared with each of
 * those and with no other, and win rates are against them.
 */
export function judgedSource<P extends Policy>(
  options: JudgedOptions,
  opponents?: Opponents<P>,
): GroupSource<P> {
  const { oracle, sampling, goal = "win-rate", reward = "win-rate" } = options;
  if (!(Number.isSafeInteger(sampling.samples) && sampling.samples >= 2)) {
    throw new RangeError(
      `Cannot play as samples must be a whole number of at least 2: ${sampling.samples}`,
    );
  }
  const { estimator = "matrix", selfTerm = "include", selection = "best-worst" } = options;
  const { normalizer = "half", preferenceTemperature } = options;
  const settings = [estimator, selfTerm, selection, normalizer, preferenceTemperature ?? null];
  const estimation: EstimateWinRatesOptions = {
    estimator,
    selfTerm: opponents === undefined ? selfTerm : "exclude",
    ...(preferenceTemperature === undefined ? {} : { preferenceTemperature }),
  };

  async function* judgeAll(
    request: GroupRequest<P>,
    all: readonly Sampled[],
    theirs: readonly Sampled[] | undefined,
  ): AsyncGenerator<Judged> {
    const list = `iteration-${request.iteration}/judgements`;
    const groups = theirs === undefined ? all : crossGroups(all, theirs);
    const asked: CompareAskOptions = { ...request, oracle };
    let done = 0;
    for await (const { judgement, restored } of compare(asked, list, groups)) {
      const own = all[done]!, { weights } = own;
      const sampled = { ...own, responses: groups[done++]!.responses };
      const estimated = estimateWinRates(judgement, {
        ...estimation,
        ...(weights === undefined ? {} : { weights }),
      });
      // Opponents are compared with, and do not train.
      estimated.winRates.fill(NaN, own.responses.length);
      yield {
        sampled,
        judgement,
        estimated,
        selected: select(estimated.winRates, selection),
        restored,
      };
    }
  }

  function goalsOf(judged: Judged, eta: number, logRatios: ArrayLike<number> | undefined) {
    const { judgement, estimated, selected, sampled: { weights } } = judged;
    const input: GoalInput = {
      judgement,
      ...estimated,
      selected,
      eta,
      normalizer,
      reward,
      ...(weights === undefined ? {} : { weights }),
      ...(logRatios === undefined ? {} : { logRatios }),
    };
    return goals[goal](input);
  }

  function groupOf({ sampled, estimated, selected }: Judged, values: Float64Array): TrainingGroup {
    const { indexes } = selected;
    // Shares of a pair are ½ each, of one response 1; of all responses their probabilities.
    const shares = selection === "all" ? sampled.weights : undefined;
    return {
      prompt: sampled.prompt,
      responses: indexes.map((k) => ({
        response: sampled.responses[k]!,
        target: values[k]!,
        weight: shares?.[k] ?? 1 / indexes.length,
        winRate: estimated.winRates[k]!,
      })),
    };
  }

  return {
    id: JSON.stringify([
      ...[oracle.id, settings, sampling],
      ...(goal === "win-rate" && opponents === undefined
        ? []
        : [goal, goal === "reward" ? reward : null, opponents?.id ?? null]),
    ]),

    async *groups(request: GroupRequest<P>): AsyncGenerator<SelfPlayEvent<P>, SourcedGroups> {
      const { iteration, eta } = request;
      const all = yield* generate(request, sampling, opponents);
      const stage = "judge", total = all.ours.length;
      yield { type: "stage-started", iteration, stage, total };
      const statistics = groupStatistics();
      const groups: TrainingGroup[] = [];
      const divergences = NEEDS_KL[goal] ? await logRatiosOf(request, all.ours) : undefined;
      let done = 0;
      for await (const judged of judgeAll(request, all.ours, all.theirs)) {
        const { sampled, judgement, estimated, selected, restored } = judged;
        statistics.add(judgement, estimated, selected);
        let group: TrainingGroup | undefined;
        if (selected.indexes.length > 0) {
          const logRatios = divergences?.[done];
          const { values, rewards } = goalsOf(judged, eta, logRatios);
          group = groupOf(judged, values);
          groups.push(group);
          if (rewards !== undefined && logRatios !== undefined) {
            for (const k of selected.indexes) statistics.addReturn(rewards[k]!, logRatios[k]!);
          }
        }
        const { preferences, winRates } = estimated;
        yield {
          type: "judged",
          iteration,
          sampled,
          judgement,
          preferences,
          winRates,
          selected: selected.indexes,
          ...(group === undefined ? {} : { group }),
          restored,
        };
        yield { type: "progress", iteration, stage, done: ++done, total, restored };
      }
      yield { type: "stage-finished", iteration, stage };
      return { groups, statistics: statistics.result() };
    },
  };
}

/** Responses of π_t, and of the opponent where there is one. */
async function* generate<P extends Policy>(
  request: GroupRequest<P>,
  sampling: SamplingOptions,
  opponents: Opponents<P> | undefined,
): AsyncGenerator<SelfPlayEvent<P>, { ours: Sampled[]; theirs?: Sampled[] }> {
  const { policy, referencePolicy, prompts, iteration } = request;
  const stage = "generate", total = prompts.length * (opponents === undefined ? 1 : 2);
  yield { type: "stage-started", iteration, stage, total };
  let done = 0;
  async function* ask(name: string, sampler: Sampler, own: boolean) {
    const all: Sampled[] = [];
    const seed = deriveSeed(request.seed, name, iteration);
    const list = `iteration-${iteration}/${name}`;
    const answers = respond(request, list, sampler, prompts, sampling, seed);
    for await (const { sampled, restored } of answers) {
      all.push(sampled);
      if (own) yield { type: "sampled" as const, iteration, sampled, restored };
      yield { type: "progress" as const, iteration, stage, done: ++done, total, restored } as const;
    }
    return all;
  }
  const ours = yield* ask("responses", policy, true);
  const theirs = opponents === undefined
    ? undefined
    : yield* ask("opponents", opponents.of(policy, referencePolicy), false);
  yield { type: "stage-finished", iteration, stage };
  return { ours, ...(theirs === undefined ? {} : { theirs }) };
}

/** log π_t − log π_0 of each response, by the scorers. */
async function logRatiosOf<P extends Policy>(
  { policy, referencePolicy, signal }: GroupRequest<P>,
  all: readonly Sampled[],
): Promise<Float64Array[]> {
  const values = all.map(({ responses }) => new Float64Array(responses.length));
  if (policy.id === referencePolicy.id) return values;
  for (const [scorer, sign] of [[policy, 1], [referencePolicy, -1]] as const) {
    let index = 0;
    for await (const tokens of scorer.logProbs(all, signal === undefined ? {} : { signal })) {
      const row = values[index++]!;
      tokens.forEach((logProbs, k) => {
        row[k]! += sign * logProbs.reduce((sum, logProb) => sum + logProb, 0);
      });
    }
  }
  return values;
}
