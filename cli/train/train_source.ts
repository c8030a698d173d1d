/**
 * The source of groups that a training run's options name.
 *
 * @module
 */

import type { SamplingOptions } from "../../core/ask.ts";
import type { EstimateWinRatesOptions } from "../../core/estimators.ts";
import type { EtaSchedule } from "../../core/loop.ts";
import type { PreferenceOracle } from "../../core/oracle.ts";
import {
  againstDemonstrations,
  givenDemonstrations,
  givenPairs,
} from "../../core/sources/given.ts";
import { judgedSource, type Opponents } from "../../core/sources/judged.ts";
import type { GroupSource } from "../../core/sources/source.ts";
import { geometricMixture, type LocalPolicy } from "../../models/local_policy.ts";
import type { Division } from "../held_out.ts";
import { trainOptions } from "../options/train_options.ts";
import { type PairRecord, toPairs } from "../pairs.ts";
import { expectedSteps } from "./decoding_steps.ts";
import type { SettledTrain, TrainValues } from "./settle_train.ts";

/** How a run samples. */
export function samplingOf(values: TrainValues): SamplingOptions {
  const { samples, temperature, topP, topK, minP, maxTokens } = values;
  return { samples, temperature, topP, topK, minP, maxTokens };
}

/**
 * How held-out prompts are answered: as those that are trained on, unless --samples says of how many the
 * best is taken.
 */
export function evaluationSampling(values: TrainValues): SamplingOptions {
  const sampling = samplingOf(values);
  const samples = values.loss === "best-of-n" ? trainOptions.samples.default : sampling.samples;
  return { ...sampling, samples: values.evalSamples ?? samples };
}

/** How a run estimates win rates. */
export function estimatorOf(
  { estimator, preferenceTemperature }: TrainValues,
): Pick<EstimateWinRatesOptions, "estimator" | "preferenceTemperature"> {
  return { estimator, ...(preferenceTemperature === undefined ? {} : { preferenceTemperature }) };
}

/** Whether a run needs a judge's logits. */
export function needsLogits({ values: { reward }, objective: { goal } }: SettledTrain): boolean {
  return goal === "score" || (goal === "reward" && reward === "score");
}

/** η of each iteration. */
export function scheduleOf({ eta, etaSchedule }: TrainValues): number | EtaSchedule {
  switch (etaSchedule) {
    case "constant":
      return eta;
    case "horizon":
      return (_, iterations) => eta / Math.sqrt(iterations);
    case "decay":
      return (t) => eta / Math.sqrt(t + 1);
    default:
      return etaSchedule satisfies never;
  }
}

/** Whether responses are sampled to train on. */
export function samplesToTrain({ source }: SettledTrain): boolean {
  return source === "judge" || source === "own-against-demonstrations";
}

/** Decoding steps that are expected of a policy: of its part of the prompts, and of those held out. */
export function policySteps(
  settled: SettledTrain,
  { prompts, heldOut }: Division,
  parts: number,
): number {
  const { values, objective: { goal } } = settled;
  const { promptsPerBatch, promptsPerIteration, maxTokens, samples } = values;
  const each = promptsPerIteration === "split"
    ? Math.floor(prompts.length / parts)
    : prompts.length;
  const trained = samplesToTrain(settled)
    ? { prompts: each, samples, promptsPerBatch, maxTokens }
    : undefined;
  return expectedSteps([
    ...trained ? [trained] : [],
    ...trained && goal === "regularized" ? [trained] : [], // the mixture's
    {
      ...{ promptsPerBatch, maxTokens },
      prompts: heldOut.length,
      samples: evaluationSampling(values).samples,
    },
  ]);
}

/**
 * The source.
 *
 * @param oracle The judge, where groups are judged.
 * @param records What the file of pairs holds, where there is one.
 */
export function sourceOfRun(
  settled: SettledTrain,
  oracle: PreferenceOracle | undefined,
  records: readonly PairRecord[],
): GroupSource<LocalPolicy> {
  const { values, objective: { goal }, source } = settled;
  switch (source) {
    case "judge":
      return judgedSource({
        oracle: oracle!,
        sampling: samplingOf(values),
        ...estimatorOf(values),
        selfTerm: values.selfTerm,
        ...(values.selection === undefined ? {} : { selection: values.selection }),
        normalizer: values.normalizer,
        reward: values.reward,
        // A loss that reads no target is as well off with those of win rates.
        goal: goal === "none" ? "win-rate" : goal,
      }, goal === "regularized" ? mixtureWithStart(values.mixture) : undefined);
    case "pairs":
      return givenPairs(
        toPairs(records, values.pairs!),
        goal === "win-rate" || goal === "pair" ? goal : "none",
      );
    case "demonstrations":
      return givenDemonstrations(records);
    case "own-against-demonstrations":
      return againstDemonstrations(records, samplingOf(values));
    default:
      return source satisfies never;
  }
}

/** Nash-MD's opponent: the policy mixed with its start at each token. */
function mixtureWithStart(weight: number): Opponents<LocalPolicy> {
  return {
    id: `geometric mixture ${weight}`,
    of: (policy, reference) => geometricMixture(policy, reference, weight),
  };
}
