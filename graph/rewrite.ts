/**
 * Programs from programs.
 *
 * @module
 */

import { ProgramBuilder } from "./builder.ts";
import type { Attributes, Equation, Primitive, Program, Value } from "./program.ts";

/** A program being written anew. */
export interface Replay {
  /** Holds the inputs, the parameters and the equations replayed so far. */
  readonly builder: ProgramBuilder;
  /** The new value that stands for a value of the old program. */
  readonly valueOf: (old: Value) => Value;
}

/**
 * Starts a program with the inputs, parameters and equations of another. Outputs and updates are left
 * to {@linkcode finish}.
 *
 * @param replace Asked of each equation, with its new operands; where it returns values (added to the
 * builder) they stand for the results, else the equation is added as it is.
 */
export function replay(
  program: Program,
  replace?: (
    builder: ProgramBuilder,
    equation: Equation,
    operands: readonly Value[],
  ) => readonly Value[] | undefined,
): Replay {
  const builder = new ProgramBuilder(program.name);
  const values = new Map<number, Value>();
  const valueOf = (old: Value): Value => {
    const value = values.get(old.id);
    if (value === undefined) {
      throw new TypeError(
        `Cannot replay ${program.name} as a value must be defined before its use: %${old.id}`,
      );
    }
    return value;
  };
  for (const { name, value } of program.inputs) {
    values.set(value.id, builder.input(name, value.dtype, value.shape));
  }
  for (const { scope, name, value } of program.parameters) {
    values.set(value.id, builder.parameter(scope, name, value.shape));
  }
  for (const equation of program.equations) {
    const operands = equation.operands.map(valueOf);
    const results = replace?.(builder, equation, operands) ??
      builder.apply(
        equation.primitive,
        operands,
        equation.attributes as Attributes[Primitive],
      );
    equation.results.forEach((result, index) => values.set(result.id, results[index]!));
  }
  return { builder, valueOf };
}

/** Adds the outputs and updates of the program replayed, and builds. */
export function finish(program: Program, { builder, valueOf }: Replay): Program {
  for (const { scope, name, next } of program.updates) builder.update(scope, name, valueOf(next));
  for (const { name, value } of program.outputs) builder.output(name, valueOf(value));
  return builder.build();
}
