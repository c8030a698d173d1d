/**
 * Linear layers that one product computes: they read one value, and their weights lie in a row.
 *
 * @module
 */

import type { EquationOf, Program } from "../../graph/program.ts";
import type { ConstantPort, EmitOptions } from "./emit.ts";

/** Products that are computed as one at most; `native/kernels/block_product.c` takes so many. */
const MOST_NEIGHBOURS = 64;

/** Linear layers of one value whose encoded weights lie behind each other, in groups of two or more. */
export function neighbours(
  { equations }: Program,
  constants: ReadonlyMap<number, ConstantPort>,
  follows: NonNullable<EmitOptions["follows"]>,
): EquationOf<"linear">[][] {
  const groups = new Map<number, EquationOf<"linear">[][]>();
  for (const equation of equations) {
    if (equation.primitive !== "linear") continue;
    const weight = constants.get(equation.operands[1]!.id);
    if (!weight) continue;
    const input = equation.operands[0]!.id;
    const found = groups.get(input) ?? [];
    groups.set(input, found);
    const last = found.at(-1)?.at(-1);
    const before = last && constants.get(last.operands[1]!.id);
    if (before && found.at(-1)!.length < MOST_NEIGHBOURS && follows(weight, before)) {
      found.at(-1)!.push(equation);
    } else found.push([equation]);
  }
  return [...groups.values()].flat().filter(({ length }) => length > 1);
}
