/**
 * Low-rank adapters on the linear layers of a decoder: y = W x + s · B A x (Hu et al. 2021,
 * arXiv:2106.09685), named as PEFT names them.
 *
 * @module
 */

import type { DecoderConfig } from "./config.ts";
import { linearShapes, type NamedShape } from "./layout.ts";

/** Scope of the adapter's tensors. */
export const ADAPTER = "adapter";

/** The linear layers of a Llama block, by the names PEFT's `target_modules` uses. */
export const LINEAR_LAYERS = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
] as const;

/** Name of a linear layer of a block. */
export type LinearLayer = typeof LINEAR_LAYERS[number];

/** A low-rank adapter on some of the linear layers. */
export interface LoraShape {
  /** r. */
  readonly rank: number;
  /** s = alpha / rank, or alpha / √rank with `rsLora`. */
  readonly alpha: number;
  /** Layers that carry it, in every block. */
  readonly targets: readonly LinearLayer[];
  /** Rank-stabilised scale (Kalajdzievski 2023, arXiv:2312.03732). */
  readonly rsLora?: boolean;
}

/**
 * The scale s of an adapter.
 *
 * @example
 * ```ts
 * import { loraScale } from "./lora.ts";
 * import assert from "node:assert/strict";
 * assert.equal(loraScale({ rank: 16, alpha: 32 }), 2);
 * assert.equal(loraScale({ rank: 16, alpha: 32, rsLora: true }), 8);
 * ```
 */
export function loraScale({ rank, alpha, rsLora }: Omit<LoraShape, "targets">): number {
  return alpha / (rsLora ? Math.sqrt(rank) : rank);
}

/** A linear layer of a block. */
export interface LinearPlace {
  /** Its name in its block. */
  readonly name: LinearLayer;
  /** Full name, without `.weight`. */
  readonly path: string;
  /** O. */
  readonly outputs: number;
  /** I. */
  readonly inputs: number;
}

/** The linear layers of a block, in the order of {@linkcode LINEAR_LAYERS}. */
export function linearPlaces(config: DecoderConfig, layer: number): LinearPlace[] {
  return [...linearShapes(config)].map(([path, [outputs, inputs]]) => ({
    name: path.split(".")[1] as LinearLayer,
    path: `model.layers.${layer}.${path}`,
    outputs,
    inputs,
  }));
}

/** Every tensor of an adapter: A [r, I] and B [O, r] of each targeted layer. */
export function loraTensors(config: DecoderConfig, { rank, targets }: LoraShape): NamedShape[] {
  const tensors: NamedShape[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    for (const { name, path, outputs, inputs } of linearPlaces(config, layer)) {
      if (!targets.includes(name)) continue;
      tensors.push({ name: `${path}.lora_A.weight`, shape: [rank, inputs] });
      tensors.push({ name: `${path}.lora_B.weight`, shape: [outputs, rank] });
    }
  }
  return tensors;
}
