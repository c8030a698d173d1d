/**
 * Rotary position embedding and its scalings (Su et al. 2021, arXiv:2104.09864).
 *
 * Pair i of a head of size d turns by position · f_i, f_i = θ^(−2i/d). A scaling slows pairs down, so
 * that longer texts turn them no further than the texts that the model was trained on.
 *
 * Source: `modeling_rope_utils.py` of huggingface/transformers, whose numbers these are.
 *
 * @module
 */

import type { Dim, ProgramBuilder, Value } from "../../graph/mod.ts";
import type { RotaryPositions } from "./config.ts";

/** A scaling of the frequencies. `originalPositions` is the length the model was first trained for. */
export type RopeScaling =
  /** f / factor (Chen et al. 2023, arXiv:2306.15595). */
  | { readonly kind: "linear"; readonly factor: number; readonly originalPositions: number }
  /**
   * NTK-aware: beyond the original length the frequencies depend on how long the whole text is, so that
   * the probability of a token would depend on what follows it, and differ between prefixes that one
   * computation serves. Up to the original length it is no scaling; longer texts are refused.
   */
  | { readonly kind: "dynamic"; readonly factor: number; readonly originalPositions: number }
  /**
   * YaRN (Peng et al. 2023, arXiv:2309.00071): pairs that turn more than `betaFast` times over the
   * original length keep their frequency, those that turn less than `betaSlow` times get f / factor, a
   * ramp in between; queries and keys are multiplied by `attentionFactor`.
   */
  | {
    readonly kind: "yarn";
    readonly factor: number;
    readonly originalPositions: number;
    readonly attentionFactor: number;
    readonly betaFast: number;
    readonly betaSlow: number;
    /** Whether the ramp's ends are whole pairs. */
    readonly truncate: boolean;
  }
  /**
   * Llama 3: pairs with at least `highFrequencyFactor` turns over the original length keep their
   * frequency, those with at most `lowFrequencyFactor` get f / factor, in between both are mixed.
   */
  | {
    readonly kind: "llama3";
    readonly factor: number;
    readonly originalPositions: number;
    readonly lowFrequencyFactor: number;
    readonly highFrequencyFactor: number;
  };

/**
 * Positions that a scaling reaches, for a model whose configuration says `maxPositions`: the original
 * length for `linear` and perhaps `yarn`, the stretched one for `llama3`.
 */
export function stretchedPositions(maxPositions: number, scaling: RopeScaling | undefined): number {
  switch (scaling?.kind) {
    case undefined:
    case "llama3":
    case "dynamic":
      return maxPositions;
    case "linear":
    case "yarn":
      return Math.max(maxPositions, Math.floor(scaling.originalPositions * scaling.factor));
    default:
      return scaling satisfies never;
  }
}

/** YaRN's factor of queries and keys where a checkpoint names none. */
export function yarnAttentionFactor(factor: number): number {
  return factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1;
}

/**
 * Frequencies f_i of the pairs of a head, in radians per position.
 *
 * @param size d.
 * @returns [d/2]
 *
 * @example
 * ```ts
 * import { ropeFrequencies } from "./rope.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual(ropeFrequencies(4, 10_000), [1, 0.01]);
 * assert.deepEqual(ropeFrequencies(4, 10_000, { kind: "linear", factor: 4, originalPositions: 64 }), [
 *   0.25,
 *   0.0025,
 * ]);
 * ```
 */
export function ropeFrequencies(size: number, theta: number, scaling?: RopeScaling): number[] {
  const half = size / 2;
  const plain = Array.from({ length: half }, (_, i) => theta ** (-i / half));
  switch (scaling?.kind) {
    case undefined:
    case "dynamic":
      return plain;
    case "linear":
      return plain.map((frequency) => frequency / scaling.factor);
    case "yarn": {
      const kept = yarnKept(size, theta, scaling);
      return plain.map((f, i) => f * kept[i]! + f / scaling.factor * (1 - kept[i]!));
    }
    case "llama3": {
      const { factor, originalPositions, lowFrequencyFactor: low, highFrequencyFactor: high } =
        scaling;
      return plain.map((frequency) => {
        const turns = originalPositions * frequency / (2 * Math.PI);
        const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)));
        return frequency * kept + frequency / factor * (1 - kept);
      });
    }
    default:
      return scaling satisfies never;
  }
}

/** How much of each frequency YaRN keeps: 1 for fast pairs, 0 for slow ones. */
function yarnKept(
  size: number,
  theta: number,
  scaling: RopeScaling & { readonly kind: "yarn" },
): number[] {
  const { originalPositions, betaFast, betaSlow, truncate } = scaling;
  /** The pair that turns so many times over the original length. */
  const pairOf = (turns: number) =>
    size * Math.log(originalPositions / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
  const [first, last] = [pairOf(betaFast), pairOf(betaSlow)];
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  const high = Math.min(truncate ? Math.ceil(last) : last, size - 1);
  const width = high === low ? 0.001 : high - low;
  return Array.from(
    { length: size / 2 },
    (_, i) => 1 - Math.min(1, Math.max(0, (i - low) / width)),
  );
}

/** cos and sin of every token's angles, [B, T, d/2] each. */
export interface RotaryTables {
  /** Cosines, multiplied by the scaling's factor of queries and keys. */
  readonly cos: Value;
  /** Sines, multiplied likewise. */
  readonly sin: Value;
}

/**
 * The angles of some tokens.
 *
 * @param positions int32 [B, T].
 * @param size d.
 */
export function rotaryTables(
  g: ProgramBuilder,
  positions: Value,
  size: number,
  { theta, scaling }: Pick<RotaryPositions, "theta" | "scaling">,
): RotaryTables {
  const [batch, time] = positions.shape as [Dim, Dim];
  const half = size / 2;
  const frequencies = g.constant(ropeFrequencies(size, theta, scaling), [half]);
  const angles = g.mul(
    g.reshape(g.cast(positions, "float32"), [batch, time, 1]),
    frequencies,
  ); // [B, T, d/2]
  const amplitude = scaling?.kind === "yarn" ? scaling.attentionFactor : 1;
  const scaled = (x: Value) => amplitude === 1 ? x : g.mul(x, g.constant(amplitude));
  return { cos: scaled(g.cos(angles)), sin: scaled(g.sin(angles)) };
}
