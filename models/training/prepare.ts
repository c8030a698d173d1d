/**
 * Groups of responses as token sequences of a length that can be trained on.
 *
 * @module
 */

import type { TrainingGroup } from "../../core/mod.ts";
import type { LanguageModel } from "../language_model.ts";
import type { Sequence } from "../sequences.ts";

/** A response ready to train on. */
export interface PreparedResponse extends Sequence {
  readonly target: number;
  readonly weight: number;
  readonly winRate: number | undefined;
  /**
   * Log-probability of each response token under the policy that log-ratios are taken against; set
   * before the first step of a loss that has one.
   */
  anchorLogProbs?: Float32Array;
}

/** The responses of one prompt. */
export interface PreparedGroup {
  readonly responses: readonly PreparedResponse[];
}

/** What is too long, and what becomes of it. */
export interface LengthOptions {
  readonly maxLength: number;
  readonly tooLong: "skip" | "cut";
}

/**
 * Tokenises groups. A response that does not fit is left out, and with it its group where fewer than
 * two of several responses remain (a pair without its partner teaches something else), or cut,
 * without an end-of-turn token it did not reach. The limit is `maxLength`, and in any case the model's
 * positions.
 *
 * @returns The groups, and the number of responses left out.
 */
export function prepareGroups(
  model: LanguageModel,
  groups: readonly TrainingGroup[],
  { maxLength, tooLong }: LengthOptions,
): { groups: PreparedGroup[]; skipped: number } {
  const prepared: PreparedGroup[] = [];
  let skipped = 0;
  for (const { prompt, responses } of groups) {
    const promptIds = model.encodePrompt(prompt);
    const room = Math.min(maxLength, model.config.maxPositions) - promptIds.length;
    const kept: PreparedResponse[] = [];
    for (const { response, target, weight, winRate } of responses) {
      const ids = model.encodeResponse(response);
      const fits = ids.length <= room;
      if (ids.length === 0 || room < 1 || (!fits && tooLong === "skip")) {
        skipped++;
        continue;
      }
      const responseIds = fits ? ids : ids.slice(0, room);
      kept.push({ promptIds, responseIds, target, weight, winRate });
    }
    if (kept.length === responses.length || kept.length > 1) prepared.push({ responses: kept });
    else skipped += kept.length;
  }
  return { groups: prepared, skipped };
}
