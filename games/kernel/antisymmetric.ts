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
    "AGFzbQEAAAABCAFgBH9/f38AAwIBAAUDAQABBxUCBm1lbW9yeQIACG11bHRpcGx5AAAK7ggB6wgCBX8MeyACIABBAnRq" +
    "IQcgAiEEA0AgBP0JAgAhCSAE/QkCBCEKIAT9CQIIIQsgBP0JAgwhDP0MAAAAAAAAAAAAAAAAAAAAACEN/QwAAAAAAAAA" +
    "AAAAAAAAAAAAIQ79DAAAAAAAAAAAAAAAAAAAAAAhD/0MAAAAAAAAAAAAAAAAAAAAACEQIAQgBCACa0E/cWshBSAFQcAA" +
    "aiEIA0AgBf0ABAAhESAB/QAEACARIA39hQIhDSAB/QAEECARIA79hQIhDiAB/QAEICARIA/9hQIhDyAB/QAEMCARIBD9" +
    "hQIhECABQcAAaiEBIAVBEGohBSAFIAhJDQALIAMgBSACa2ohBgJAIAUgB08NAANAIAX9AAQAIREgBv0ABAAhEiAB/QAE" +
    "ACETIBMgESAN/YUCIQ0gEyAJIBL9hgIhEiAB/QAEECETIBMgESAO/YUCIQ4gEyAKIBL9hgIhEiAB/QAEICETIBMgESAP" +
    "/YUCIQ8gEyALIBL9hgIhEiAB/QAEMCETIBMgESAQ/YUCIRAgEyAMIBL9hgIhEiAGIBL9CwQAIAFBwABqIQEgBUEQaiEF" +
    "IAZBEGohBiAF/QAEACERIAb9AAQAIRIgAf0ABAAhEyATIBEgDf2FAiENIBMgCSAS/YYCIRIgAf0ABBAhEyATIBEgDv2F" +
    "AiEOIBMgCiAS/YYCIRIgAf0ABCAhEyATIBEgD/2FAiEPIBMgCyAS/YYCIRIgAf0ABDAhEyATIBEgEP2FAiEQIBMgDCAS" +
    "/YYCIRIgBiAS/QsEACABQcAAaiEBIAVBEGohBSAGQRBqIQYgBf0ABAAhESAG/QAEACESIAH9AAQAIRMgEyARIA39hQIh" +
    "DSATIAkgEv2GAiESIAH9AAQQIRMgEyARIA79hQIhDiATIAogEv2GAiESIAH9AAQgIRMgEyARIA/9hQIhDyATIAsgEv2G" +
    "AiESIAH9AAQwIRMgEyARIBD9hQIhECATIAwgEv2GAiESIAYgEv0LBAAgAUHAAGohASAFQRBqIQUgBkEQaiEGIAX9AAQA" +
    "IREgBv0ABAAhEiAB/QAEACETIBMgESAN/YUCIQ0gEyAJIBL9hgIhEiAB/QAEECETIBMgESAO/YUCIQ4gEyAKIBL9hgIh" +
    "EiAB/QAEICETIBMgESAP/YUCIQ8gEyALIBL9hgIhEiAB/QAEMCETIBMgESAQ/YUCIRAgEyAMIBL9hgIhEiAGIBL9CwQA" +
    "IAFBwABqIQEgBUEQaiEFIAZBEGohBiAFIAdJDQALCyADIAQgAmtqIQYgDSAO/Q0AAQIDEBESEwgJCgsYGRobIA0gDv0N" +
    "BAUGBxQVFhcMDQ4PHB0eH/3kASESIA8gEP0NAAECAxAREhMICQoLGBkaGyAPIBD9DQQFBgcUFRYXDA0ODxwdHh/95AEh" +
    "FCASIBT9DQABAgMEBQYHEBESExQVFhcgEiAU/Q0ICQoLDA0ODxgZGhscHR4f/eQBIRMgBiAG/QAEACAT/eQB/QsEACAE" +
    "QRBqIQQgBCAHSQ0ACws=",
  float64:
    "AGFzbQEAAAABCAFgBH9/f38AAwIBAAUDAQABBxUCBm1lbW9yeQIACG11bHRpcGx5AAAKxggBwwgCBX8LeyACIABBA3Rq" +
    "IQcgAiEEA0AgBP0KAwAhCSAE/QoDCCEKIAT9CgMQIQsgBP0KAxghDP0MAAAAAAAAAAAAAAAAAAAAACEN/QwAAAAAAAAA" +
    "AAAAAAAAAAAAIQ79DAAAAAAAAAAAAAAAAAAAAAAhD/0MAAAAAAAAAAAAAAAAAAAAACEQIAQgBCACa0E/cWshBSAFQcAA" +
    "aiEIA0AgBf0ABAAhESAB/QAEACARIA39hwIhDSAB/QAEECARIA79hwIhDiAB/QAEICARIA/9hwIhDyAB/QAEMCARIBD9" +
    "hwIhECABQcAAaiEBIAVBEGohBSAFIAhJDQALIAMgBSACa2ohBgJAIAUgB08NAANAIAX9AAQAIREgBv0ABAAhEiAB/QAE" +
    "ACETIBMgESAN/YcCIQ0gEyAJIBL9iAIhEiAB/QAEECETIBMgESAO/YcCIQ4gEyAKIBL9iAIhEiAB/QAEICETIBMgESAP" +
    "/YcCIQ8gEyALIBL9iAIhEiAB/QAEMCETIBMgESAQ/YcCIRAgEyAMIBL9iAIhEiAGIBL9CwQAIAFBwABqIQEgBUEQaiEF" +
    "IAZBEGohBiAF/QAEACERIAb9AAQAIRIgAf0ABAAhEyATIBEgDf2HAiENIBMgCSAS/YgCIRIgAf0ABBAhEyATIBEgDv2H" +
    "AiEOIBMgCiAS/YgCIRIgAf0ABCAhEyATIBEgD/2HAiEPIBMgCyAS/YgCIRIgAf0ABDAhEyATIBEgEP2HAiEQIBMgDCAS" +
    "/YgCIRIgBiAS/QsEACABQcAAaiEBIAVBEGohBSAGQRBqIQYgBf0ABAAhESAG/QAEACESIAH9AAQAIRMgEyARIA39hwIh" +
    "DSATIAkgEv2IAiESIAH9AAQQIRMgEyARIA79hwIhDiATIAogEv2IAiESIAH9AAQgIRMgEyARIA/9hwIhDyATIAsgEv2I" +
    "AiESIAH9AAQwIRMgEyARIBD9hwIhECATIAwgEv2IAiESIAYgEv0LBAAgAUHAAGohASAFQRBqIQUgBkEQaiEGIAX9AAQA" +
    "IREgBv0ABAAhEiAB/QAEACETIBMgESAN/YcCIQ0gEyAJIBL9iAIhEiAB/QAEECETIBMgESAO/YcCIQ4gEyAKIBL9iAIh" +
    "EiAB/QAEICETIBMgESAP/YcCIQ8gEyALIBL9iAIhEiAB/QAEMCETIBMgESAQ/YcCIRAgEyAMIBL9iAIhEiAGIBL9CwQA" +
    "IAFBwABqIQEgBUEQaiEFIAZBEGohBiAFIAdJDQALCyADIAQgAmtqIQYgBiAG/QAEACANIA79DQABAgMEBQYHEBESExQV" +
    "FhcgDSAO/Q0ICQoLDA0ODxgZGhscHR4f/fAB/fAB/QsEACAGIAb9AAQQIA8gEP0NAAECAwQFBgcQERITFBUWFyAPIBD9" +
    "DQgJCgsMDQ4PGBkaGxwdHh/98AH98AH9CwQQIARBIGohBCAEIAdJDQALCw==",
};

/** Rows of a tile. */
const ROWS = 4;
/** Tiles that a kernel takes in one turn; n is a multiple of their columns. */
const TILES = 4;
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

/** A kernel's module, kept: engines compile it well only once it has run, for all of its instances. */
function moduleOf(precision: PayoffPrecision): WebAssembly.Module {
  return modules[precision] ??= new WebAssembly.Module(kernelBytes(KERNELS[precision]));
}

const modules: Partial<Record<PayoffPrecision, WebAssembly.Module>> = {};

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
  const { memory, multiply } = new WebAssembly.Instance(moduleOf(precision))
    .exports as unknown as Kernel;
  const { array, lanes } = NUMBERS[precision];
  const bytes = array.BYTES_PER_ELEMENT;
  const block = TILES * lanes;
  const n = Math.ceil(size / block) * block;
  const startOf = (row: number) => row - row % block;
  let cells = 0;
  for (let row = 0; row < n; row += ROWS) cells += ROWS * (n - startOf(row));
  const x = 0, y = bytes * n, a = 2 * bytes * n;
  const total = a + bytes * cells;
  memory.grow(Math.max(0, Math.ceil(total / PAGE) - memory.buffer.byteLength / PAGE));
  const left = new array(memory.buffer, a, cells);
  let at = 0;
  for (let row = 0; row < n; row += ROWS) {
    for (let column = startOf(row); column < n; column += lanes) {
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
