/** Sizes of named dimensions in one run, and the checks of what is given to it. */

import type { HostTensor } from "../../graph/backend.ts";
import { evaluateDim, formatShape, type Shape } from "../../graph/dim.ts";
import type { Equation, Program } from "../../graph/program.ts";
import type { Port } from "./emit.ts";

/** Learns sizes from a shape; throws when it does not fit. */
export function matchShape(
  doing: string,
  expected: Shape,
  shape: readonly number[],
  sizes: Record<string, number>,
): void {
  const fail = () => {
    const known = Object.entries(sizes).map(([name, size]) => `${name} = ${size}`).join(", ");
    throw new TypeError(
      `Cannot ${doing} as it must have the shape ${formatShape(expected)}` +
        `${known ? ` with ${known}` : ""}: [${shape}]`,
    );
  };
  if (shape.length !== expected.length) fail();
  shape.forEach((size, axis) => {
    const dim = expected[axis]!;
    if (size === 0) {
      throw new TypeError(`Cannot ${doing} as no axis may be empty: [${shape}]`);
    }
    if (typeof dim === "number") {
      if (size !== dim) fail();
    } else if (!dim.includes("*")) {
      sizes[dim] ??= size;
      if (sizes[dim] !== size) fail();
    }
  });
  shape.forEach((size, axis) => {
    const dim = expected[axis]!;
    if (typeof dim !== "string" || !dim.includes("*")) return;
    if (dim.split("*").some((part) => !/^\d+$/.test(part) && sizes[part] === undefined)) return;
    if (evaluateDim(dim, sizes) !== size) fail();
  });
}

/** Checks the inputs of a run; returns the sizes of the named dimensions in them. */
export function matchInputs(
  name: string,
  ports: readonly Port[],
  inputs: Readonly<Record<string, HostTensor>>,
): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const given of Object.keys(inputs)) {
    if (!ports.some((port) => port.name === given)) {
      throw new TypeError(
        `Cannot run ${name} as its inputs must be ${
          ports.map((port) => port.name).join(", ") || "none"
        }: ${given} was given`,
      );
    }
  }
  for (const pass of [0, 1]) {
    for (const port of ports) {
      const tensor = inputs[port.name];
      if (!tensor) {
        throw new TypeError(`Cannot run ${name} as the input ${port.name} must be given: missing`);
      }
      matchShape(`run ${name} with the input ${port.name}`, port.shape, tensor.shape, sizes);
      if (pass > 0) continue;
      const elements = tensor.shape.reduce((product, size) => product * size, 1);
      const fits = port.dtype === "float32"
        ? tensor.data instanceof Float32Array
        : tensor.data instanceof Int32Array;
      if (!fits || tensor.data.length !== elements) {
        throw new TypeError(
          `Cannot run ${name} as the input ${port.name} must be ${elements} elements in ` +
            `${port.dtype === "float32" ? "a Float32Array" : "an Int32Array"}: ` +
            `${tensor.data.length} in ${tensor.data.constructor.name}`,
        );
      }
    }
  }
  return sizes;
}

/** A `past` input of cached attention and the dimension of its new tokens. */
export interface PastInput {
  readonly input: string;
  readonly time: Shape[number];
}

/** The inputs that {@linkcode checkPasts} looks at. */
export function pastInputs(program: Program): PastInput[] {
  const found = new Map<string, PastInput>();
  for (const equation of program.equations as readonly Equation[]) {
    if (equation.primitive !== "cachedAttention") continue;
    const [query, , , , , past] = equation.operands;
    const input = program.inputs.find(({ value }) => value.id === past!.id);
    const time = query!.shape[1]!;
    if (input) found.set(`${input.name} ${time}`, { input: input.name, time });
  }
  return [...found.values()];
}

/** Several new tokens over a past are beyond the kernel; it would give wrong numbers. */
export function checkPasts(
  name: string,
  pasts: readonly PastInput[],
  inputs: Readonly<Record<string, HostTensor>>,
  sizes: Record<string, number>,
): void {
  for (const { input, time } of pasts) {
    if (evaluateDim(time, sizes) === 1) continue;
    const used = inputs[input]!.data.find((past: number) => past !== 0);
    if (used !== undefined) {
      throw new TypeError(
        `Cannot run ${name} as ${input} must be 0 in every row when several tokens are new: ${used}`,
      );
    }
  }
}
