/**
 * Win rates against a mixture in float32, for large games.
 *
 * @module
 */

import type { PreferenceMatrix } from "../../core/exploitability.ts";
import type { Payoff } from "../dynamics/iterates.ts";

/** What wabt makes of antisymmetric.wat; a test assembles it again. */
export const KERNEL: string =
  "AGFzbQEAAAABCAFgBH9/f38AAwIBAAUDAQABBxUCBm1lbW9yeQIACG11bHRpcGx5AAAKngQBmwQCBH8MeyACIABB" +
  "AnRqIQcgAiEEA0AgBP0JAgAhCCAE/QkCBCEJIAT9CQIIIQogBP0JAgwhCyAE/QAEACEQIAH9AAQAIBD95gEhDCAB" +
  "/QAEECAQ/eYBIQ0gAf0ABCAgEP3mASEOIAH9AAQwIBD95gEhDyABQcAAaiEBIARBEGohBSADIAUgAmtqIQYCQCAF" +
  "IAdPDQADQCAF/QAEACEQIAb9AAQAIRH9DAAAAAAAAAAAAAAAAAAAAAAhEiAB/QAEACETIBMgECAM/YUCIQwgEyAI" +
  "IBH9hgIhESAB/QAEECETIBMgECAN/YUCIQ0gEyAJIBL9hgIhEiAB/QAEICETIBMgECAO/YUCIQ4gEyAKIBH9hgIh" +
  "ESAB/QAEMCETIBMgECAP/YUCIQ8gEyALIBL9hgIhEiAGIBEgEv3kAf0LBAAgAUHAAGohASAFQRBqIQUgBkEQaiEG" +
  "IAUgB0kNAAsLIAMgBCACa2ohBiAMIA39DQABAgMQERITCAkKCxgZGhsgDCAN/Q0EBQYHFBUWFwwNDg8cHR4f/eQB" +
  "IREgDiAP/Q0AAQIDEBESEwgJCgsYGRobIA4gD/0NBAUGBxQVFhcMDQ4PHB0eH/3kASESIBEgEv0NAAECAwQFBgcQ" +
  "ERITFBUWFyARIBL9DQgJCgsMDQ4PGBkaGxwdHh/95AEhEyAGIAb9AAQAIBP95AH9CwQAIARBEGohBCAEIAdJDQAL" +
  "Cw==";

/** Rows and columns of a tile. */
const TILE = 4;
const PAGE = 1 << 16;

interface Kernel {
  readonly memory: WebAssembly.Memory;
  multiply(n: number, a: number, x: number, y: number): void;
}

/**
 * The payoff of a game, computed in float32 by WebAssembly SIMD.
 *
 * P − ½ is antisymmetric, so only the half above the diagonal is kept, in tiles, and each of its cells
 * is read once: a quarter of the memory traffic of a product with P in float64. Preferences and
 * mixtures are rounded to float32, win rates are off by some 1e-8.
 *
 * @throws {TypeError} When the engine has no relaxed SIMD.
 */
export function payoffFloat32({ size, preferences }: PreferenceMatrix): Payoff {
  const bytes = Uint8Array.from(atob(KERNEL), (letter) => letter.charCodeAt(0));
  if (!WebAssembly.validate(bytes)) {
    throw new TypeError(
      'Cannot play in float32 as WebAssembly must have relaxed SIMD: it has not; use "float64"',
    );
  }
  const { memory, multiply } = new WebAssembly.Instance(new WebAssembly.Module(bytes))
    .exports as unknown as Kernel;
  const n = Math.ceil(size / TILE) * TILE, tiles = n / TILE;
  const cells = tiles * (tiles + 1) / 2 * TILE * TILE;
  const x = 0, y = 4 * n, a = 8 * n;
  const total = a + 4 * cells;
  memory.grow(Math.max(0, Math.ceil(total / PAGE) - memory.buffer.byteLength / PAGE));
  const left = new Float32Array(memory.buffer, a, cells);
  let at = 0;
  for (let row = 0; row < n; row += TILE) {
    for (let column = row; column < n; column += TILE) {
      for (let i = row; i < row + TILE; i++) {
        for (let j = column; j < column + TILE; j++, at++) {
          if (i < size && j < size) left[at] = preferences[i * size + j]! - 0.5;
        }
      }
    }
  }
  const mixed = new Float32Array(memory.buffer, x, n), won = new Float32Array(memory.buffer, y, n);
  return (mixture, winRates) => {
    mixed.set(mixture);
    won.fill(0);
    multiply(n, a, x, y);
    // The mixture's sum is 1, so that P p = ½ + (P − ½) p.
    for (let i = 0; i < size; i++) winRates[i] = 0.5 + won[i]!;
  };
}
