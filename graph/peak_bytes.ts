/**
 * The memory that a program's values take while it runs.
 *
 * @module
 */

import { evaluateShape, type Shape, type Sizes } from "./dim.ts";
import type { Program } from "./program.ts";

/** Bytes of an element as devices hold it: float32, int32, and a bool as one byte. */
const ELEMENT_BYTES = { float32: 4, int32: 4, bool: 1 } as const;

/**
 * Most bytes of intermediate values that are alive at one time, where equations run in their order and a
 * value is freed after its last use. A reshape shares its operand's memory. Inputs, parameters and what
 * is only a constant are not counted: stores and slots hold them. A device that computes elementwise
 * equations in place needs less, one that wastes memory between blocks more.
 *
 * @param program Of the primitives that the device runs: lower composites first (`decompose`).
 * @param sizes Of the named dimensions.
 *
 * @example
 * ```ts
 * import { ProgramBuilder } from "./builder.ts";
 * import { peakBytes } from "./peak_bytes.ts";
 * import assert from "node:assert/strict";
 * const g = new ProgramBuilder("chain");
 * const x = g.input("x", "float32", ["n"]);
 * g.output("y", g.exp(g.exp(g.exp(x))));
 * // An exponential and the one it is computed from: 2 · 4 bytes · n.
 * assert.equal(peakBytes(g.build(), { n: 10 }), 80);
 * ```
 */
export function peakBytes(program: Program, sizes: Sizes): number {
  const { equations, outputs, updates } = program;
  /** The value whose memory a value lies in. */
  const owners = new Map<number, number>();
  const ownerOf = (id: number) => owners.get(id) ?? id;
  const lastUse = new Map<number, number>();
  equations.forEach(({ primitive, operands, results }, index) => {
    if (primitive === "reshape") owners.set(results[0]!.id, ownerOf(operands[0]!.id));
    for (const { id } of [...operands, ...results]) lastUse.set(ownerOf(id), index);
  });
  const kept = [...outputs.map(({ value }) => value), ...updates.map(({ next }) => next)];
  for (const { id } of kept) lastUse.set(ownerOf(id), equations.length);

  const held = new Map<number, number>();
  let [alive, peak] = [0, 0];
  equations.forEach(({ operands, results }, index) => {
    for (const { id, dtype, shape } of results) {
      if (owners.has(id)) continue;
      const bytes = ELEMENT_BYTES[dtype] * elements(shape, sizes);
      held.set(id, bytes);
      alive += bytes;
    }
    peak = Math.max(peak, alive);
    for (const { id } of [...operands, ...results]) {
      const owner = ownerOf(id);
      if (lastUse.get(owner) !== index) continue;
      alive -= held.get(owner) ?? 0;
      held.delete(owner);
    }
  });
  return peak;
}

function elements(shape: Shape, sizes: Sizes): number {
  return evaluateShape(shape, sizes).reduce((product, size) => product * size, 1);
}
