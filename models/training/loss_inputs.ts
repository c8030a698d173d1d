/**
 * What a training program is given of a loss; see `lossTotal` in `models/programs/loss_terms.ts`.
 *
 * @module
 */

import {
  type Loss,
  numbers,
  pairOf,
  type StepGroup,
  stepLoss,
  stepSlopes,
} from "../../core/mod.ts";
import type { HostTensor } from "../../graph/mod.ts";
import { scoreSequences } from "../sequences.ts";
import type { Fit } from "./fit.ts";
import type { PreparedGroup, PreparedResponse } from "./prepare.ts";

/** Responses that must be computed in one run: a pair, where the loss compares the two. */
export function responsesTogether(loss: Loss): 1 | 2 {
  return loss.per === "pair" ? 2 : 1;
}

/** Refuses groups that are no pairs where the loss is of pairs. */
export function checkGroups(loss: Loss, groups: readonly PreparedGroup[]): void {
  if (loss.per !== "response") { for (const { responses } of groups) pairOf(responses); }
}

/** A response in a run, with the slope of a loss of the batch. */
export interface RunResponse {
  readonly response: PreparedResponse;
  readonly slope: number;
}

/**
 * Inputs of the loss.
 *
 * @param run The responses of the run, pairs after each other where the loss is of pairs.
 * @param groups Groups of the step, over which the loss is a mean.
 */
export function lossInputs(
  loss: Loss,
  run: readonly RunResponse[],
  groups: number,
): Record<string, HostTensor> {
  const vector = (values: readonly number[]): HostTensor => ({
    shape: [values.length],
    data: Float32Array.from(values),
  });
  switch (loss.per) {
    case "response":
      return {
        target: vector(run.map(({ response }) => response.target)),
        weight: vector(run.map(({ response }) => response.weight / groups)),
      };
    case "pair": {
      const pairs = Array.from({ length: run.length / 2 }, (_, pair) => pair);
      const index = (offset: number): HostTensor => ({
        shape: [pairs.length],
        data: Int32Array.from(pairs, (pair) => 2 * pair + offset),
      });
      const weight = (at: number) => run[at]!.response.weight;
      return {
        chosen: index(0),
        rejected: index(1),
        pair_weight: vector(
          pairs.map((pair) => (weight(2 * pair) + weight(2 * pair + 1)) / groups),
        ),
      };
    }
    case "batch":
      return { slope: vector(run.map(({ slope }) => slope)) };
    default:
      return loss satisfies never;
  }
}

/** The loss of all pairs of a step with its slopes, from a forward pass of its own. */
export async function batchSlopes(
  fit: Fit,
  groups: readonly PreparedGroup[],
  tokensPerBatch: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly loss: number; readonly slopes: readonly number[] }> {
  const responses = groups.flatMap((group) => group.responses);
  const scored = await scoreSequences(fit.likelihood!, responses, tokensPerBatch, signal);
  let next = 0;
  const measured = groups.map((group): StepGroup<number> =>
    group.responses.map(({ responseIds, target, weight, anchorLogProbs }) => {
      const now = scored[next++]!;
      let logProb = 0, logRatio = 0;
      now.forEach((value, t) => {
        logProb += value;
        logRatio += value - anchorLogProbs![t]!;
      });
      return { logProb, logRatio, tokens: responseIds.length, target, weight };
    })
  );
  return {
    loss: stepLoss(numbers, fit.loss, measured),
    slopes: stepSlopes(fit.loss, measured),
  };
}
