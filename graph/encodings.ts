/**
 * How the elements of a stored tensor are packed into bytes, and how they become float32.
 *
 * The names and layouts are those of safetensors (`f32`, `f16`, `bf16`) and of ggml's block formats
 * (`ggml-quants.h`): a block holds 32 elements of one row. All numbers are little-endian.
 *
 * | encoding | bits per element | layout |
 * |---|---|---|
 * | `q8_0` `q4_0` `q4_1` `q5_0` `q5_1` `iq4_nl` | 8.5, 4.5, 5, 5.5, 6, 4.5 | `block_formats.ts` |
 * | `q2_k` `q3_k` `q4_k` `q5_k` `q6_k` | 2.625, 3.4375, 4.5, 5.5, 6.5625 | `k_quants.ts` |
 *
 * @module
 */

import {
  type BlockFormat,
  float16Table,
  iq4_nl,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
} from "./block_formats.ts";
import { float32ToFloat16 } from "./float16.ts";
import { q2_k, q3_k, q4_k, q5_k, q6_k } from "./k_quants.ts";

/** Name of an encoding whose blocks are integers with scales. */
export type BlockEncoding = keyof typeof blockFormats;

/** Name of an element encoding. */
export type Encoding = "f32" | "f16" | "bf16" | BlockEncoding;

/** Layout and decoder of one encoding. */
export interface EncodingFormat {
  /** Elements per block; a row holds a whole number of blocks. */
  readonly blockElements: number;
  /** Bytes per block. */
  readonly blockBytes: number;
  /** Decodes whole blocks. Neither length is checked here; see {@linkcode decode}. */
  readonly decode: (bytes: Uint8Array, out: Float32Array) => void;
}

/** How the blocks of each block encoding are taken apart. */
export const blockFormats: {
  readonly [
    E in
      | "q8_0"
      | "q4_0"
      | "q4_1"
      | "q5_0"
      | "q5_1"
      | "iq4_nl"
      | "q2_k"
      | "q3_k"
      | "q4_k"
      | "q5_k"
      | "q6_k"
  ]: BlockFormat;
} = { q8_0, q4_0, q4_1, q5_0, q5_1, iq4_nl, q2_k, q3_k, q4_k, q5_k, q6_k };

/** Every encoding's format. */
export const encodings: { readonly [E in Encoding]: EncodingFormat } = {
  f32: { blockElements: 1, blockBytes: 4, decode: decodeF32 },
  f16: { blockElements: 1, blockBytes: 2, decode: decodeF16 },
  bf16: { blockElements: 1, blockBytes: 2, decode: decodeBf16 },
  q8_0: blocks(q8_0),
  q4_0: blocks(q4_0),
  q4_1: blocks(q4_1),
  q5_0: blocks(q5_0),
  q5_1: blocks(q5_1),
  iq4_nl: blocks(iq4_nl),
  q2_k: blocks(q2_k),
  q3_k: blocks(q3_k),
  q4_k: blocks(q4_k),
  q5_k: blocks(q5_k),
  q6_k: blocks(q6_k),
};

/**
 * Bytes that `elements` elements take.
 *
 * @throws {RangeError} If `elements` is not a whole number of blocks.
 *
 * @example
 * ```ts
 * import { encodedByteLength } from "./encodings.ts";
 * import { strict as assert } from "node:assert";
 *
 * assert.equal(encodedByteLength("q4_1", 64), 40);
 * ```
 */
export function encodedByteLength(encoding: Encoding, elements: number): number {
  const { blockElements, blockBytes } = encodings[encoding];
  if (!Number.isSafeInteger(elements) || elements < 0 || elements % blockElements !== 0) {
    throw new RangeError(
      `Cannot size a ${encoding} tensor as its elements must be a multiple of ${blockElements}: ${elements}`,
    );
  }
  return elements / blockElements * blockBytes;
}

/**
 * Decodes `bytes` into `out`, which takes exactly their number of elements.
 *
 * @throws {RangeError} If `bytes` does not have the encoded length of `out`.
 *
 * @example
 * ```ts
 * import { decode } from "./encodings.ts";
 * import { strict as assert } from "node:assert";
 *
 * const out = new Float32Array(2);
 * decode("bf16", Uint8Array.of(0x80, 0x3f, 0x00, 0xc0), out);
 * assert.deepEqual([...out], [1, -2]);
 * ```
 */
export function decode(encoding: Encoding, bytes: Uint8Array, out: Float32Array): void {
  const expected = encodedByteLength(encoding, out.length);
  if (bytes.length !== expected) {
    throw new RangeError(
      `Cannot decode ${out.length} ${encoding} elements as they must come in ${expected} bytes: ${bytes.length}`,
    );
  }
  encodings[encoding].decode(bytes, out);
}

/** Encodings that float32 values can be put into. */
export type FloatEncoding = "f32" | "f16" | "bf16" | "q8_0";

/**
 * Encodes float32 values: to `f16` and `bf16` rounding to nearest, ties to even, to `q8_0` as ggml
 * does.
 *
 * @param values A whole number of blocks.
 *
 * @example
 * ```ts
 * import { encodeFloats } from "./encodings.ts";
 * import { strict as assert } from "node:assert";
 *
 * assert.deepEqual([...encodeFloats("f16", Float32Array.of(1, -2))], [0x00, 0x3c, 0x00, 0xc0]);
 * ```
 */
export function encodeFloats(encoding: FloatEncoding, values: Float32Array): Uint8Array {
  switch (encoding) {
    case "f32": {
      const bytes = new Uint8Array(values.length * 4);
      if (littleEndian) {
        bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      } else {
        const view = new DataView(bytes.buffer);
        for (let i = 0; i < values.length; i++) view.setFloat32(i * 4, values[i]!, true);
      }
      return bytes;
    }
    case "f16":
    case "bf16": {
      const bytes = new Uint8Array(values.length * 2);
      const round = encoding === "f16" ? float32ToFloat16 : float32ToBfloat16;
      for (let i = 0; i < values.length; i++) {
        const bits = round(values[i]!);
        bytes[2 * i] = bits & 0xff;
        bytes[2 * i + 1] = bits >> 8;
      }
      return bytes;
    }
    case "q8_0":
      return encodeQ8_0(values);
    default:
      throw new TypeError(
        `Cannot encode floats as the encoding must be f32, f16, bf16 or q8_0: ${encoding satisfies never}`,
      );
  }
}

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
const floatScratch = new Float32Array(1);
const bitScratch = new Uint32Array(floatScratch.buffer);

function float32ToBfloat16(value: number): number {
  floatScratch[0] = value;
  const bits = bitScratch[0]!;
  if (value !== value) return (bits >>> 16) | 0x40; // stays a NaN when cut
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/**
 * d = max |x| / 127 and q = x / d, rounded away from zero at ties, all in float32; d is stored as
 * float16. Source: `quantize_row_q8_0_ref` in ggml's `ggml-quants.c`.
 */
function encodeQ8_0(values: Float32Array): Uint8Array {
  const { fround, abs, floor } = Math;
  const bytes = new Uint8Array(encodedByteLength("q8_0", values.length));
  for (let i = 0, at = 0; i < values.length; i += 32, at += 34) {
    let most = 0;
    for (let j = i; j < i + 32; j++) most = Math.max(most, abs(values[j]!));
    const d = fround(most / 127);
    const inverse = d === 0 ? 0 : fround(1 / d);
    const bits = float32ToFloat16(d);
    bytes[at] = bits & 0xff;
    bytes[at + 1] = bits >> 8;
    for (let j = 0; j < 32; j++) {
      const x = fround(values[i + j]! * inverse);
      const q = floor(abs(x) + 0.5);
      bytes[at + 2 + j] = x < 0 ? -q : q;
    }
  }
  return bytes;
}

function decodeF32(bytes: Uint8Array, out: Float32Array): void {
  if (littleEndian) {
    new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes);
    return;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(i * 4, true);
}

function decodeF16(bytes: Uint8Array, out: Float32Array): void {
  const table = float16Table();
  for (let i = 0, at = 0; i < out.length; i++, at += 2) {
    out[i] = table[bytes[at]! | (bytes[at + 1]! << 8)]!;
  }
}

function decodeBf16(bytes: Uint8Array, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0, at = 0; i < bits.length; i++, at += 2) {
    bits[i] = (bytes[at]! << 16) | (bytes[at + 1]! << 24);
  }
}

/** The encoding that a block format gives. */
function blocks(format: BlockFormat): EncodingFormat {
  const { blockElements, blockBytes } = format;
  return {
    blockElements,
    blockBytes,
    decode: (bytes, out) => decodeBlocks(format, bytes, out),
  };
}

function decodeBlocks(format: BlockFormat, bytes: Uint8Array, out: Float32Array): void {
  const { blockElements, blockBytes, groupElements, shifted } = format;
  const groups = blockElements / groupElements;
  const codes = new Int8Array(blockElements);
  const scales = new Float32Array(groups);
  const shifts = new Float32Array(groups);
  for (let at = 0, o = 0; o < out.length; at += blockBytes, o += blockElements) {
    format.unpack(bytes, at, codes, scales, shifts);
    for (let g = 0, i = 0; g < groups; g++) {
      const scale = scales[g]!;
      const end = i + groupElements;
      if (shifted) {
        const shift = shifts[g]!;
        for (; i < end; i++) out[o + i] = scale * codes[i]! + shift;
      } else {
        for (; i < end; i++) out[o + i] = scale * codes[i]!;
      }
    }
  }
}
