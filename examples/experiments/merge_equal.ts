/**
 * Equal responses of a group, trained on once.
 *
 * @module
 */

import type { Policy, Trainer, TrainingGroup, TrainingResponse } from "../../core/mod.ts";

/**
 * A trainer that is given each response of a group once, with the sum of the weights of those equal to
 * it. A loss Σ w (r − target)² is the same: equal responses have equal win rates, and so equal targets.
 * Where K samples are of a few short answers, most of the work is saved.
 */
export function mergeEqual<P extends Policy>(trainer: Trainer<P>): Trainer<P> {
  return {
    id: `merged ${trainer.id}`,
    train: (task, options) =>
      trainer.train({ ...task, groups: task.groups.map(mergeGroup) }, options),
    restore: (previousPolicy, journal) => trainer.restore(previousPolicy, journal),
  };
}

function mergeGroup({ prompt, responses }: TrainingGroup): TrainingGroup {
  const merged = new Map<string, TrainingResponse>();
  for (const one of responses) {
    const key = JSON.stringify([one.response.tokenIds ?? one.response.text, one.target]);
    const before = merged.get(key);
    merged.set(key, before ? { ...before, weight: before.weight + one.weight } : one);
  }
  return { prompt, responses: [...merged.values()] };
}
