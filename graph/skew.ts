/**
 * Where the elements of a skewed matrix are found.
 *
 * @module
 */

import type { ProgramBuilder } from "./builder.ts";
import { type Dim, product, type Shape } from "./dim.ts";
import type { Value } from "./program.ts";

/** A dimension as an int32 scalar. */
function sizeOf(g: ProgramBuilder, dim: Dim): Value {
  if (typeof dim === "number") return g.constant(dim, [], "int32");
  return g.cast(g.reduceSum(g.broadcast(g.constant(1), [dim])), "int32");
}

/**
 * Index into the flattened x [..., R, C] of each element of its skewed matrix: int32 [N·R, width], N
 * the product of the leading axes; element (n·R + i, j) is (n·R + i)·C + R + j − i.
 */
export function skewIndices(g: ProgramBuilder, shape: Shape, width: Dim): Value {
  const [rows, columns] = shape.slice(-2) as [Dim, Dim];
  const all = product(...shape.slice(0, -1));
  const row = g.iota([all, 1], 0);
  const size = sizeOf(g, rows);
  const within = g.sub(row, g.mul(g.div(row, size), size)); // i
  const start = g.add(g.mul(row, sizeOf(g, columns)), g.sub(size, within)); // [N·R, 1]
  return g.add(start, g.iota([1, width], 1));
}
