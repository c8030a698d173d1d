/** Tests of the native onnx backend, each on one of its own. */

import assert from "node:assert/strict";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import type { Backend, HostTensor } from "../../graph/backend.ts";

/** float32 sums of a few dozen terms of size 1. */
const TOLERANCE = 1e-5;

/** Asserts that numbers are equal, relative to their size, at least 1. */
export function close(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance = TOLERANCE,
): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    const scale = Math.max(1, Math.abs(expected[i]!));
    assert.ok(
      Math.abs(actual[i]! - expected[i]!) <= tolerance * scale,
      `element ${i}: ${actual[i]} is not ${expected[i]}`,
    );
  }
}

/** Numbers from -1 to 1, the same for the same seed. */
export function noise(seed: number, shape: readonly number[]): HostTensor & { data: Float32Array } {
  const count = shape.reduce((product, size) => product * size, 1);
  const data = Float32Array.from({ length: count }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 31 - 1;
  });
  return { shape, data };
}

/** A vector. */
export const f32 = (...data: number[]): HostTensor => ({
  shape: [data.length],
  data: Float32Array.from(data),
});
/** A vector of indices. */
export const i32 = (...data: number[]): HostTensor => ({
  shape: [data.length],
  data: Int32Array.from(data),
});

/** A test on a backend of two threads. */
export function testWith(name: string, body: (backend: Backend) => Promise<void>): void {
  Deno.test({
    name,
    // The package keeps handles of its own once it is loaded.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      const backend = await createOnnxBackend({ threads: 2 });
      try {
        await body(backend);
      } finally {
        await backend.dispose();
      }
    },
  });
}
