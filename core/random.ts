/**
 * Random streams that depend on a seed and on keys, and on nothing else: not on what was drawn before
 * from other streams, and not on the machine.
 *
 * @module
 */

import { hash128 } from "./hash.ts";

/** What names a stream beside its seed: a prompt id, a sample index … */
export type RandomKey = string | number;

/** A stream of random numbers. */
export interface RandomStream {
  /** The next number, uniform in [0, 1), a multiple of 2⁻⁵³. */
  next(): number;
}

/**
 * The stream of a seed and keys: sfc32 (Doty-Humphrey, PractRand), its state the 128-bit hash of the
 * seed and the keys.
 *
 * @example
 * ```ts
 * import { randomStream } from "./random.ts";
 * import assert from "node:assert/strict";
 * const first = randomStream(7, "prompt-1", 0).next();
 * assert.equal(randomStream(7, "prompt-1", 0).next(), first);
 * assert.notEqual(randomStream(7, "prompt-1", 1).next(), first);
 * assert.ok(0 <= first && first < 1);
 * ```
 */
export function randomStream(seed: number, ...keys: readonly RandomKey[]): RandomStream {
  const state = hash128(JSON.stringify([seed, ...keys]));
  let a = state[0]! | 0, b = state[1]! | 0, c = state[2]! | 0, counter = state[3]! | 0;
  const word = (): number => {
    const result = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + result | 0;
    return result >>> 0;
  };
  for (let round = 0; round < 12; round++) word();
  return {
    next() {
      const high = word() >>> 5, low = word() >>> 6;
      return (high * 67108864 + low) / 9007199254740992;
    },
  };
}

/**
 * A seed of its own for a part of a run.
 *
 * @returns An unsigned integer of 32 bits.
 *
 * @example
 * ```ts
 * import { deriveSeed } from "./random.ts";
 * import assert from "node:assert/strict";
 * assert.notEqual(deriveSeed(7, "responses", 1), deriveSeed(7, "responses", 2));
 * ```
 */
export function deriveSeed(seed: number, ...keys: readonly RandomKey[]): number {
  return hash128(JSON.stringify([seed, ...keys]), 1)[0]!;
}

/**
 * A random order of the items (Fisher–Yates); the array given is unchanged.
 *
 * @example
 * ```ts
 * import { randomStream, shuffle } from "./random.ts";
 * import assert from "node:assert/strict";
 * const items = shuffle([1, 2, 3], randomStream(7));
 * assert.deepEqual([...items].sort(), [1, 2, 3]);
 * ```
 */
export function shuffle<T>(items: readonly T[], stream: RandomStream): T[] {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(stream.next() * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

/**
 * A draw from the normal distribution of mean 0 and variance 1 (Box–Muller; takes two numbers).
 *
 * @example
 * ```ts
 * import { normal } from "./random.ts";
 * import assert from "node:assert/strict";
 * const draws = [1 - Math.exp(-2), 0];
 * assert.ok(Math.abs(normal({ next: () => draws.shift()! }) - 2) < 1e-12);
 * ```
 */
export function normal(stream: RandomStream): number {
  const radius = Math.sqrt(-2 * Math.log1p(-stream.next()));
  return radius * Math.cos(2 * Math.PI * stream.next());
}
