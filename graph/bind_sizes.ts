/**
 * Sizes of a program's named dimensions, from the shapes of what it is given.
 *
 * @module
 */

import { type Dim, formatShape, type Shape, type Sizes } from "./dim.ts";
import type { Program } from "./program.ts";

/** The number and the names of a product such as `"4*batch*time"`. */
function factors(dim: Dim): { readonly known: number; readonly names: readonly string[] } {
  const parts = String(dim).split("*");
  const names = parts.filter((part) => !/^\d+$/.test(part));
  const known = parts.filter((part) => /^\d+$/.test(part)).reduce((a, b) => a * Number(b), 1);
  return { known, names };
}

/** Learns what one axis says; false where several names of a product are unknown still. */
function learn(
  dim: Dim,
  size: number,
  sizes: Record<string, number>,
  refuse: () => never,
): boolean {
  let { known, names } = factors(dim);
  for (const name of names) known *= sizes[name] ?? 1;
  names = names.filter((name) => sizes[name] === undefined);
  if (names.length === 0) return known === size || refuse();
  if (names.length > 1) return false;
  if (size === 0 || size % known !== 0) refuse();
  sizes[names[0]!] = size / known;
  return true;
}

/**
 * Checks the inputs of a run against a program and solves its named dimensions.
 *
 * @returns The size of each name that occurs in an input's shape.
 * @throws {TypeError} When an input is missing or unknown, differs in rank, size or element type, or
 * has an axis of size 0.
 *
 * @example
 * ```ts
 * import { bindSizes } from "./bind_sizes.ts";
 * import { ProgramBuilder } from "./builder.ts";
 * import assert from "node:assert/strict";
 *
 * const g = new ProgramBuilder("rows");
 * g.input("x", "float32", ["batch", 2]);
 * const x = { shape: [3, 2], data: new Float32Array(6) };
 * assert.deepEqual({ ...bindSizes(g.build(), { x }) }, { batch: 3 });
 * ```
 */
export function bindSizes(
  program: Program,
  inputs: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly data: ArrayLike<number> }>
  >,
): Sizes {
  const what = `Cannot run ${program.name} as`;
  for (const name of Object.keys(inputs)) {
    if (!program.inputs.some((input) => input.name === name)) {
      throw new TypeError(`${what} it must have an input of that name: ${name}`);
    }
  }
  const sizes: Record<string, number> = Object.create(null);
  const left: { dim: Dim; size: number; refuse: () => never }[] = [];
  for (const { name, value } of program.inputs) {
    const given = Object.hasOwn(inputs, name) ? inputs[name] : undefined;
    if (given === undefined) {
      throw new TypeError(`${what} the input ${name} must be given: missing`);
    }
    const { shape, data } = given;
    const refuse = (): never => {
      throw new TypeError(
        `${what} the input ${name} must have the shape ${formatShape(value.shape)}` +
          `${describeSizes(value.shape, sizes)}: ${formatShape(shape)}`,
      );
    };
    if (shape.length !== value.shape.length) refuse();
    if (shape.some((size) => size < 1)) {
      throw new TypeError(
        `${what} each axis of the input ${name} must have a size of 1 or more: ${
          formatShape(shape)
        }`,
      );
    }
    const count = shape.reduce((product, size) => product * size, 1);
    if (data.length !== count) {
      throw new TypeError(
        `${what} the input ${name} of shape ${formatShape(shape)} must have ${count} elements: ` +
          data.length,
      );
    }
    const wrong = value.dtype === "float32" ? Int32Array : Float32Array;
    if (data instanceof wrong) {
      throw new TypeError(
        `${what} the input ${name} must be ${value.dtype}: ` +
          (value.dtype === "float32" ? "int32" : "float32"),
      );
    }
    value.shape.forEach((dim, axis) => left.push({ dim, size: shape[axis]!, refuse }));
  }
  for (let before = -1; left.length > 0 && left.length !== before;) {
    before = left.length;
    const open = left.splice(0).filter(({ dim, size, refuse }) => !learn(dim, size, sizes, refuse));
    left.push(...open);
  }
  return sizes;
}

function describeSizes(shape: Shape, sizes: Sizes): string {
  const named = [...new Set(shape.flatMap((dim) => factors(dim).names))]
    .filter((name) => sizes[name] !== undefined)
    .map((name) => `${name} = ${sizes[name]}`);
  return named.length === 0 ? "" : ` where ${named.join(", ")}`;
}
