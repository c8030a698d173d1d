/**
 * Adapters that were not trained yet.
 *
 * @module
 */

import { randomStream } from "../core/mod.ts";
import type { Backend, Store } from "../graph/mod.ts";
import type { NamedShape } from "./architectures/mod.ts";

/**
 * A new adapter: A uniform in ±1/√inputs (PEFT's Kaiming initialisation) from a seed, and B = 0, so
 * that B·A = 0.
 *
 * @param tensors A [r, inputs] and B [outputs, r] of each layer.
 */
export async function newAdapter(
  backend: Backend,
  tensors: readonly NamedShape[],
  seed: number,
): Promise<Store> {
  const store = await backend.createStore(tensors);
  for (const { name, shape } of tensors) {
    if (!name.endsWith(".lora_A.weight")) continue;
    const random = randomStream(seed, name);
    const bound = 1 / Math.sqrt(shape[1]!);
    const values = new Float32Array(shape[0]! * shape[1]!);
    await store.write(name, values.map(() => (2 * random.next() - 1) * bound));
  }
  return store;
}
