/**
 * Reverse-mode gradients.
 *
 * @module
 */

import type { ProgramBuilder } from "./builder.ts";
import { formatShape } from "./dim.ts";
import type {
  Attributes,
  CompositePrimitive,
  Equation,
  Primitive,
  Program,
  Value,
} from "./program.ts";
import { finish, replay } from "./rewrite.ts";
import { simplify } from "./simplify.ts";
import type { VjpRule } from "./vjp.ts";
import { Recomputation } from "./recomputation.ts";
import { compositeVjps, type Expansion, expansions } from "./vjp_composite.ts";
import { simpleVjps } from "./vjp_simple.ts";

/** Options of {@linkcode gradients}. */
export interface GradientOptions {
  /**
   * Values, in the order of the program, between which the forward pass is computed again for the
   * gradient: of what lies between two of them nothing is kept. The gradient stays the same number for
   * number.
   */
  readonly checkpoints?: readonly Value[];
}

/** The vector–Jacobian product of each primitive. */
export const vjps: { readonly [P in Primitive]: VjpRule<P> } = { ...simpleVjps, ...compositeVjps };

/** Primitives whose rules take a cotangent that has yet to be stretched. */
const ELEMENTWISE: ReadonlySet<Primitive> = new Set<Primitive>([
  ...["neg", "abs", "exp", "log", "sqrt", "tanh", "erf", "sin", "cos", "sigmoid"] as const,
  ...["softplus", "add", "sub", "mul", "div", "maximum", "minimum", "select", "cast"] as const,
  ...["broadcast", "gelu", "gatedSilu"] as const,
]);

/**
 * Adds the gradient of a scalar to a program.
 *
 * Only what lies between `wrt` and `of` is differentiated: a frozen weight costs nothing. On that
 * path attention, `linear` with a LoRA pair and `tokenLogProb` are expanded in place, so that forward
 * and backward pass share the probabilities, the inner products and what the logits were for.
 *
 * Conventions: at a tie `maximum`, `minimum` and `reduceMax` divide the gradient evenly, `abs` has
 * slope 0 at 0; comparisons, conditions and indices steer and pass none.
 *
 * @param g Builder that holds the program so far.
 * @param of float32 value of one element.
 * @param wrt float32 values: parameters, inputs or results.
 * @param options.checkpoints See {@linkcode GradientOptions}.
 * @returns For each of `wrt` the gradient, of its shape; zeros where `of` does not depend on it.
 * @throws {TypeError} If `of` is not a scalar, or the path leads through an operation without a
 * gradient (`cachedAttention`, a cast from int32 or bool).
 *
 * @example
 * ```ts
 * import { gradients } from "./gradient.ts";
 * import { interpret } from "./interpret.ts";
 * import { ProgramBuilder } from "./builder.ts";
 * import assert from "node:assert/strict";
 *
 * const g = new ProgramBuilder("cube");
 * const x = g.input("x", "float32", []);
 * const [slope] = gradients(g, g.mul(x, g.mul(x, x)), [x]);
 * g.output("slope", slope!);
 * const { outputs } = interpret(g.build(), { inputs: { x: { shape: [], data: [2] } } });
 * assert.deepEqual([...outputs.slope!.data], [12]); // 3 x²
 * ```
 */
export function gradients(
  g: ProgramBuilder,
  of: Value,
  wrt: readonly Value[],
  { checkpoints = [] }: GradientOptions = {},
): Value[] {
  if (of.dtype !== "float32" || of.shape.some((dim) => dim !== 1)) {
    throw new TypeError(
      "Cannot take the gradient as the value must be a float32 scalar: " +
        of.dtype + formatShape(of.shape),
    );
  }
  for (const { dtype } of wrt) {
    if (dtype !== "float32") {
      throw new TypeError(`Cannot take the gradient as it must be by float32 values: ${dtype}`);
    }
  }
  const tape = activeEquations(g.equations, of, wrt);
  const residuals = expandForward(g, new Set(tape.path));
  const cotangents = new Map<number, Value>([[of.id, g.constant(1)]]);
  const again = new Recomputation(g, checkpoints);
  for (const equation of tape.path.toReversed()) {
    const { primitive, operands, attributes, results } = equation;
    const [result] = results as [Value];
    const found = results.map(({ id }) => cotangents.get(id)).find((one) => one !== undefined);
    if (found === undefined) continue;
    again.enter(equation, found);
    const contributions = (vjps[primitive] as VjpRule<Primitive>)({
      g,
      operands: operands.map((operand) => again.valueOf(operand)),
      attributes: attributes as Attributes[Primitive],
      result: again.valueOf(result),
      cotangent: ELEMENTWISE.has(primitive) || results.length > 1
        ? found
        : g.broadcast(found, result.shape),
      residuals: again.valuesIn(residuals.get(result.id)),
    });
    operands.forEach(({ id }, index) => {
      if (!tape.dependent.has(id)) return;
      const part = contributions[index]?.();
      if (part === undefined) return;
      const sum = cotangents.get(id);
      cotangents.set(id, sum === undefined ? part : g.add(sum, part));
    });
  }
  return wrt.map(({ id, shape }) => g.broadcast(cotangents.get(id) ?? g.constant(0), shape));
}

/** Equations between `wrt` and `of`, in order, and the ids of all values that depend on `wrt`. */
function activeEquations(
  equations: readonly Equation[],
  of: Value,
  wrt: readonly Value[],
): { readonly path: readonly Equation[]; readonly dependent: ReadonlySet<number> } {
  const dependent = new Set(wrt.map(({ id }) => id));
  for (const { primitive, operands, results } of equations) {
    if (primitive === "stopGradient" || !operands.some(({ id }) => dependent.has(id))) continue;
    for (const { id } of results) dependent.add(id);
  }
  const used = new Set([of.id]);
  const path = equations.toReversed().filter(({ operands, results }) => {
    if (!results.some(({ id }) => used.has(id) && dependent.has(id))) return false;
    for (const { id } of operands) used.add(id);
    return operands.some(({ id }) => dependent.has(id));
  });
  return { path: path.toReversed(), dependent };
}

/** Expands the composites of the path that have an expansion; residuals by result id. */
function expandForward(
  g: ProgramBuilder,
  path: ReadonlySet<Equation>,
): ReadonlyMap<number, unknown> {
  const kept = new Map<number, unknown>();
  g.expand((equation) => {
    if (!path.has(equation)) return undefined;
    const expansion = expansions[equation.primitive as CompositePrimitive] as
      | Expansion<CompositePrimitive>
      | undefined;
    const attributes = equation.attributes as Attributes[CompositePrimitive];
    const expanded = expansion?.(g, equation.operands, attributes);
    if (expanded === undefined) return undefined;
    kept.set(equation.results[0]!.id, expanded.residuals);
    return expanded.results;
  });
  return kept;
}

/**
 * A program that also returns gradients of one of its outputs.
 *
 * @param of Name of an output of one element.
 * @param wrt Parameters to differentiate by.
 * @returns The program with an output `grad/<scope>/<name>` per parameter, simplified.
 * @throws {TypeError} As {@linkcode gradients}.
 * @throws {RangeError} When the output or a parameter does not exist.
 */
export function grad(
  program: Program,
  of: string,
  wrt: readonly { readonly scope: string; readonly name: string }[],
): Program {
  const output = program.outputs.find(({ name }) => name === of);
  if (output === undefined) {
    throw new RangeError(
      `Cannot take the gradient of ${of} as it must be an output of ${program.name}: ` +
        program.outputs.map(({ name }) => name).join(", "),
    );
  }
  const parameters = wrt.map(({ scope, name }) => {
    const found = program.parameters.find((one) => one.scope === scope && one.name === name);
    if (found === undefined) {
      throw new RangeError(
        `Cannot take the gradient by ${scope}/${name} as it must be a parameter of ` +
          `${program.name}: it is none`,
      );
    }
    return found;
  });
  const rewritten = replay(program);
  const { builder, valueOf } = rewritten;
  const found = gradients(
    builder,
    valueOf(output.value),
    parameters.map(({ value }) => valueOf(value)),
  );
  parameters.forEach(({ scope, name }, index) => {
    builder.output(`grad/${scope}/${name}`, found[index]!);
  });
  return simplify(finish(program, rewritten));
}
