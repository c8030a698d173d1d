/**
 * Metrics of one step, under TRL's names.
 *
 * @module
 */

import type { PreparedGroup } from "./prepare.ts";

/**
 * `logps/*`, `rewards/*` (β · log-ratio), their margin and accuracy, and the log-ratios apart, of the
 * chosen and the rejected response: the one with the highest and the lowest win rate, or without win
 * rates the first and the last. Groups of one response have `logps/chosen` alone.
 *
 * @param logProbs log π_θ of each response, groups after each other.
 */
export function groupMetrics(
  groups: readonly PreparedGroup[],
  logProbs: Float64Array,
  beta: number,
): Record<string, number> {
  const chosen = { logProb: 0, logRatio: 0 };
  const rejected = { logProb: 0, logRatio: 0 };
  let accurate = 0;
  let pairs = 0;
  let start = 0;
  for (const { responses } of groups) {
    let best = 0;
    let worst = responses[0]!.winRate === undefined ? responses.length - 1 : 0;
    responses.forEach(({ winRate }, index) => {
      if (winRate === undefined) return;
      if (winRate > (responses[best]!.winRate ?? -Infinity)) best = index;
      if (winRate < (responses[worst]!.winRate ?? Infinity)) worst = index;
    });
    const ratio = (index: number) => logProbs[start + index]! - responses[index]!.previousLogProb;
    chosen.logProb += logProbs[start + best]!;
    chosen.logRatio += ratio(best);
    if (responses.length > 1) {
      rejected.logProb += logProbs[start + worst]!;
      rejected.logRatio += ratio(worst);
      if (ratio(best) > ratio(worst)) accurate++;
      pairs++;
    }
    start += responses.length;
  }
  const n = groups.length;
  if (pairs === 0) return { "logps/chosen": chosen.logProb / n };
  return {
    "logps/chosen": chosen.logProb / n,
    "logps/rejected": rejected.logProb / pairs,
    "log_ratios/chosen": chosen.logRatio / n,
    "log_ratios/rejected": rejected.logRatio / pairs,
    "rewards/chosen": beta * chosen.logRatio / n,
    "rewards/rejected": beta * rejected.logRatio / pairs,
    "rewards/margins": beta * (chosen.logRatio / n - rejected.logRatio / pairs),
    "rewards/accuracies": accurate / pairs,
  };
}
