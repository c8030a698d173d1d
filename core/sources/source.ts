/**
 * Where an iteration's groups come from: what the loop of self-play is told to train on.
 *
 * @module
 */

import type { AskOptions } from "../ask.ts";
import type { SelfPlayEvent } from "../events.ts";
import type { Policy, Prompt } from "../policy.ts";
import type { GroupStatistics } from "../statistics.ts";
import type { TrainingGroup } from "../trainer.ts";

/** What a source makes groups from. */
export interface GroupRequest<P extends Policy> extends AskOptions {
  /** π_t. */
  readonly policy: P;
  /** π_0. */
  readonly referencePolicy: P;
  /** The iteration's prompts. */
  readonly prompts: readonly Prompt[];
  /** t + 1, counting from 1. */
  readonly iteration: number;
  /** η of the iteration. */
  readonly eta: number;
  /** Seed of the run. */
  readonly seed: number;
}

/** Groups, a prompt's beside each other, and what they look like. */
export interface SourcedGroups {
  /** What trains. */
  readonly groups: readonly TrainingGroup[];
  /** What they look like, those that train nothing with them. */
  readonly statistics: GroupStatistics;
}

/**
 * Makes an iteration's groups.
 *
 * Laws: the same request gives the same groups; what takes long is kept in the request's journal under
 * `iteration-N/`, and a source asked again goes on from there; the policies are unchanged.
 */
export interface GroupSource<P extends Policy = Policy> {
  /** Covers everything that groups depend on, beside the request. */
  readonly id: string;
  /** Yields what happens, returns the groups. */
  groups(request: GroupRequest<P>): AsyncGenerator<SelfPlayEvent<P>, SourcedGroups>;
}
