/**
 * Metrics of one step, under TRL's names.
 *
 * @module
 */

import type { PreparedGroup } from "./prepare.ts";

/** What a step measured of each response, groups after each other. */
export interface ResponseValues {
  /** log π_θ. */
  readonly logProbs: Float64Array;
  /** log π_θ − log π_t, where the loss is on log-ratios. */
  readonly logRatios: Float64Array | undefined;
}

/**
 * `logps/*`, and where there are log-ratios `log_ratios/*`, `rewards/*` (β · log-ratio), their margin
 * and accuracy, of the chosen and the rejected response: the one with the highest and the lowest win
 * rate, or without win rates the first and the last. Groups of one response have a chosen one alone.
 */
export function groupMetrics(
  groups: readonly PreparedGroup[],
  { logProbs, logRatios }: ResponseValues,
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
    const ratio = (index: number) => logRatios?.[start + index] ?? 0;
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
  const margin = chosen.logRatio / n - rejected.logRatio / pairs;
  return {
    "logps/chosen": chosen.logProb / n,
    ...(pairs > 0 ? { "logps/rejected": rejected.logProb / pairs } : {}),
    ...(logRatios
      ? { "log_ratios/chosen": chosen.logRatio / n, "rewards/chosen": beta * chosen.logRatio / n }
      : {}),
    ...(logRatios && pairs > 0
      ? {
        "log_ratios/rejected": rejected.logRatio / pairs,
        "rewards/rejected": beta * rejected.logRatio / pairs,
        "rewards/margins": beta * margin,
        "rewards/accuracies": accurate / pairs,
      }
      : {}),
  };
}
