/**
 * Elementwise programs over large tensors, computed a window of rows at a time. onnxruntime runs one
 * operator after the other, each over a whole tensor: an optimizer's dozen operators would each read and
 * write hundreds of megabytes. A window's intermediate values stay in the processor's caches.
 *
 * @module
 */

import { ProgramBuilder } from "../../graph/builder.ts";
import { elementCount, equalShapes, type Shape } from "../../graph/dim.ts";
import type { Attributes, Equation, Primitive, Program, Value } from "../../graph/program.ts";

/** Elements of a window: 1 MiB of each tensor. */
const WINDOW = 2 ** 18;

/** Primitives that compute each element from the same ones of their operands. */
const ELEMENTWISE: ReadonlySet<Primitive> = new Set<Primitive>([
  ...["neg", "abs", "exp", "log", "sqrt", "tanh", "sigmoid", "softplus"] as const,
  ...["add", "sub", "mul", "div", "maximum", "minimum"] as const,
]);

/** Rows of a stored tensor that a program has as a parameter of their own. */
export interface RowWindow {
  /** Of the stored tensor. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Elements before the rows. */
  readonly start: number;
}

/** A program with the parameters that are windows, by scope and name. */
export interface WindowedProgram {
  readonly program: Program;
  readonly windows: ReadonlyMap<string, RowWindow>;
}

/** Names a parameter in {@linkcode WindowedProgram.windows}. */
export function windowKey(
  { scope, name }: { readonly scope: string; readonly name: string },
): string {
  return `${scope}/${name}`;
}

function isScalar({ shape }: Value): boolean {
  return shape.every((dim) => dim === 1);
}

/** Ends of the windows of a tensor; a single one where it is small or its rows have no known size. */
function windowEnds(shape: Shape): number[] {
  const elements = elementCount(shape);
  const [rows] = shape;
  if (typeof elements !== "number" || typeof rows !== "number" || elements <= WINDOW) return [];
  const step = Math.max(1, Math.floor(WINDOW / (elements / rows)));
  return Array.from({ length: Math.ceil(rows / step) }, (_, at) => Math.min(rows, (at + 1) * step));
}

/** Whether all that an equation combines has one shape, but for scalars. */
function isElementwise({ primitive, operands, results: [result] }: Equation): boolean {
  if (primitive === "constant") return isScalar(result!);
  return ELEMENTWISE.has(primitive) &&
    operands.every((one) => isScalar(one) || equalShapes(one.shape, result!.shape));
}

/**
 * A program that updates tensors element by element and returns nothing, with a parameter and an update
 * for each window of rows of the large ones. Another program stays as it is.
 */
export function inRowWindows(program: Program): WindowedProgram {
  const { inputs, parameters, equations, outputs, updates } = program;
  const applies = outputs.length === 0 &&
    inputs.every(({ value }) => isScalar(value)) &&
    parameters.some(({ value }) => windowEnds(value.shape).length > 0) &&
    equations.every(isElementwise);
  if (!applies) return { program, windows: new Map() };

  const g = new ProgramBuilder(program.name);
  const windows = new Map<string, RowWindow>();
  const pieces = new Map<number, readonly Value[]>();
  const rowsOf = (name: string, shape: Shape) => {
    let start = 0;
    return windowEnds(shape).map((end) => {
      const rows = { name: `${name}[${start}:${end}]`, start, count: end - start };
      start = end;
      return rows;
    });
  };
  for (const { name, value } of inputs) {
    pieces.set(value.id, [g.input(name, value.dtype, value.shape)]);
  }
  for (const { scope, name, value } of parameters) {
    const shape = value.shape as readonly number[];
    const rows = rowsOf(name, shape);
    const rowElements = elementCount(shape.slice(1)) as number;
    for (const { name: piece, start } of rows) {
      windows.set(windowKey({ scope, name: piece }), { name, shape, start: start * rowElements });
    }
    pieces.set(
      value.id,
      rows.length === 0
        ? [g.parameter(scope, name, shape)]
        : rows.map((one) => g.parameter(scope, one.name, [one.count, ...shape.slice(1)])),
    );
  }
  for (const { primitive, operands, attributes, results } of equations) {
    const all = operands.map(({ id }) => pieces.get(id)!);
    const count = Math.max(1, ...all.map(({ length }) => length));
    pieces.set(
      results[0]!.id,
      Array.from({ length: count }, (_, at) => {
        const own = all.map((one) => one.length === 1 ? one[0]! : one[at]!);
        return g.apply(primitive, own, attributes as Attributes[Primitive])[0]!;
      }),
    );
  }
  for (const { scope, name, next } of updates) {
    const values = pieces.get(next.id)!;
    const rows = rowsOf(name, next.shape);
    if (rows.length === 0) g.update(scope, name, values[0]!);
    rows.forEach((one, at) => g.update(scope, one.name, values[at]!));
  }
  return { program: g.build(), windows };
}
