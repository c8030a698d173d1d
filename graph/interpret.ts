/**
 * The meaning of programs: an interpreter in float64.
 *
 * @module
 */

import { bindSizes } from "./bind_sizes.ts";
import { decompose } from "./decompose.ts";
import { evaluateShape, formatShape, type Shape, type Sizes } from "./dim.ts";
import { type Float64Tensor, sizeOf } from "./float64.ts";
import { type EvaluationRule, evaluationRules } from "./interpret_rules.ts";
import type { Attributes, Parameter, Program, SimplePrimitive, Value } from "./program.ts";

/** A tensor given to the interpreter: row-major numbers. */
export interface GivenTensor {
  /** Sizes, outermost axis first. */
  readonly shape: readonly number[];
  /** Elements; their number is the product of the shape. */
  readonly data: ArrayLike<number>;
}

/** What a program is interpreted on. */
export interface InterpretOptions {
  /** By name. */
  readonly inputs?: Readonly<Record<string, GivenTensor>>;
  /** Parameters by scope and name. They are not written to. */
  readonly stores?: Readonly<Record<string, Readonly<Record<string, GivenTensor>>>>;
}

/** What a program computed. */
export interface Interpreted {
  /** By name. */
  readonly outputs: Record<string, Float64Tensor>;
  /** New values of updated parameters, by scope and name; of the first rows where only these ran. */
  readonly updates: Record<string, Record<string, Float64Tensor>>;
}

/**
 * The part of a stored tensor that stands for a parameter: all of it, or its first rows where the
 * parameter's first axis is named.
 *
 * @throws {TypeError} When the stored shape does not fit.
 */
export function parameterShape(
  program: Program,
  { scope, name, value }: Parameter,
  stored: readonly number[],
  sizes: Sizes,
): number[] {
  const shape = evaluateShape(value.shape, sizes);
  const fits = stored.length === shape.length &&
    stored.every((size, axis) =>
      axis === 0 && typeof value.shape[0] === "string" ? size >= shape[0]! : size === shape[axis]
    );
  if (!fits) {
    throw new TypeError(
      `Cannot run ${program.name} as ${scope}/${name} must have the shape ` +
        `${formatShape(describe(value.shape, shape))}: ${formatShape(stored)}`,
    );
  }
  return shape;
}

function describe(shape: Shape, sizes: readonly number[]): Shape {
  return shape.map((dim, axis) => typeof dim === "number" ? dim : `${dim} = ${sizes[axis]}`);
}

/** Runs a prepared program. */
export type Interpreter = (options?: InterpretOptions) => Interpreted;

/**
 * Makes a program ready to be interpreted many times.
 *
 * @see {@linkcode interpret}
 */
export function interpreter(program: Program): Interpreter {
  const simple = decompose(program);
  return ({ inputs = {}, stores = {} } = {}) => {
    const sizes = bindSizes(simple, inputs);
    const values = new Map<number, Float64Tensor>();
    for (const { name, value } of simple.inputs) {
      const { shape, data } = inputs[name]!;
      values.set(value.id, { shape, data: Float64Array.from(data) });
    }
    for (const parameter of simple.parameters) {
      const { scope, name, value } = parameter;
      const stored = stores[scope]?.[name];
      if (stored === undefined) {
        throw new TypeError(
          `Cannot run ${program.name} as ${scope}/${name} must be in a store: ` +
            (stores[scope] ? "the store lacks it" : `no store for ${scope}`),
        );
      }
      const shape = parameterShape(simple, parameter, stored.shape, sizes);
      const { data } = stored;
      values.set(value.id, {
        shape,
        data: (data instanceof Float64Array ? data : Float64Array.from(data))
          .subarray(0, sizeOf(shape)),
      });
    }
    evaluate(simple, values, sizes);
    const outputs: Record<string, Float64Tensor> = Object.create(null);
    for (const { name, value } of simple.outputs) outputs[name] = copy(values, value);
    const updates: Record<string, Record<string, Float64Tensor>> = Object.create(null);
    for (const { scope, name, next } of simple.updates) {
      const scoped = updates[scope] ??= Object.create(null) as Record<string, Float64Tensor>;
      scoped[name] = copy(values, next);
    }
    return { outputs, updates };
  };
}

/**
 * Runs a program in float64, equation by equation; composites by their decomposition. Nothing is
 * rounded to float32, so that gradients can be checked by differences.
 *
 * @throws {TypeError} When inputs or parameters are missing or do not fit.
 * @throws {RangeError} When an index of `gather` or `scatterAdd` is out of range.
 *
 * @example
 * ```ts
 * import { interpret } from "./interpret.ts";
 * import { ProgramBuilder } from "./builder.ts";
 * import assert from "node:assert/strict";
 *
 * const g = new ProgramBuilder("scale");
 * const x = g.input("x", "float32", ["batch"]);
 * g.output("y", g.mul(x, g.parameter("weights", "w", [])));
 * const { outputs } = interpret(g.build(), {
 *   inputs: { x: { shape: [2], data: [1, 2] } },
 *   stores: { weights: { w: { shape: [], data: [3] } } },
 * });
 * assert.deepEqual([...outputs.y!.data], [3, 6]);
 * ```
 */
export function interpret(program: Program, options?: InterpretOptions): Interpreted {
  return interpreter(program)(options);
}

/** An independent copy: reshapes and inputs share their elements while a program runs. */
function copy(values: ReadonlyMap<number, Float64Tensor>, { id }: Value): Float64Tensor {
  const { shape, data } = values.get(id)!;
  return { shape: [...shape], data: data.slice() };
}

/** Computes all equations of a simple program; frees each value after its last use. */
function evaluate(program: Program, values: Map<number, Float64Tensor>, sizes: Sizes): void {
  const lastUse = new Map<number, number>();
  program.equations.forEach(({ operands }, at) => {
    for (const { id } of operands) lastUse.set(id, at);
  });
  for (const { value } of program.outputs) lastUse.delete(value.id);
  for (const { next } of program.updates) lastUse.delete(next.id);
  program.equations.forEach(({ primitive, operands, attributes, results }, at) => {
    const [result] = results as [Value];
    const shape = evaluateShape(result.shape, sizes);
    const rule = evaluationRules[primitive as SimplePrimitive] as EvaluationRule<SimplePrimitive>;
    const data = rule({
      operands: operands.map(({ id }) => values.get(id)!),
      attributes: attributes as Attributes[SimplePrimitive],
      shape,
      dtype: result.dtype,
      sizes,
    });
    values.set(result.id, { shape, data });
    for (const { id } of operands) if (lastUse.get(id) === at) values.delete(id);
  });
}
