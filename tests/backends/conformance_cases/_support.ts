/**
 * What the cases of the conformance suite share.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type Backend,
  fromFloat32,
  type HostTensor,
  type Program,
  ProgramBuilder,
  type Store,
} from "../../../graph/mod.ts";

/** One law, or one use of it. */
export interface Case {
  readonly name: string;
  readonly run: (backend: Backend, tolerance: number) => Promise<void>;
}

/** Optimizer steps of a reference, in `whole_models.json`. */
export interface StoredSteps {
  readonly lr: number;
  readonly steps: readonly { readonly loss: number; readonly grad_norm: number }[];
}

/** A float32 tensor. */
export const float = (shape: readonly number[], ...numbers: number[]): HostTensor => ({
  shape,
  data: Float32Array.from(numbers),
});
/** An int32 tensor. */
export const int = (shape: readonly number[], ...numbers: number[]): HostTensor => ({
  shape,
  data: Int32Array.from(numbers),
});

/** Compares shapes and numbers; the tolerance is relative to the largest number, at least 1. */
export function assertClose(
  got: HostTensor,
  want: HostTensor | { shape: readonly number[]; data: Float64Array },
  tolerance: number,
  what: string,
): void {
  assert.deepEqual([...got.shape], [...want.shape], `${what}: shape`);
  assert.equal(got.data.length, want.data.length, `${what}: elements`);
  let largest = 1;
  for (const number of want.data) largest = Math.max(largest, Math.abs(number));
  for (let i = 0; i < got.data.length; i++) {
    const error = Math.abs(got.data[i]! - want.data[i]!);
    assert.ok(
      error <= tolerance * largest,
      `${what}[${i}]: ${got.data[i]} is not ${want.data[i]} (error ${error})`,
    );
  }
}

/**
 * Compares numbers with those of a reference: differences are relative to the largest of them, or to
 * `least` where all are smaller.
 */
export function near(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
  least = 0,
): void {
  assert.equal(actual.length, expected.length, what);
  let [largest, worst] = [least, 0];
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]!));
    worst = Math.max(worst, Math.abs(actual[i]! - expected[i]!));
  }
  assert.ok(worst <= tolerance * largest, `${what}: off by ${worst} of ${largest}`);
}

/**
 * Of gradients of whole models against PyTorch's: sums over all tokens and layers. WebGPU may be off by
 * some units in the last place of each exp, and of log by 2⁻²¹ near 1: 8e-4 was seen on SwiftShader.
 */
export function gradientTolerance({ device }: Backend): number {
  return device.includes("webgpu") ? 1e-3 : 2e-4;
}

/** Elements of a tensor. */
export function numbersOf(tensor: HostTensor | undefined): number[] {
  return [...tensor!.data];
}

/** A store of these tensors. */
export async function storeOf(
  backend: Backend,
  tensors: Readonly<Record<string, HostTensor>>,
): Promise<Store> {
  return await backend.createStore(
    Object.entries(tensors).map(([name, { shape, data }]) =>
      fromFloat32(name, shape, Float32Array.from(data))
    ),
  );
}

/** A program of scalars or of fixed shapes, built by a function. */
export function program(name: string, build: (g: ProgramBuilder) => void): Program {
  const g = new ProgramBuilder(name);
  build(g);
  return g.build();
}

/** Adds `step` to `state/count` and returns the sum. */
export const counter = (): Program =>
  program("counter", (g) => {
    const next = g.add(g.parameter("state", "count", []), g.input("step", "float32", []));
    g.update("state", "count", next);
    g.output("next", next);
  });

/** x · adapter/scale + base/shift. */
export const scaled = (): Program =>
  program("scaled", (g) => {
    const x = g.input("x", "float32", ["b", "t"]);
    const y = g.mul(x, g.parameter("adapter", "scale", []));
    g.output("y", g.add(y, g.parameter("base", "shift", [])));
  });
