/**
 * Two policies decoded as one, token by token.
 *
 * @module
 */

import type { BoundExecutable, HostTensor } from "../../graph/mod.ts";
import { blockLogits } from "./choose_token.ts";
import type { Decoder } from "./generate.ts";

/**
 * A decoder of the geometric mixture π(y_t | x, y_<t) ∝ π_a(y_t | x, y_<t)^(1 − w) π_b(y_t | x, y_<t)^w
 * of two decoders on one vocabulary. Each keeps caches of its own; both see every token.
 *
 * The logits are (1 − w) log π_a + w log π_b, and the normalisers are theirs, so that a token's
 * log-probability is the mixture's.
 *
 * Source: Munos et al. 2023, arXiv:2312.00886, section 6; TRL `GeometricMixtureWrapper`.
 *
 * @param a The first, which has the share 1 − w.
 * @param b The second; both belong to the mixture from then on.
 * @param weight w in [0, 1].
 */
export function mixDecoders(a: Decoder, b: Decoder, weight: number): Decoder {
  const both = async (one: Promise<void>, other: Promise<void>): Promise<void> => {
    await Promise.all([one, other]);
  };
  return {
    prefill: mixed(a.prefill, b.prefill, weight),
    step: mixed(a.step, b.step, weight),
    admit: (copies) => both(a.admit(copies), b.admit(copies)),
    move: (moves) => both(a.move(moves), b.move(moves)),
    prefillRows: Math.min(a.prefillRows, b.prefillRows),
    slots: Math.min(a.slots, b.slots),
    capacity: Math.min(a.capacity, b.capacity),
    endOfTurnIds: a.endOfTurnIds,
    decode: (ids) => a.decode(ids),
    dispose: () => both(a.dispose(), b.dispose()),
  };
}

function mixed(a: BoundExecutable, b: BoundExecutable, weight: number): BoundExecutable {
  return {
    async run(inputs, options) {
      const first = await a.run(inputs, options);
      const second = await b.run(inputs, options);
      const shape = first.logits!.shape;
      const [rows, size] = shape as [number, number];
      const [p, q] = [first.logits!.data, second.logits!.data];
      const [logP, logQ] = [first.log_normalizer!.data, second.log_normalizer!.data];
      const logits = new Float32Array(p.length);
      for (let row = 0; row < rows; row++) {
        const shift = (1 - weight) * logP[row]! + weight * logQ[row]!;
        for (let at = row * size; at < (row + 1) * size; at++) {
          logits[at] = (1 - weight) * p[at]! + weight * q[at]! - shift;
        }
      }
      const inverseTemperature = inputs.inverse_temperature!.data[0]!;
      const blocks = Array.from(
        { length: rows },
        (_, row) =>
          blockLogits(logits.subarray(row * size, (row + 1) * size), 1 / inverseTemperature),
      );
      const joined = (part: "maxima" | "sums"): HostTensor => ({
        shape: [rows, blocks[0]![part].length],
        data: Float32Array.from(blocks.flatMap((one) => [...one[part]])),
      });
      return {
        logits: { shape, data: logits },
        log_normalizer: {
          shape: [rows],
          data: Float32Array.from(
            { length: rows },
            (_, row) => logSumExp(logits.subarray(row * size, (row + 1) * size)),
          ),
        },
        block_maxima: joined("maxima"),
        block_sums: joined("sums"),
      };
    },
    async dispose() {
      await a.dispose();
      await b.dispose();
    },
  };
}

/** log Σ exp(values). */
function logSumExp(values: Float32Array): number {
  let largest = -Infinity;
  for (const value of values) if (value > largest) largest = value;
  let sum = 0;
  for (const value of values) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}
