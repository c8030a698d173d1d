/** Checks of what is given to a run. */

import type { HostTensor } from "../../graph/backend.ts";
import { evaluateDim, type Shape, type Sizes } from "../../graph/dim.ts";
import type { Equation, Program } from "../../graph/program.ts";

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
  sizes: Sizes,
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
