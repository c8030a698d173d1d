/** How the shapes of stored tensors and of a program's parameters belong together. */

import { evaluateShape, formatShape, type Shape } from "./dim.ts";

/** A parameter by its names and its shape. */
export interface NamedShape {
  readonly scope: string;
  readonly name: string;
  readonly shape: Shape;
}

/**
 * Checks that a stored shape can stand for a parameter at some sizes of its names.
 *
 * @param stored Nothing where the store has no tensor of that name.
 * @throws {TypeError} When it cannot.
 */
export function checkStoredShape(
  program: string,
  { scope, name, shape }: NamedShape,
  stored: readonly number[] | undefined,
): void {
  const fits = stored !== undefined && stored.length === shape.length &&
    shape.every((dim, axis) => typeof dim === "string" || dim === stored[axis]);
  if (!fits) {
    throw new TypeError(
      `Cannot bind ${program} as ${scope}/${name} must have the shape ${formatShape(shape)}: ` +
        (stored ? `[${stored}] is stored` : "the store has no such tensor"),
    );
  }
}

/**
 * Sizes and shapes of stored tensors in one run. A named first axis takes the first rows; a name that
 * no input has is as large as what is stored.
 *
 * @param sizes Sizes from the inputs; new names are added.
 * @throws {TypeError} When a stored tensor does not fit.
 */
export function matchStored(
  program: string,
  { scope, name, shape }: NamedShape,
  stored: readonly number[],
  sizes: Record<string, number>,
): number[] {
  shape.forEach((dim, axis) => {
    if (typeof dim === "string" && !dim.includes("*")) sizes[dim] ??= stored[axis]!;
  });
  const own = evaluateShape(shape, sizes);
  if (!own.every((size, axis) => axis === 0 ? size <= stored[0]! : size === stored[axis])) {
    throw new TypeError(
      `Cannot run ${program} as ${scope}/${name} must hold [${own}]: [${stored}] is stored`,
    );
  }
  return own;
}
