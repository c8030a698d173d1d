/**
 * ggml's K-quants: blocks of 256 elements in groups of 16 or 32, whose scales are small integers times
 * one float16 of the block.
 *
 * | encoding | bytes | value of an element in group g |
 * |---|---|---|
 * | `q2_k` | 84 | d·s_g·q − dmin·m_g, q of 2 bits, s and m of 4, groups of 16 |
 * | `q3_k` | 110 | d·(s_g − 32)·(q − 4), q of 3 bits, s of 6, groups of 16 |
 * | `q4_k` | 144 | d·s_g·q − dmin·m_g, q of 4 bits, s and m of 6, groups of 32 |
 * | `q5_k` | 176 | as `q4_k` with q of 5 bits |
 * | `q6_k` | 210 | d·s_g·(q − 32), q of 6 bits, s an int8, groups of 16 |
 *
 * Source: ggml-org/ggml `src/ggml-quants.c`, `dequantize_row_q*_K`.
 *
 * @module
 */

import { type BlockFormat, float16At } from "./block_formats.ts";

const BLOCK = 256;

/** 16 bytes of two nibbles (s, m), 64 bytes of 2-bit q, f16 d, f16 dmin. */
export const q2_k: BlockFormat = {
  blockElements: BLOCK,
  blockBytes: 84,
  groupElements: 16,
  codeRange: [0, 3],
  shifted: true,
  unpack(bytes, at, codes, scales, shifts) {
    const d = float16At(bytes, at + 80);
    const dmin = float16At(bytes, at + 82);
    for (let g = 0; g < 16; g++) {
      scales[g] = d * (bytes[at + g]! & 15);
      shifts[g] = -dmin * (bytes[at + g]! >> 4);
    }
    twoBits(bytes, at + 16, codes);
  },
};

/** 32 bytes of third bits, 64 bytes of 2-bit q, 12 bytes of 6-bit s, f16 d. */
export const q3_k: BlockFormat = {
  blockElements: BLOCK,
  blockBytes: 110,
  groupElements: 16,
  codeRange: [-4, 3],
  shifted: false,
  unpack(bytes, at, codes, scales) {
    const d = float16At(bytes, at + 108);
    const packed = at + 96;
    for (let g = 0; g < 16; g++) { // 8 bytes of low nibbles, then 4 of high pairs
      const low = (bytes[packed + (g & 7)]! >> (g < 8 ? 0 : 4)) & 15;
      const high = (bytes[packed + 8 + (g & 3)]! >> (2 * (g >> 2))) & 3;
      scales[g] = d * ((low | (high << 4)) - 32);
    }
    twoBits(bytes, at + 32, codes);
    for (let i = 0; i < BLOCK; i++) { // a third bit that is set takes 4 away from the offset of 4
      codes[i]! -= (bytes[at + (i & 31)]! >> (i >> 5)) & 1 ? 0 : 4;
    }
  },
};

/** f16 d, f16 dmin, 12 bytes of 6-bit s and m, 128 bytes of two nibbles. */
export const q4_k: BlockFormat = {
  blockElements: BLOCK,
  blockBytes: 144,
  groupElements: 32,
  codeRange: [0, 15],
  shifted: true,
  unpack(bytes, at, codes, scales, shifts) {
    sixBitScales(bytes, at, scales, shifts);
    fourBits(bytes, at + 16, codes);
  },
};

/** f16 d, f16 dmin, 12 bytes of 6-bit s and m, 32 bytes of fifth bits, 128 bytes of two nibbles. */
export const q5_k: BlockFormat = {
  blockElements: BLOCK,
  blockBytes: 176,
  groupElements: 32,
  codeRange: [0, 31],
  shifted: true,
  unpack(bytes, at, codes, scales, shifts) {
    sixBitScales(bytes, at, scales, shifts);
    fourBits(bytes, at + 48, codes);
    for (let i = 0; i < BLOCK; i++) {
      codes[i]! += ((bytes[at + 16 + (i & 31)]! >> (i >> 5)) & 1) << 4;
    }
  },
};

/** 128 bytes of low nibbles, 64 bytes of high pairs, 16 × int8 s, f16 d. */
export const q6_k: BlockFormat = {
  blockElements: BLOCK,
  blockBytes: 210,
  groupElements: 16,
  codeRange: [-32, 31],
  shifted: false,
  unpack(bytes, at, codes, scales) {
    const d = float16At(bytes, at + 208);
    for (let g = 0; g < 16; g++) scales[g] = d * ((bytes[at + 192 + g]! << 24) >> 24);
    for (let i = 0; i < BLOCK; i++) {
      // Each half of 128: 64 bytes hold its low nibbles, 32 bytes its high pairs.
      const half = i >> 7;
      const inner = i & 127;
      const low = (bytes[at + 64 * half + (inner & 63)]! >> (inner < 64 ? 0 : 4)) & 15;
      const high = (bytes[at + 128 + 32 * half + (inner & 31)]! >> (2 * (inner >> 5))) & 3;
      codes[i] = (low | (high << 4)) - 32;
    }
  },
};

/** Each half of 128 elements takes 32 bytes; element i stands in byte i mod 32, bits 2·⌊i/32⌋. */
function twoBits(bytes: Uint8Array, at: number, codes: Int8Array): void {
  for (let i = 0; i < BLOCK; i++) {
    codes[i] = (bytes[at + 32 * (i >> 7) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
  }
}

/** Each 64 elements take 32 bytes: low nibbles are the first 32, high ones the others. */
function fourBits(bytes: Uint8Array, at: number, codes: Int8Array): void {
  for (let i = 0; i < BLOCK; i++) {
    codes[i] = (bytes[at + 32 * (i >> 6) + (i & 31)]! >> (i & 32 ? 4 : 0)) & 15;
  }
}

/** f16 d, f16 dmin, then 12 bytes: 4 of s and 4 of m in six bits, 4 of the others' low nibbles. */
function sixBitScales(
  bytes: Uint8Array,
  at: number,
  scales: Float32Array,
  shifts: Float32Array,
): void {
  const d = float16At(bytes, at);
  const dmin = float16At(bytes, at + 2);
  const packed = at + 4;
  for (let g = 0; g < 4; g++) {
    const [s, m, both] = [bytes[packed + g]!, bytes[packed + 4 + g]!, bytes[packed + 8 + g]!];
    scales[g] = d * (s & 63);
    shifts[g] = -dmin * (m & 63);
    scales[g + 4] = d * ((both & 15) | ((s >> 6) << 4));
    shifts[g + 4] = -dmin * ((both >> 4) | ((m >> 6) << 4));
  }
}
