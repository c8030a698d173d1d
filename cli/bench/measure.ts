/**
 * Measures a case.
 *
 * @module
 */

import type { HostCase, OpenedCase } from "./case.ts";

/** What a case took on a backend. */
export interface Measured {
  readonly question: string;
  readonly case: Omit<HostCase, "open">;
  /** The backend's name, or `host`. */
  readonly backend: string;
  /** Milliseconds before the first run, and of it. */
  readonly start: { readonly loadMs: number; readonly compileMs: number; readonly firstMs: number };
  /** Milliseconds of each run that counts. */
  readonly times: readonly number[];
}

/** How long to measure. */
export interface MeasureOptions {
  /** Runs go on until they took so many milliseconds. */
  readonly budgetMs: number;
  readonly fewestRuns: number;
  readonly mostRuns: number;
  readonly signal?: AbortSignal;
}

/** A run as long as this needs no second one to warm up. */
const SLOW_MS = 500;

/** Opens a case, runs it once, warms up, and measures. */
export async function measure(
  open: () => Promise<OpenedCase>,
  { budgetMs, fewestRuns, mostRuns, signal }: MeasureOptions,
): Promise<Pick<Measured, "start" | "times">> {
  const opened = await open();
  try {
    const timed = async () => {
      signal?.throwIfAborted();
      const began = performance.now();
      await opened.run();
      return performance.now() - began;
    };
    const firstMs = await timed();
    if (firstMs < SLOW_MS) await timed();
    const times: number[] = [];
    let total = 0;
    while (times.length < fewestRuns || (total < budgetMs && times.length < mostRuns)) {
      const ms = await timed();
      times.push(ms);
      total += ms;
    }
    return { start: { ...opened.start, firstMs }, times };
  } finally {
    await opened.dispose();
  }
}

/** The least of some times: what else the machine does only adds to them. */
export function least(times: readonly number[]): number {
  return Math.min(...times);
}

/** The middle of some times. */
export function median(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? sorted[Math.floor(middle)]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
