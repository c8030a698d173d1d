/**
 * Metrics of one step, under TRL's names.
 *
 * @module
 */

import type { Loss } from "../../core/mod.ts";
import type { PreparedGroup, PreparedResponse } from "./prepare.ts";

/** What a step measured of each response, groups after each other. */
export interface ResponseValues {
  /** log π_θ. */
  readonly logProbs: Float64Array;
  /** log π_θ − log π of the policy that log-ratios are taken against, where the loss has one. */
  readonly logRatios: Float64Array;
}

/**
 * `logps/*` (sums over tokens), `log_ratios/*` where the loss has them, and `rewards/*` as the loss
 * defines them, their margin and accuracy, of the chosen and the rejected response: the one with the
 * highest and the lowest win rate, or without win rates the first and the last. Groups of one response
 * have a chosen one alone.
 */
export function groupMetrics(
  groups: readonly PreparedGroup[],
  loss: Loss,
  { logProbs, logRatios }: ResponseValues,
): Record<string, number> {
  const chosen = sums(), rejected = sums();
  let accurate = 0;
  let start = 0;
  for (const { responses } of groups) {
    const [best, worst] = extremes(responses);
    const add = (to: Sums, index: number): number => {
      const logProb = logProbs[start + index]!, logRatio = logRatios[start + index]!;
      const tokens = responses[index]!.responseIds.length;
      const reward = loss.reward?.({ logProb, logRatio, tokens }) ?? 0;
      to.count++;
      to.logProb += logProb;
      to.logRatio += logRatio;
      to.reward += reward;
      return reward;
    };
    const won = add(chosen, best);
    if (responses.length > 1 && won > add(rejected, worst)) accurate++;
    start += responses.length;
  }
  const metrics: Record<string, number> = {};
  for (const [name, { count, logProb, logRatio, reward }] of entries({ chosen, rejected })) {
    if (count === 0) continue;
    metrics[`logps/${name}`] = logProb / count;
    if (loss.against !== undefined) metrics[`log_ratios/${name}`] = logRatio / count;
    if (loss.reward !== undefined) metrics[`rewards/${name}`] = reward / count;
  }
  if (loss.reward !== undefined && rejected.count > 0) {
    metrics["rewards/margins"] = metrics["rewards/chosen"]! - metrics["rewards/rejected"]!;
    metrics["rewards/accuracies"] = accurate / rejected.count;
  }
  return metrics;
}

interface Sums {
  count: number;
  logProb: number;
  logRatio: number;
  reward: number;
}

const sums = (): Sums => ({ count: 0, logProb: 0, logRatio: 0, reward: 0 });
const entries = Object.entries<Sums>;

/** Indexes of the chosen and the rejected response. */
function extremes(responses: readonly PreparedResponse[]): readonly [number, number] {
  let best = 0;
  let worst = responses[0]!.winRate === undefined ? responses.length - 1 : 0;
  responses.forEach(({ winRate }, index) => {
    if (winRate === undefined) return;
    if (winRate > (responses[best]!.winRate ?? -Infinity)) best = index;
    if (winRate < (responses[worst]!.winRate ?? Infinity)) worst = index;
  });
  return [best, worst];
}
