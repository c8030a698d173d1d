/**
 * Statistics of the groups of one iteration.
 *
 * @module
 */

import type { Judgement } from "./oracle.ts";
import type { WinRates } from "./estimators.ts";
import type { Selected } from "./selection.ts";

/** What the groups of one iteration look like. Shares and means over nothing are absent. */
export interface GroupStatistics {
  /** Groups judged: one per prompt. */
  readonly groups: number;
  /** Groups that train. */
  readonly trainedGroups: number;
  /** Groups that train nothing, because all their win rates are equal. */
  readonly tiedGroups: number;
  /** Groups that train nothing, because fewer than two of their responses have a win rate. */
  readonly droppedGroups: number;
  /** Responses dropped, because they were compared with no other. */
  readonly droppedResponses: number;
  /** tiedGroups / groups. */
  readonly tiedShare?: number;
  /** Mean P̂ of the best response, over the groups that train. */
  readonly chosenWinRate?: number;
  /** Mean P̂ of the worst response, over the groups that train. */
  readonly rejectedWinRate?: number;
  /** Triples of responses of one group of which all three pairs were compared. */
  readonly triads: number;
  /** Triads in which a beats b beats c beats a, each with P > ½. */
  readonly cyclicTriads: number;
  /** cyclicTriads / triads. */
  readonly cyclicTriadShare?: number;
  /** Mean reward, without its divergence, of the responses that train; of objectives that have one. */
  readonly reward?: number;
  /** Mean log π_t/π_0 of the responses that train, nats; of objectives that are held near π_0. */
  readonly kl?: number;
  /** Sum of the judgements' costs, where the judge says what they cost. */
  readonly cost?: { readonly tokens: number; readonly requests: number; readonly currency: number };
  /** Sums of the judgements' counts by name, where the judge counts something. */
  readonly counts?: Readonly<Record<string, number>>;
}

/** Adds up {@linkcode GroupStatistics} group by group. */
export interface StatisticsAccumulator {
  /** Counts a group. */
  add(
    judgement: Judgement,
    winRates: Pick<WinRates, "winRates" | "dropped">,
    selected: Selected,
  ): void;
  /** Counts the reward of a response that trains, and how far it has come from π_0. */
  addReturn(reward: number, logRatio: number): void;
  /** What the groups come to. */
  result(): GroupStatistics;
}

/**
 * An accumulator of statistics, holding sums only.
 *
 * @example
 * ```ts
 * import { groupStatistics } from "./statistics.ts";
 * import { estimateWinRates } from "./estimators.ts";
 * import { select } from "./selection.ts";
 * import assert from "node:assert/strict";
 * const preferences = Float64Array.of(0.5, 0.9, 0.1, 0.1, 0.5, 0.9, 0.9, 0.1, 0.5);
 * const judgement = { size: 3, preferences, mask: new Uint8Array(9).fill(1) };
 * const winRates = estimateWinRates(judgement);
 * const statistics = groupStatistics();
 * statistics.add(judgement, winRates, select(winRates.winRates));
 * assert.equal(statistics.result().cyclicTriadShare, 1);
 * assert.equal(statistics.result().tiedGroups, 1);
 * ```
 */
export function groupStatistics(): StatisticsAccumulator {
  let groups = 0, trainedGroups = 0, tiedGroups = 0, droppedGroups = 0, droppedResponses = 0;
  let chosen = 0, rejected = 0, triads = 0, cyclicTriads = 0;
  let returns = 0, reward = 0, kl = 0;
  let cost: { tokens: number; requests: number; currency: number } | undefined;
  let counts: Record<string, number> | undefined;
  return {
    add(judgement, { winRates, dropped }, selected) {
      groups++;
      droppedResponses += dropped;
      if (selected.dropped) droppedGroups++;
      else if (selected.tied) tiedGroups++;
      else {
        trainedGroups++;
        chosen += winRates[selected.best]!;
        rejected += winRates[selected.worst]!;
      }
      const counted = countTriads(judgement);
      triads += counted.triads;
      cyclicTriads += counted.cyclic;
      if (judgement.cost !== undefined) {
        cost ??= { tokens: 0, requests: 0, currency: 0 };
        cost.tokens += judgement.cost.tokens ?? 0;
        cost.requests += judgement.cost.requests ?? 0;
        cost.currency += judgement.cost.currency ?? 0;
      }
      for (const [name, count] of Object.entries(judgement.counts ?? {})) {
        counts ??= {};
        counts[name] = (counts[name] ?? 0) + count;
      }
    },
    addReturn(value, logRatio) {
      returns++;
      reward += value;
      kl += logRatio;
    },
    result: () => ({
      groups,
      trainedGroups,
      tiedGroups,
      droppedGroups,
      droppedResponses,
      ...(groups > 0 ? { tiedShare: tiedGroups / groups } : {}),
      ...(trainedGroups > 0
        ? { chosenWinRate: chosen / trainedGroups, rejectedWinRate: rejected / trainedGroups }
        : {}),
      triads,
      cyclicTriads,
      ...(triads > 0 ? { cyclicTriadShare: cyclicTriads / triads } : {}),
      ...(returns > 0 ? { reward: reward / returns, kl: kl / returns } : {}),
      ...(cost === undefined ? {} : { cost }),
      ...(counts === undefined ? {} : { counts }),
    }),
  };
}

/**
 * Counts triads, and the cyclic ones among them. A triad with a tie is not cyclic.
 *
 * @example
 * ```ts
 * import { countTriads } from "./statistics.ts";
 * import assert from "node:assert/strict";
 * const preferences = Float64Array.of(0.5, 0.9, 0.1, 0.1, 0.5, 0.9, 0.9, 0.1, 0.5);
 * const mask = new Uint8Array(9).fill(1);
 * assert.deepEqual(countTriads({ size: 3, preferences, mask }), { triads: 1, cyclic: 1 });
 * ```
 */
export function countTriads(
  { size, preferences, mask }: Pick<Judgement, "size" | "preferences" | "mask">,
): { readonly triads: number; readonly cyclic: number } {
  let triads = 0, cyclic = 0;
  for (let a = 0; a < size; a++) {
    for (let b = a + 1; b < size; b++) {
      if (mask[a * size + b] !== 1) continue;
      const ab = preferences[a * size + b]! - 0.5;
      for (let c = b + 1; c < size; c++) {
        if (mask[b * size + c] !== 1 || mask[a * size + c] !== 1) continue;
        triads++;
        const bc = preferences[b * size + c]! - 0.5, ca = 0.5 - preferences[a * size + c]!;
        if ((ab > 0 && bc > 0 && ca > 0) || (ab < 0 && bc < 0 && ca < 0)) cyclic++;
      }
    }
  }
  return { triads, cyclic };
}

/**
 * Statistics of groups that no judge was asked about.
 *
 * @param trainedGroups Groups that train.
 * @param tiedGroups Groups that train nothing, because their responses are the same.
 *
 * @example
 * ```ts
 * import { unjudgedStatistics } from "./statistics.ts";
 * import assert from "node:assert/strict";
 * assert.equal(unjudgedStatistics(3, 1).groups, 4);
 * ```
 */
export function unjudgedStatistics(trainedGroups: number, tiedGroups = 0): GroupStatistics {
  return {
    groups: trainedGroups + tiedGroups,
    trainedGroups,
    tiedGroups,
    droppedGroups: 0,
    droppedResponses: 0,
    triads: 0,
    cyclicTriads: 0,
  };
}
