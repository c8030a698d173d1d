/**
 * Low-rank adapters on the linear layers of a decoder: y = W x + s · B A x (Hu et al. 2021,
 * arXiv:2106.09685), named as PEFT names them.
 *
 * @module
 */

import type { DecoderConfig } from "./config.ts";
import { layoutOf, type LinearLayer, type NamedShape } from "./layout.ts";

/** Scope of the adapter's tensors. */
export const ADAPTER = "adapter";

/** A low-rank adapter on some of the linear layers. */
export interface LoraShape {
  /** r. */
  readonly rank: number;
  /** s = alpha / rank, or alpha / √rank with `rsLora`. */
  readonly alpha: number;
  /**
   * Layers that carry it, in every block, as PEFT's `target_modules`: the ends of their names, such as
   * `q_proj`, or `attn.c_proj` where `c_proj` alone would be two layers; or `all-linear`.
   */
  readonly targets: readonly string[];
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

/** The target that names every linear layer. */
export const ALL_LINEAR = "all-linear";

/** Whether one of the targets names a layer. */
export function isTarget({ path }: LinearLayer, targets: readonly string[]): boolean {
  return targets.some((target) =>
    target === ALL_LINEAR || path === target || path.endsWith(`.${target}`)
  );
}

/** The shortest targets that together name all linear layers of a block. */
export function allTargets(config: DecoderConfig): string[] {
  const names = [...layoutOf(config).linear.values()].map(({ path }) => path.split(".").at(-1)!);
  return [...new Set(names)];
}

/** Every linear layer of every block, by its full name without `.weight`. */
export function linearLayers(config: DecoderConfig): ReadonlyMap<string, LinearLayer> {
  const { blocks, linear } = layoutOf(config);
  const layers = new Map<string, LinearLayer>();
  for (let layer = 0; layer < config.layers; layer++) {
    for (const one of linear.values()) layers.set(`${blocks}.${layer}.${one.path}`, one);
  }
  return layers;
}

/**
 * Every tensor of an adapter: A [r, I] and B [O, r] of each targeted layer.
 *
 * @throws {RangeError} When a target names no layer of the model.
 */
export function loraTensors(config: DecoderConfig, { rank, targets }: LoraShape): NamedShape[] {
  const layers = linearLayers(config);
  const unknown = targets.find((target) =>
    ![...layers.values()].some((layer) => isTarget(layer, [target]))
  );
  if (unknown !== undefined || targets.length === 0) {
    throw new RangeError(
      `Cannot adapt the model as each target must be ${ALL_LINEAR} or one of ${
        allTargets(config).join(", ")
      }: ${unknown ?? "none"}`,
    );
  }
  return [...layers].flatMap(([name, layer]) =>
    isTarget(layer, targets)
      ? [
        { name: `${name}.lora_A.weight`, shape: [rank, layer.inputs] },
        { name: `${name}.lora_B.weight`, shape: [layer.outputs, rank] },
      ]
      : []
  );
}
