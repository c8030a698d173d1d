/**
 * How people are asked: what a terminal or a page does for a judge.
 *
 * @module
 */

import type { Prompt } from "../../core/policy.ts";

/** Which of two responses is better. */
export interface HumanQuestion {
  /** x. */
  readonly prompt: Prompt;
  /** The response that is shown first, or on the left. */
  readonly first: string;
  /** The other one. */
  readonly second: string;
  /** Which of the questions of this session it is, from 1 on. */
  readonly number: number;
  /** Questions of this session. */
  readonly total: number;
  /** Prompts that later sessions may ask about, where that is known. */
  readonly later?: number;
  /** Who is asked, where that was said. */
  readonly name?: string;
}

/** A choice, or the wish to answer the question before again. */
export type HumanAnswer = "first" | "second" | "tie" | "back";

/** Questions put to a person, one after the other; disposing it ends them. */
export interface VotingSession extends Disposable {
  /**
   * Asks.
   *
   * @throws The signal's reason when it is aborted, also where nobody answers.
   */
  ask(question: HumanQuestion, signal?: AbortSignal): Promise<HumanAnswer>;
}

/** Where a person is asked. */
export interface Voter {
  /** Begins to ask; where someone else is being asked at the same place, after them. */
  begin(signal?: AbortSignal): Promise<VotingSession>;
}

/**
 * A promise that a signal ends.
 *
 * @throws The signal's reason when it is aborted first.
 */
export async function unlessAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return await promise;
  const aborted = Promise.withResolvers<never>();
  const stop = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", stop);
  try {
    signal.throwIfAborted();
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/**
 * Turns at a place where one person is asked at a time: waits for those before, and gives what ends the
 * turn.
 *
 * @throws The signal's reason when it is aborted first.
 */
export function takingTurns(): (signal?: AbortSignal) => Promise<() => void> {
  let last: Promise<void> = Promise.resolve();
  return async (signal) => {
    const before = last, { promise, resolve } = Promise.withResolvers<void>();
    last = before.then(() => promise);
    try {
      await unlessAborted(before, signal);
    } catch (error) {
      resolve();
      throw error;
    }
    return resolve;
  };
}
