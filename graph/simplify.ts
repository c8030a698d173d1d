/**
 * Rewrites that keep what a program computes and make it smaller.
 *
 * @module
 */

import { equalShapes } from "./dim.ts";
import type { Attributes, Equation, Primitive, Program, TensorType, Value } from "./program.ts";
import { broadcastShapes } from "./shape_rules.ts";

/** What a rule may do with an equation: stand a value for its result, or write it otherwise. */
type Rewrite = { readonly value: Value } | {
  readonly primitive: Primitive;
  readonly operands: readonly Value[];
  readonly attributes: Attributes[Primitive];
  /** A float32 scalar, the last operand. */
  readonly scale?: number;
} | undefined;

/** The equations that define values, as they stand after simplification. */
type Definitions = ReadonlyMap<number, Equation>;

type Rule<P extends Primitive> = (
  operands: readonly Value[],
  attributes: Attributes[P],
  result: Value,
  definitions: Definitions,
) => Rewrite;

function write<P extends Primitive>(
  primitive: P,
  operands: readonly Value[],
  attributes: Attributes[P],
): Rewrite {
  return { primitive, operands, attributes };
}

function defined<P extends Primitive>(
  value: Value,
  primitive: P,
  definitions: Definitions,
): Extract<Equation, { primitive: P }> | undefined {
  const equation = definitions.get(value.id);
  return equation?.primitive === primitive
    ? equation as Extract<Equation, { primitive: P }>
    : undefined;
}

/** The number a constant repeats; undefined where a value is no constant or has several. */
function literal(value: Value, definitions: Definitions): number | undefined {
  const data = defined(value, "constant", definitions)?.attributes.data;
  return data?.every((one) => Object.is(one, data[0])) ? data[0] : undefined;
}

function sameType(a: TensorType, b: TensorType): boolean {
  return a.dtype === b.dtype && equalShapes(a.shape, b.shape);
}

/** x, where it has the result's type. */
function keep(x: Value, result: Value): Rewrite {
  return sameType(x, result) ? { value: x } : undefined;
}

const folds = {
  add: (a: number, b: number) => a + b,
  sub: (a: number, b: number) => a - b,
  mul: (a: number, b: number) => a * b,
  div: (a: number, b: number) => a / b,
} as const;

/** A scalar float32 equation of scalar constants, computed. */
function fold(
  primitive: keyof typeof folds,
  [a, b]: readonly Value[],
  result: Value,
  definitions: Definitions,
): Rewrite {
  if (result.dtype !== "float32" || result.shape.length > 0) return undefined;
  const [x, y] = [literal(a!, definitions), literal(b!, definitions)];
  if (x === undefined || y === undefined) return undefined;
  return write("constant", [], { dtype: "float32", shape: [], data: [folds[primitive](x, y)] });
}

/** An operand of an elementwise equation, before a stretching that the equation does anyway. */
function unstretch<P extends Primitive>(primitive: P): Rule<P> {
  return (operands, attributes, result, definitions) => {
    for (const [index, operand] of operands.entries()) {
      const stretch = defined(operand, "broadcast", definitions);
      if (stretch === undefined) continue;
      const smaller = operands.with(index, stretch.operands[0]!);
      const shape = broadcastShapes(primitive, ...smaller.map((one) => one.shape));
      if (equalShapes(shape, result.shape)) return write(primitive, smaller, attributes);
    }
    return undefined;
  };
}

function first<P extends Primitive>(...rules: Rule<P>[]): Rule<P> {
  return (...given) => {
    for (const rule of rules) {
      const rewrite = rule(...given);
      if (rewrite !== undefined) return rewrite;
    }
    return undefined;
  };
}

/** Whether a permutation swaps the last two axes and leaves the others. */
function swapsLast(permutation: readonly number[]): boolean {
  const rank = permutation.length;
  return rank >= 2 &&
    permutation.every((axis, at) =>
      axis === (at < rank - 2 ? at : at === rank - 2 ? rank - 1 : rank - 2)
    );
}

const rules: { readonly [P in Primitive]?: Rule<P> } = {
  neg([x], _, result, definitions) {
    const inner = defined(x!, "neg", definitions);
    if (inner) return { value: inner.operands[0]! };
    const value = result.shape.length === 0 ? literal(x!, definitions) : undefined;
    if (value === undefined || result.dtype !== "float32") return undefined;
    return write("constant", [], { dtype: "float32", shape: [], data: [-value] });
  },
  add: first<"add">(([a, b], _, result, definitions) => {
    if (literal(b!, definitions) === 0) return keep(a!, result);
    if (literal(a!, definitions) === 0) return keep(b!, result);
    const negated = defined(b!, "neg", definitions);
    if (negated) return write("sub", [a!, negated.operands[0]!], {});
    return fold("add", [a!, b!], result, definitions);
  }, unstretch("add")),
  sub: first<"sub">(([a, b], _, result, definitions) => {
    if (literal(b!, definitions) === 0) return keep(a!, result);
    const negated = defined(b!, "neg", definitions);
    if (negated) return write("add", [a!, negated.operands[0]!], {});
    return fold("sub", [a!, b!], result, definitions);
  }, unstretch("sub")),
  mul: first<"mul">(([a, b], _, result, definitions) => {
    for (const [x, y] of [[a!, b!], [b!, a!]] as const) {
      const factor = literal(y, definitions);
      if (factor === undefined) continue;
      if (factor === 1 && sameType(x, result)) return { value: x };
      // (x · c) · d = x · (c · d), for scalar constants.
      const inner = defined(x, "mul", definitions);
      if (y.shape.length > 0 || y.dtype !== "float32" || !inner) continue;
      for (const [u, v] of [inner.operands, inner.operands.toReversed()]) {
        const other = v!.shape.length === 0 ? literal(v!, definitions) : undefined;
        if (other !== undefined) {
          return { primitive: "mul", operands: [u!], attributes: {}, scale: other * factor };
        }
      }
    }
    return fold("mul", [a!, b!], result, definitions);
  }, unstretch("mul")),
  div: first<"div">(([a, b], _, result, definitions) => {
    if (literal(b!, definitions) === 1) return keep(a!, result);
    return fold("div", [a!, b!], result, definitions);
  }, unstretch("div")),
  maximum: unstretch("maximum"),
  minimum: unstretch("minimum"),
  less: unstretch("less"),
  equal: unstretch("equal"),
  logicalAnd: unstretch("logicalAnd"),
  logicalOr: unstretch("logicalOr"),
  logicalNot([x], _, __, definitions) {
    const inner = defined(x!, "logicalNot", definitions);
    return inner && { value: inner.operands[0]! };
  },
  select: unstretch("select"),
  cast([x], { dtype }, result, definitions) {
    const inner = defined(x!, "cast", definitions);
    // A bool survives any other element type.
    if (inner?.operands[0]?.dtype === "bool") {
      const [origin] = inner.operands as [Value];
      return dtype === "bool" ? { value: origin } : write("cast", [origin], { dtype });
    }
    return keep(x!, result);
  },
  broadcast([x], attributes, result, definitions) {
    const inner = defined(x!, "broadcast", definitions);
    return inner ? write("broadcast", inner.operands, attributes) : keep(x!, result);
  },
  reshape([x], attributes, result, definitions) {
    const inner = defined(x!, "reshape", definitions);
    return inner ? write("reshape", inner.operands, attributes) : keep(x!, result);
  },
  transpose([x], { permutation }, _, definitions) {
    if (permutation.every((axis, at) => axis === at)) return { value: x! };
    const inner = defined(x!, "transpose", definitions);
    return inner && write("transpose", inner.operands, {
      permutation: permutation.map((axis) => inner.attributes.permutation[axis]!),
    });
  },
  slice: ([x], _, result) => keep(x!, result),
  pad: ([x], _, result) => keep(x!, result),
  concat: (operands) => operands.length === 1 ? { value: operands[0]! } : undefined,
  reduceSum: ([x], { axes }, result) => axes.length === 0 ? keep(x!, result) : undefined,
  reduceMax: ([x], { axes }, result) => axes.length === 0 ? keep(x!, result) : undefined,
  matmul([a, b], { transposeA, transposeB }, _, definitions) {
    const left = defined(a!, "transpose", definitions);
    if (left && swapsLast(left.attributes.permutation)) {
      return write("matmul", [left.operands[0]!, b!], { transposeA: !transposeA, transposeB });
    }
    const right = defined(b!, "transpose", definitions);
    if (right && swapsLast(right.attributes.permutation)) {
      return write("matmul", [a!, right.operands[0]!], { transposeA, transposeB: !transposeB });
    }
    return undefined;
  },
};

/** Names an equation by what it computes. */
function keyOf({ primitive, operands, attributes }: Equation): string {
  const stable = JSON.stringify(attributes, (_, value) => {
    if (typeof value === "number" && !(Number.isFinite(value) && !Object.is(value, -0))) {
      return Object.is(value, -0) ? "-0" : String(value);
    }
    return value !== null && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
      : value;
  });
  return `${primitive}(${operands.map(({ id }) => id)})${stable}`;
}

function largestId(program: Program): number {
  let largest = -1;
  for (const { value } of [...program.inputs, ...program.parameters]) {
    largest = Math.max(largest, value.id);
  }
  for (const { results } of program.equations) {
    for (const { id } of results) largest = Math.max(largest, id);
  }
  return largest;
}

/** Leaves the equations that outputs and updates need. */
export function eliminateDeadCode(program: Program): Program {
  const used = new Set([
    ...program.outputs.map(({ value }) => value.id),
    ...program.updates.map(({ next }) => next.id),
  ]);
  const equations = program.equations.toReversed().filter(({ operands, results }) => {
    if (!results.some(({ id }) => used.has(id))) return false;
    for (const { id } of operands) used.add(id);
    return true;
  });
  return { ...program, equations: equations.toReversed() };
}

function pass(program: Program): { readonly program: Program; readonly changed: boolean } {
  let nextId = largestId(program) + 1;
  let changed = false;
  const replaced = new Map<number, Value>();
  const definitions = new Map<number, Equation>();
  const known = new Map<string, Equation>();
  const equations: Equation[] = [];
  const current = (value: Value): Value => replaced.get(value.id) ?? value;

  /** Adds an equation unless an equal one stands, and returns the one that stands. */
  const add = (equation: Equation): Equation => {
    const key = keyOf(equation);
    const earlier = known.get(key);
    if (earlier) return earlier;
    known.set(key, equation);
    equations.push(equation);
    for (const { id } of equation.results) definitions.set(id, equation);
    return equation;
  };

  for (const original of program.equations) {
    let equation = { ...original, operands: original.operands.map(current) } as Equation;
    const [result] = equation.results as [Value];
    let value: Value | undefined;
    // Each rewrite strictly shortens a chain of definitions, so this ends.
    for (;;) {
      const rule = rules[equation.primitive] as Rule<Primitive> | undefined;
      const rewrite = rule?.(equation.operands, equation.attributes, result, definitions);
      if (rewrite === undefined) break;
      changed = true;
      if ("value" in rewrite) {
        value = rewrite.value;
        break;
      }
      let { operands } = rewrite;
      if (rewrite.scale !== undefined) {
        const scalar: Value = { id: nextId++, dtype: "float32", shape: [] };
        const data = [rewrite.scale];
        const constant = add({
          primitive: "constant",
          operands: [],
          attributes: { dtype: "float32", shape: [], data },
          results: [scalar],
        });
        operands = [...operands, constant.results[0]!];
      }
      const { primitive, attributes } = rewrite;
      equation = { primitive, operands, attributes, results: equation.results } as Equation;
    }
    if (value !== undefined) {
      replaced.set(result.id, value);
      continue;
    }
    const standing = add(equation);
    if (standing === equation) continue;
    changed = true;
    equation.results.forEach(({ id }, index) => replaced.set(id, standing.results[index]!));
  }
  return {
    changed,
    program: {
      ...program,
      equations,
      outputs: program.outputs.map((output) => ({ ...output, value: current(output.value) })),
      updates: program.updates.map((update) => ({ ...update, next: current(update.next) })),
    },
  };
}

/**
 * Removes what is computed twice, to no use, or for nothing: common subexpressions, dead equations,
 * products by one, sums with zero, casts, reshapes, transposes and broadcasts that undo or repeat each
 * other. Inputs, parameters and the names of outputs stay; so does `stopGradient`. Deterministic.
 *
 * @example
 * ```ts
 * import { ProgramBuilder } from "./builder.ts";
 * import { simplify } from "./simplify.ts";
 * import assert from "node:assert/strict";
 *
 * const g = new ProgramBuilder("twice");
 * const x = g.input("x", "float32", [2]);
 * g.output("y", g.add(g.exp(x), g.mul(g.exp(x), g.constant(1))));
 * const { equations } = simplify(g.build());
 * assert.deepEqual(equations.map(({ primitive }) => primitive), ["exp", "add"]);
 * ```
 */
export function simplify(program: Program): Program {
  let current = eliminateDeadCode(program);
  for (;;) {
    const { program: next, changed } = pass(current);
    current = eliminateDeadCode(next);
    if (!changed) return current;
  }
}
