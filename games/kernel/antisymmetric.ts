/**
 * Win rates against a mixture by WebAssembly SIMD, for large games.
 *
 * @module
 */

import type { PreferenceMatrix } from "../../core/exploitability.ts";
import type { Payoff } from "../dynamics/iterates.ts";

/** Answers from which a kernel is worth its start. */
export const KERNEL_SIZE = 64;

/** In which numbers win rates are computed. */
export type PayoffPrecision = "float32" | "float64";

/** What wabt makes of antisymmetric.wat and antisymmetric_float64.wat; a test assembles them again. */
export const KERNELS: Readonly<Record<PayoffPrecision, string>> = {
  float32:
    "AGFzbQEAAAABCAFgBH9/f38AAwIBAAUDAQABBxUCBm1lbW9yeQIACG11bHRpcGx5AAAKngQBmwQCBH8MeyACIABB" +
    "AnRqIQcgAiEEA0AgBP0JAgAhCCAE/QkCBCEJIAT9CQIIIQogBP0JAgwhCyAE/QAEACEQIAH9AAQAIBD95gEhDCAB" +
    "/QAEECAQ/eYBIQ0gAf0ABCAgEP3mASEOIAH9AAQwIBD95gEhDyABQcAAaiEBIARBEGohBSADIAUgAmtqIQYCQCAF" +
    "IAdPDQADQCAF/QAEACEQIAb9AAQAIRH9DAAAAAAAAAAAAAAAAAAAAAAhEiAB/QAEACETIBMgECAM/YUCIQwgEyAI" +
    "IBH9hgIhESAB/QAEECETIBMgECAN/YUCIQ0gEyAJIBL9hgIhEiAB/QAEICETIBMgECAO/YUCIQ4gEyAKIBH9hgIh" +
    "ESAB/QAEMCETIBMgECAP/YUCIQ8gEyALIBL9hgIhEiAGIBEgEv3kAf0LBAAgAUHAAGohASAFQRBqIQUgBkEQaiEG" +
    "IAUgB0kNAAsLIAMgBCACa2ohBiAMIA39DQABAgMQERITCAkKCxgZGhsgDCAN/Q0EBQYHFBUWFwwNDg8cHR4f/eQB" +
    "IREgDiAP/Q0AAQIDEBESEwgJCgsYGRobIA4gD/0NBAUGBxQVFhcMDQ4PHB0eH/3kASESIBEgEv0NAAECAwQFBgcQ" +
    "ERITFBUWFyARIBL9DQgJCgsMDQ4PGBkaGxwdHh/95AEhEyAGIAb9AAQAIBP95AH9CwQAIARBEGohBCAEIAdJDQAL" +
    "Cw==",
  float64:
    "AGFzbQEAAAABCAFgBH9/f38AAwIBAAUDAQABBxUCBm1lbW9yeQIACG11bHRpcGx5AAAKqgQBpwQCBH8NeyACIABBA3RqIQcg" +
    "AiEEA0AgBP0KAwAhCCAE/QoDCCEJIAT9CgMQIQogBP0KAxghCyAE/QAEACEQIAT9AAQQIREgAf0ABEAgESAB/QAEACAQ/fIB" +
    "/YcCIQwgAf0ABFAgESAB/QAEECAQ/fIB/YcCIQ0gAf0ABGAgESAB/QAEICAQ/fIB/YcCIQ4gAf0ABHAgESAB/QAEMCAQ/fIB" +
    "/YcCIQ8gAUGAAWohASAEQSBqIQUgAyAFIAJraiEGAkAgBSAHTw0AA0AgBf0ABAAhECAG/QAEACES/QwAAAAAAAAAAAAAAAAA" +
    "AAAAIRMgAf0ABAAhFCAUIBAgDP2HAiEMIBQgCCAS/YgCIRIgAf0ABBAhFCAUIBAgDf2HAiENIBQgCSAT/YgCIRMgAf0ABCAh" +
    "FCAUIBAgDv2HAiEOIBQgCiAS/YgCIRIgAf0ABDAhFCAUIBAgD/2HAiEPIBQgCyAT/YgCIRMgBiASIBP98AH9CwQAIAFBwABq" +
    "IQEgBUEQaiEFIAZBEGohBiAFIAdJDQALCyADIAQgAmtqIQYgBiAG/QAEACAMIA39DQABAgMEBQYHEBESExQVFhcgDCAN/Q0I" +
    "CQoLDA0ODxgZGhscHR4f/fAB/fAB/QsEACAGIAb9AAQQIA4gD/0NAAECAwQFBgcQERITFBUWFyAOIA/9DQgJCgsMDQ4PGBka" +
    "GxwdHh/98AH98AH9CwQQIARBIGohBCAEIAdJDQALCw==",
};

/** Rows of a tile; n is a multiple of it. */
const ROWS = 4;
const PAGE = 1 << 16;

interface Kernel {
  readonly memory: WebAssembly.Memory;
  multiply(n: number, a: number, x: number, y: number): void;
}

/** Numbers of a kernel, and how many stand in a vector, which is how many columns a tile has. */
const NUMBERS = {
  float32: { array: Float32Array, lanes: 4 },
  float64: { array: Float64Array, lanes: 2 },
} as const;

/** Whether the engine has what the kernels need: relaxed SIMD. */
export function hasKernels(): boolean {
  return relaxed ??= WebAssembly.validate(kernelBytes(KERNELS.float32));
}

let relaxed: boolean | undefined;

/** A kernel's bytes. */
export function kernelBytes(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/**
 * The payoff of a game, computed by WebAssembly SIMD.
 *
 * P − ½ is antisymmetric, so only the half above the diagonal is kept, in tiles, and each of its cells
 * is read once: half the memory traffic of a product with P, and in float32 a quarter of one in float64.
 * In float32 preferences and mixtures are rounded, and win rates are off by some 1e-8; in float64 they
 * are those of a plain loop but for the order of the sum.
 *
 * @throws {TypeError} When the engine has no relaxed SIMD.
 */
export function kernelPayoff(
  { size, preferences }: PreferenceMatrix,
  precision: PayoffPrecision,
): Payoff {
  if (!hasKernels()) {
    throw new TypeError(
      `Cannot play in ${precision} by a kernel as WebAssembly must have relaxed SIMD: it has not`,
    );
  }
  const { memory, multiply } = new WebAssembly.Instance(
    new WebAssembly.Module(kernelBytes(KERNELS[precision])),
  ).exports as unknown as Kernel;
  const { array, lanes } = NUMBERS[precision];
  const bytes = array.BYTES_PER_ELEMENT;
  const n = Math.ceil(size / ROWS) * ROWS, strips = n / ROWS;
  const cells = strips * (strips + 1) / 2 * ROWS * ROWS;
  const x = 0, y = bytes * n, a = 2 * bytes * n;
  const total = a + bytes * cells;
  memory.grow(Math.max(0, Math.ceil(total / PAGE) - memory.buffer.byteLength / PAGE));
  const left = new array(memory.buffer, a, cells);
  let at = 0;
  for (let row = 0; row < n; row += ROWS) {
    for (let column = row; column < n; column += lanes) {
      for (let i = row; i < row + ROWS; i++) {
        for (let j = column; j < column + lanes; j++, at++) {
          if (i < size && j < size) left[at] = preferences[i * size + j]! - 0.5;
        }
      }
    }
  }
  const mixed = new array(memory.buffer, x, n), won = new array(memory.buffer, y, n);
  return (mixture, winRates) => {
    mixed.set(mixture);
    won.fill(0);
    multiply(n, a, x, y);
    // The mixture's sum is 1, so that P p = ½ + (P − ½) p.
    for (let i = 0; i < size; i++) winRates[i] = 0.5 + won[i]!;
  };
}
