/**
 * ggml's block formats with one scale per 32 elements, as integers.
 *
 * In the formats of 4 and 5 bits byte j holds element j in its low and element j + 16 in its high
 * nibble. Source: ggml-org/ggml `src/ggml-quants.c`, `dequantize_row_*`.
 *
 * @module
 */

import { float16ToFloat32 } from "./float16.ts";

/**
 * A format whose blocks are integers with scales: the value of element i of a block is
 *
 *     scale[g]·code[i] + shift[g],   g = ⌊i / groupElements⌋
 *
 * A device that multiplies by small integers can hold such a tensor without loss, whatever its format.
 *
 * Law: scale·code is exact in float32, so that the value has one rounding.
 */
export interface BlockFormat {
  /** Elements per block; a row holds a whole number of blocks. */
  readonly blockElements: number;
  /** Bytes per block. */
  readonly blockBytes: number;
  /** Elements that share a scale and a shift; divides `blockElements`. */
  readonly groupElements: 16 | 32;
  /** Smallest and largest code. */
  readonly codeRange: readonly [least: number, most: number];
  /** Whether there are shifts. */
  readonly shifted: boolean;
  /**
   * Takes one block apart.
   *
   * @param bytes Holds the block at `at`.
   * @param codes [blockElements].
   * @param scales [blockElements / groupElements].
   * @param shifts As many; left alone where the format has none.
   */
  unpack(
    bytes: Uint8Array,
    at: number,
    codes: Int8Array,
    scales: Float32Array,
    shifts: Float32Array,
  ): void;
}

let cachedTable: Float32Array | undefined;

/** The float32 of every float16 bit pattern; 256 KiB, made on first use. */
export function float16Table(): Float32Array {
  return cachedTable ??= Float32Array.from({ length: 65536 }, (_, bits) => float16ToFloat32(bits));
}

/** The float16 at a position. */
export function float16At(bytes: Uint8Array, at: number): number {
  return float16Table()[bytes[at]! | (bytes[at + 1]! << 8)]!;
}

const block32 = { blockElements: 32, groupElements: 32 } as const;

/** f16 d, 32 × int8 q: d·q. */
export const q8_0: BlockFormat = {
  ...block32,
  blockBytes: 34,
  codeRange: [-128, 127],
  shifted: false,
  unpack(bytes, at, codes, scales) {
    scales[0] = float16At(bytes, at);
    for (let j = 0; j < 32; j++) codes[j] = bytes[at + 2 + j]!;
  },
};

/** f16 d, 16 bytes of two nibbles q: d·(q − 8). */
export const q4_0: BlockFormat = {
  ...block32,
  blockBytes: 18,
  codeRange: [-8, 7],
  shifted: false,
  unpack(bytes, at, codes, scales) {
    scales[0] = float16At(bytes, at);
    nibbles(bytes, at + 2, codes, -8);
  },
};

/** f16 d, f16 m, 16 bytes of two nibbles q: d·q + m. */
export const q4_1: BlockFormat = {
  ...block32,
  blockBytes: 20,
  codeRange: [0, 15],
  shifted: true,
  unpack(bytes, at, codes, scales, shifts) {
    scales[0] = float16At(bytes, at);
    shifts[0] = float16At(bytes, at + 2);
    nibbles(bytes, at + 4, codes, 0);
  },
};

/** f16 d, 32 fifth bits, 16 bytes of two nibbles: d·(q − 16). */
export const q5_0: BlockFormat = {
  ...block32,
  blockBytes: 22,
  codeRange: [-16, 15],
  shifted: false,
  unpack(bytes, at, codes, scales) {
    scales[0] = float16At(bytes, at);
    nibbles(bytes, at + 6, codes, -16);
    fifthBits(bytes, at + 2, codes);
  },
};

/** f16 d, f16 m, 32 fifth bits, 16 bytes of two nibbles: d·q + m. */
export const q5_1: BlockFormat = {
  ...block32,
  blockBytes: 24,
  codeRange: [0, 31],
  shifted: true,
  unpack(bytes, at, codes, scales, shifts) {
    scales[0] = float16At(bytes, at);
    shifts[0] = float16At(bytes, at + 2);
    nibbles(bytes, at + 8, codes, 0);
    fifthBits(bytes, at + 4, codes);
  },
};

/** The values that IQ4_NL's nibbles stand for (`kvalues_iq4nl`). */
const IQ4_NL_VALUES = Int8Array.of(
  ...[-127, -104, -83, -65, -49, -35, -22, -10],
  ...[1, 13, 25, 38, 53, 69, 89, 113],
);

/** f16 d, 16 bytes of two nibbles q: d·v(q) with v a fixed table. */
export const iq4_nl: BlockFormat = {
  ...block32,
  blockBytes: 18,
  codeRange: [-127, 113],
  shifted: false,
  unpack(bytes, at, codes, scales) {
    scales[0] = float16At(bytes, at);
    for (let j = 0; j < 16; j++) {
      const q = bytes[at + 2 + j]!;
      codes[j] = IQ4_NL_VALUES[q & 15]!;
      codes[j + 16] = IQ4_NL_VALUES[q >> 4]!;
    }
  },
};

function nibbles(bytes: Uint8Array, at: number, codes: Int8Array, offset: number): void {
  for (let j = 0; j < 16; j++) {
    const q = bytes[at + j]!;
    codes[j] = (q & 15) + offset;
    codes[j + 16] = (q >> 4) + offset;
  }
}

/** Bit j of 32 adds 16 to element j. */
function fifthBits(bytes: Uint8Array, at: number, codes: Int8Array): void {
  for (let j = 0; j < 32; j++) codes[j]! += ((bytes[at + (j >> 3)]! >> (j & 7)) & 1) << 4;
}
