/**
 * A hash of 128 bits, for keys of records and for seeding random streams. Not cryptographic.
 *
 * @module
 */

import type { Json } from "./journal.ts";

const encoder = new TextEncoder();
const C1 = 0x239b961b, C2 = 0xab0e9789, C3 = 0x38b34ae5, C4 = 0xa1e38b93;

/**
 * MurmurHash3 (x86, 128 bits) of bytes, or of a text's UTF-8.
 *
 * Source: Appleby, smhasher `MurmurHash3.cpp`, `MurmurHash3_x86_128`.
 *
 * @param data Bytes, or a text.
 * @param seed An unsigned integer of 32 bits.
 * @returns Four unsigned integers of 32 bits.
 *
 * @example
 * ```ts
 * import { hash128 } from "./hash.ts";
 * import assert from "node:assert/strict";
 * assert.deepEqual([...hash128("")], [0, 0, 0, 0]);
 * assert.equal(hash128("fox")[0]!.toString(16), hash128(new Uint8Array([102, 111, 120]))[0]!.toString(16));
 * ```
 */
export function hash128(data: Uint8Array | string, seed = 0): Uint32Array {
  const bytes = typeof data === "string" ? encoder.encode(data) : data;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length, blocks = length >>> 4;
  let h1 = seed | 0, h2 = h1, h3 = h1, h4 = h1;
  for (let block = 0; block < blocks; block++) {
    const at = block * 16;
    h1 ^= scramble(view.getInt32(at, true), C1, 15, C2);
    h1 = (Math.imul(rotate(h1, 19) + h2 | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= scramble(view.getInt32(at + 4, true), C2, 16, C3);
    h2 = (Math.imul(rotate(h2, 17) + h3 | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= scramble(view.getInt32(at + 8, true), C3, 17, C4);
    h3 = (Math.imul(rotate(h3, 15) + h4 | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= scramble(view.getInt32(at + 12, true), C4, 18, C1);
    h4 = (Math.imul(rotate(h4, 13) + h1 | 0, 5) + 0x32ac3b17) | 0;
  }
  const tail = [0, 0, 0, 0];
  for (let at = blocks * 16; at < length; at++) {
    const offset = at & 15;
    tail[offset >>> 2]! |= bytes[at]! << ((offset & 3) * 8);
  }
  h4 ^= scramble(tail[3]!, C4, 18, C1);
  h3 ^= scramble(tail[2]!, C3, 17, C4);
  h2 ^= scramble(tail[1]!, C2, 16, C3);
  h1 ^= scramble(tail[0]!, C1, 15, C2);
  h1 ^= length, h2 ^= length, h3 ^= length, h4 ^= length;
  h1 = (h1 + h2 + h3 + h4) | 0, h2 = (h2 + h1) | 0, h3 = (h3 + h1) | 0, h4 = (h4 + h1) | 0;
  h1 = finish(h1), h2 = finish(h2), h3 = finish(h3), h4 = finish(h4);
  h1 = (h1 + h2 + h3 + h4) | 0, h2 = (h2 + h1) | 0, h3 = (h3 + h1) | 0, h4 = (h4 + h1) | 0;
  return Uint32Array.of(h1, h2, h3, h4);
}

/**
 * A short name of a value: 32 hexadecimal digits of {@linkcode hash128} of its JSON. Properties count
 * in the order they stand.
 *
 * @example
 * ```ts
 * import { fingerprint } from "./hash.ts";
 * import assert from "node:assert/strict";
 * assert.equal(fingerprint(["a", 1]).length, 32);
 * assert.notEqual(fingerprint(["a", 1]), fingerprint(["a", "1"]));
 * ```
 */
export function fingerprint(value: Json): string {
  return [...hash128(JSON.stringify(value))]
    .map((word) => word.toString(16).padStart(8, "0")).join("");
}

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

function scramble(k: number, first: number, bits: number, second: number): number {
  return Math.imul(rotate(Math.imul(k, first), bits), second);
}

function finish(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
