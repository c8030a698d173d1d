/**
 * Mixtures of log weights by WebAssembly SIMD, for large games.
 *
 * @module
 */

import { kernelBytes } from "./antisymmetric.ts";

/** What wabt makes of softmax.wat; a test assembles it again. */
// deno-fmt-ignore
export const SOFTMAX =
  "AGFzbQEAAAABBQFgAX8AAwIBAAUDAQABBxQCBm1lbW9yeQIAB3NvZnRtYXgAAAqHBgGEBgICfxl7IABBA3QhAkEA/QAEACEDA0Ag" +
  "AyAB/QAEAP33ASEDIAFBEGohASABIAJJDQALIAMgAyAD/Q0ICQoLDA0ODwABAgMEBQYH/fcBIQP9DP6CK2VHFfc//oIrZUcV9z8h" +
  "Cv0MAAAAAAAAOEMAAAAAAAA4QyEL/QwAAOD+Qi7mPwAA4P5CLuY/IQz9DHY8eTXvOeo9djx5Ne856j0hDf0MCW2oE0YS5j0JbagT" +
  "RhLmPSEb/QyY2Pjv2O4hPpjY+O/Y7iE+IRr9DORE9WdF5lo+5ET1Z0XmWj4hGf0MXJ94t09+kj5cn3i3T36SPiEY/Qw0x1al4x3H" +
  "PjTHVqXjHcc+IRf9DBqgARqgAfo+GqABGqAB+j4hFv0MGqABGqABKj8aoAEaoAEqPyEV/QwXbMEWbMFWPxdswRZswVY/IRT9DBER" +
  "EREREYE/ERERERERgT8hE/0MVVVVVVVVpT9VVVVVVVWlPyES/QxVVVVVVVXFP1VVVVVVVcU/IRH9DAAAAAAAAOA/AAAAAAAA4D8h" +
  "Dv0MAAAAAAAA8D8AAAAAAADwPyEP/QwAAAAAACCGwAAAAAAAIIbAIRBBACEBA0AgAf0ABAAgA/3xASEEIAQgCv3yASAL/fABIQUg" +
  "BSAL/fEBIQYgBiAMIAT9iAIhByAGIA0gB/2IAiEHIBshCCAIIAcgGv2HAiEIIAggByAZ/YcCIQggCCAHIBj9hwIhCCAIIAcgF/2H" +
  "AiEIIAggByAW/YcCIQggCCAHIBX9hwIhCCAIIAcgFP2HAiEIIAggByAT/YcCIQggCCAHIBL9hwIhCCAIIAcgEf2HAiEIIAggByAO" +
  "/YcCIQggCCAHIA/9hwIhCCAIIAcgD/2HAiEIIAggBUE0/csB/c4BIAQgEP1J/U8hCCABIAj9CwQAIAkgCP3wASEJIAFBEGohASAB" +
  "IAJJDQALIAkgCSAJ/Q0ICQoLDA0ODwABAgMEBQYH/fABIQlBACEBA0AgASAB/QAEACAJ/fMB/QsEACABQRBqIQEgASACSQ0ACws=";

const PAGE = 1 << 16;

interface Kernel {
  readonly memory: WebAssembly.Memory;
  softmax(count: number): void;
}

let kernel: Kernel | undefined;
let numbers = new Float64Array();

/**
 * p_i = exp(v_i − max v) / Σ_j exp(v_j − max v), into `mixture`.
 *
 * Exponentials are within two units in the last place of Math.exp's, and 0 where they are below
 * exp(−708); the sum is taken in pairs.
 *
 * @throws {WebAssembly.CompileError} When the engine has no relaxed SIMD, see `hasKernels`.
 */
export function kernelSoftmax(logWeights: Float64Array, mixture: Float64Array): void {
  kernel ??= new WebAssembly.Instance(new WebAssembly.Module(kernelBytes(SOFTMAX)))
    .exports as unknown as Kernel;
  const { memory, softmax } = kernel;
  const size = logWeights.length, count = size + size % 2;
  if (numbers.length !== count) {
    const pages = Math.ceil(count * Float64Array.BYTES_PER_ELEMENT / PAGE);
    memory.grow(Math.max(0, pages - memory.buffer.byteLength / PAGE));
    numbers = new Float64Array(memory.buffer, 0, count);
  }
  numbers.set(logWeights);
  // Of a number that only fills a pair the exponential is 0.
  numbers.fill(-Infinity, size);
  softmax(count);
  mixture.set(size === count ? numbers : numbers.subarray(0, size));
}
