/**
 * Weights that stay in blocks of 32, as onnxruntime's `MatMulNBits` takes them.
 *
 * w = d · (q − z) + o, with q of 4 or 8 bits and the kernel's own zero point z, 8 or 128. `q8_0` and
 * `q4_0` have no offset o; the offset of `q4_1` (w = d·q + m) is m + 8d. So a product is exact to the
 * checkpoint: x Wᵀ = MatMulNBits(x; q, d) + (sums of x over its blocks) · oᵀ, of which the second is 32
 * times smaller. A zero point that is a float would say the same and be 20 times slower. Kernels of our
 * own lay this out anew; see `native/kernels/panels.h`.
 *
 * Within a block, byte j holds elements 2j and 2j + 1, where ggml has j and j + 16.
 *
 * @module
 */

import type { Encoding } from "../../graph/encodings.ts";

/** Elements of a block. */
export const BLOCK = 32;

/** Layout of an encoding. */
export interface BlockFormat {
  readonly bits: 4 | 8;
  /** Whether there is an offset beside the scale. */
  readonly offsets: boolean;
}

/** The encodings that can stay as they are. */
export const blockFormats: { readonly [E in Encoding]?: BlockFormat } = {
  q8_0: { bits: 8, offsets: false },
  q4_0: { bits: 4, offsets: false },
  q4_1: { bits: 4, offsets: true },
};
