/**
 * The cheapest of some settings that keep to a budget of memory.
 *
 * @module
 */

import type { SampledAdapter } from "../generation/sampled_adapter.ts";
import { type RunMemory, totalBytes } from "./parts.ts";

/** A value that is tried, and about what it costs in time. */
export interface Tried<T> {
  readonly value: T;
  readonly cost: number;
}

/** Settings and what they take. */
export interface Kept<S, M extends RunMemory> {
  readonly settings: S;
  readonly memory: M;
  /** Whether that is within the budget. */
  readonly fits: boolean;
}

/** A number that is asked for and its halves down to the least one. */
export function halvings(
  asked: number,
  least: number,
  cost: (value: number) => number,
): Tried<number>[] {
  const tried = [{ value: asked, cost: 0 }];
  for (let value = asked; value > least;) {
    value = Math.max(least, Math.ceil(value / 2));
    tried.push({ value, cost: tried.at(-1)!.cost + cost(value) });
  }
  return tried;
}

/** Sampling as it is asked for, and with the adapter apart, which takes less and is slower. */
export function adapters(asked: SampledAdapter): Tried<SampledAdapter>[] {
  const apart: Tried<SampledAdapter> = { value: "apart", cost: asked === "apart" ? 0 : 1 };
  return asked === "apart" ? [apart] : [{ value: asked, cost: 0 }, apart];
}

/**
 * The first of the settings, in the order of their costs, that fits a budget; where none does, the last
 * one.
 *
 * @param all Those asked for first, those that take least last.
 * @param budget In bytes.
 */
export function cheapestFit<S, M extends RunMemory>(
  all: readonly Tried<S>[],
  budget: number,
  estimate: (settings: S) => M,
): Kept<S, M> {
  const measure = (settings: S): Kept<S, M> => {
    const memory = estimate(settings);
    return { settings, memory, fits: totalBytes(memory) <= budget };
  };
  // Where the smallest does not fit nothing does.
  const smallest = measure(all.at(-1)!.value);
  if (!smallest.fits) return smallest;
  for (const { value } of all.toSorted((a, b) => a.cost - b.cost)) {
    const kept = measure(value);
    if (kept.fits) return kept;
  }
  return smallest;
}
