/**
 * The wrappers of the short form: judges over judges, by name.
 *
 * @module
 */

import type { PreferenceOracle } from "../../core/oracle.ts";
import { cachedJudge, type PairStore } from "../cached_judge.ts";
import { orderSwapJudge } from "../order_swap.ts";
import { panelJudge } from "../panel_judge.ts";
import { noisyJudge, temperedJudge } from "../reshaped_judge.ts";

/** Names of wrappers. */
export type WrapperName = "swap" | "cached" | "noisy" | "tempered" | "majority" | "share";

/** A wrapper: what may stand in it, and what it makes. */
export interface Wrapper {
  /** Whether it takes several judges. */
  readonly several: boolean;
  /** Names of its options that are numbers. */
  readonly options: readonly string[];
  /** Those of them of which one must be given. */
  readonly needs: readonly string[];
  /** Whether it takes a file. */
  readonly file: boolean;
  /** @throws {RangeError} When an option is out of range. */
  make(
    oracles: readonly PreferenceOracle[],
    options: Readonly<Record<string, number>>,
    store: PairStore | undefined,
  ): PreferenceOracle;
}

const plain = { several: false, options: [], needs: [], file: false };

/** Every wrapper. */
export const wrappers: Readonly<Record<WrapperName, Wrapper>> = {
  swap: { ...plain, make: ([oracle]) => orderSwapJudge(oracle!) },
  cached: { ...plain, file: true, make: ([oracle], _, store) => cachedJudge(oracle!, store) },
  noisy: {
    ...plain,
    options: ["noise", "flip", "seed"],
    needs: ["noise", "flip"],
    make: ([oracle], options) => noisyJudge(oracle!, options),
  },
  tempered: {
    ...plain,
    options: ["temperature"],
    needs: ["temperature"],
    make: ([oracle], { temperature }) => temperedJudge(oracle!, temperature!),
  },
  majority: { ...plain, several: true, make: (oracles) => panelJudge(oracles) },
  share: { ...plain, several: true, make: (oracles) => panelJudge(oracles, { vote: "share" }) },
};
