/**
 * IEEE 754 binary16, as bit patterns.
 *
 * @module
 */

/**
 * The value of a binary16 bit pattern.
 *
 * @example
 * ```ts
 * import { float16ToFloat32 } from "./float16.ts";
 * import { strict as assert } from "node:assert";
 *
 * assert.equal(float16ToFloat32(0x3555), 0.333251953125);
 * ```
 */
export function float16ToFloat32(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

const floatScratch = new Float32Array(1);
const bitScratch = new Uint32Array(floatScratch.buffer);

/**
 * The nearest binary16 bit pattern, ties to even; values from 65520 on become infinite.
 *
 * @example
 * ```ts
 * import { float32ToFloat16 } from "./float16.ts";
 * import { strict as assert } from "node:assert";
 *
 * assert.equal(float32ToFloat16(1 / 3), 0x3555);
 * ```
 */
export function float32ToFloat16(value: number): number {
  floatScratch[0] = value;
  const bits = bitScratch[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) { // normal: rebias the exponent, round off 13 bits
    const rebased = magnitude - 0x38000000;
    return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13);
  }
  const scaled = Math.abs(floatScratch[0]) * 2 ** 24; // subnormal: in units of 2⁻²⁴
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  return sign | (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor);
}
