/**
 * Programs over matrices that are too large for one buffer: a matrix [V, ...] becomes several of some
 * rows each, and the equations that read it are written over these.
 *
 * @module
 */

import { ProgramBuilder } from "./builder.ts";
import { decompose, linearOperands, loraInput } from "./decompose.ts";
import type { Attributes, Equation, Parameter, Primitive, Program, Value } from "./program.ts";
import { finish } from "./rewrite.ts";

/** Rows `start` to `end` (exclusive) of a parameter. */
export interface PieceRows {
  /** The first of them. */
  readonly start: number;
  /** The one behind the last. */
  readonly end: number;
}

/** Some rows of a matrix that is never whole. */
interface Piece extends PieceRows {
  readonly value: Value;
}

/** Name of some rows of a parameter. */
export const pieceName = (name: string, { start, end }: PieceRows): string =>
  `${name}[${start}:${end}]`;

/**
 * As few pieces of like size as keep each within a number of bytes; a single one where all fits.
 *
 * @throws {RangeError} When a row alone is larger.
 */
export function pieceRows(shape: readonly number[], maxBytes: number): PieceRows[] {
  const [rows = 1, ...inner] = shape;
  const rowBytes = 4 * inner.reduce((product, size) => product * size, 1);
  const most = Math.floor(maxBytes / rowBytes);
  if (most < 1) {
    throw new RangeError(
      `Cannot split a tensor as each of its rows must have at most ${maxBytes} bytes: ${rowBytes}`,
    );
  }
  const count = Math.ceil(rows / most);
  return Array.from({ length: count }, (_, index) => ({
    start: Math.floor(index * rows / count),
    end: Math.floor((index + 1) * rows / count),
  }));
}

/** table[indices], where each piece gives the rows that it has. */
function gather(g: ProgramBuilder, pieces: readonly Piece[], indices: Value): Value {
  const found = pieces.map(({ value, start, end }) => {
    const int = (number: number) => g.constant(number, [], "int32");
    const own = g.minimum(
      g.maximum(g.sub(indices, int(start)), int(0)),
      int(end - start - 1),
    );
    const here = g.logicalAnd(g.less(int(start - 1), indices), g.less(indices, int(end)));
    const ones = value.shape.slice(1).map(() => 1);
    const mask = g.reshape(here, [...indices.shape, ...ones]);
    return g.select(mask, g.gather(value, own), g.constant(0));
  });
  return found.reduce((a, b) => g.add(a, b));
}

/** x Wᵀ: the columns of each piece beside each other. */
function byRows(g: ProgramBuilder, x: Value, pieces: readonly Piece[]): Value {
  const columns = pieces.map(({ value }) => g.matmul(x, value, { transposeB: true }));
  return columns.length === 1 ? columns[0]! : g.concat(columns, x.shape.length - 1);
}

/** x W: the sum over the columns of x that meet each piece. */
function byColumns(g: ProgramBuilder, x: Value, pieces: readonly Piece[]): Value {
  const first = pieces[0]!.start;
  return pieces.map(({ value, start, end }) =>
    g.matmul(g.slice(x, x.shape.length - 1, start - first, end - first), value)
  ).reduce((a, b) => g.add(a, b));
}

/** Rows of a matrix in pieces, in pieces. */
function slice(
  g: ProgramBuilder,
  pieces: readonly Piece[],
  from: number,
  to: number,
): Piece[] {
  const first = pieces[0]!.start;
  return pieces.flatMap(({ value, start, end }) => {
    const [a, b] = [Math.max(first + from, start), Math.min(first + to, end)];
    if (a >= b) return [];
    const whole = a === start && b === end;
    return [{ start: a, end: b, value: whole ? value : g.slice(value, 0, a - start, b - start) }];
  });
}

/** What an equation gives that takes a matrix in pieces; nothing where it takes none there. */
type Taken = { readonly value: Value } | { readonly pieces: readonly Piece[] } | undefined;

function take(
  g: ProgramBuilder,
  equation: Equation,
  operands: readonly Value[],
  pieces: readonly Piece[],
  operand: number,
): Taken {
  switch (equation.primitive) {
    case "gather":
      return operand === 0 ? { value: gather(g, pieces, operands[1]!) } : undefined;
    case "slice": {
      const { axis, start, end } = equation.attributes;
      return axis === 0 ? { pieces: slice(g, pieces, start, end) } : undefined;
    }
    case "stopGradient":
      return { pieces: pieces.map((piece) => ({ ...piece, value: g.stopGradient(piece.value) })) };
    case "matmul": {
      const { transposeA, transposeB } = equation.attributes;
      if (operand !== 1 || transposeA) return undefined;
      const [x] = operands as [Value];
      return { value: transposeB ? byRows(g, x, pieces) : byColumns(g, x, pieces) };
    }
    case "linear": {
      if (operand !== 1) return undefined;
      const { x, bias, a, b } = linearOperands(operands, equation.attributes);
      let y = byRows(g, x, pieces);
      if (bias) y = g.add(y, bias);
      if (!a || !b) return { value: y };
      const narrow = loraInput(g, x, a, equation.attributes.lora!.scale);
      return { value: g.add(y, g.matmul(narrow, b, { transposeB: true })) };
    }
    default:
      return undefined;
  }
}

/**
 * Writes a program over pieces of some of its parameters: look-ups, slices of rows and products take
 * them. The parameters stay in their order, each of those replaced by its pieces.
 *
 * @param rowsOf The rows of each piece; one piece or nothing for a parameter that stays whole.
 * @throws {TypeError} When something else reads such a parameter, or it is updated.
 *
 * @example
 * ```ts
 * import { ProgramBuilder } from "./builder.ts";
 * import { splitParameters } from "./split_parameters.ts";
 * import assert from "node:assert/strict";
 *
 * const g = new ProgramBuilder("logits");
 * const x = g.input("x", "float32", ["n", 8]);
 * g.output("y", g.linear(x, g.parameter("weights", "w", [6, 8])));
 * const split = splitParameters(g.build(), () => [{ start: 0, end: 3 }, { start: 3, end: 6 }]);
 * assert.deepEqual(split.parameters.map(({ name }) => name), ["w[0:3]", "w[3:6]"]);
 * assert.deepEqual(
 *   split.equations.map(({ primitive }) => primitive),
 *   ["matmul", "matmul", "concat"],
 * );
 * ```
 */
export function splitParameters(
  program: Program,
  rowsOf: (parameter: Parameter) => readonly PieceRows[] | undefined,
): Program {
  const large = new Map<number, string>();
  for (const parameter of program.parameters) {
    const { scope, name, value } = parameter;
    if ((rowsOf(parameter)?.length ?? 0) > 1) large.set(value.id, `${scope}/${name}`);
  }
  if (large.size === 0) return program;
  for (const { scope, name } of program.updates) {
    if ([...large.values()].includes(`${scope}/${name}`)) {
      throw refusal(program, `${scope}/${name}`, "it is updated");
    }
  }
  const simple = decompose(
    program,
    ({ primitive, operands }) => primitive !== "tokenLogProb" || !large.has(operands[1]!.id),
  );
  return overPieces(simple, rowsOf);
}

function refusal({ name }: Program, parameter: string, what: string): TypeError {
  return new TypeError(
    `Cannot compile ${name} as ${parameter} must be read by look-ups, slices of rows and products ` +
      `alone, being too large for one buffer: ${what}`,
  );
}

/** The program with pieces for parameters, after what reads them was decomposed as far as needed. */
function overPieces(
  program: Program,
  rowsOf: (parameter: Parameter) => readonly PieceRows[] | undefined,
): Program {
  const builder = new ProgramBuilder(program.name);
  const values = new Map<number, Value>();
  /** What has no value of its own, and the parameter that it comes from. */
  const inPieces = new Map<number, { readonly of: string; readonly pieces: readonly Piece[] }>();
  const valueFor = (reader: string) => (old: Value): Value => {
    const split = inPieces.get(old.id);
    if (split) throw refusal(program, split.of, reader);
    return values.get(old.id)!;
  };
  for (const { name, value } of program.inputs) {
    values.set(value.id, builder.input(name, value.dtype, value.shape));
  }
  for (const parameter of program.parameters) {
    const { scope, name, value: { id, shape } } = parameter;
    const rows = rowsOf(parameter) ?? [];
    if (rows.length < 2) {
      values.set(id, builder.parameter(scope, name, shape));
      continue;
    }
    const pieces = rows.map((one): Piece => ({
      ...one,
      value: builder.parameter(scope, pieceName(name, one), [
        one.end - one.start,
        ...shape.slice(1),
      ]),
    }));
    inPieces.set(id, { of: `${scope}/${name}`, pieces });
  }
  for (const equation of program.equations) {
    const { primitive, attributes, results } = equation;
    const at = equation.operands.findIndex(({ id }) => inPieces.has(id));
    if (at < 0) {
      const made = builder.apply(
        primitive,
        equation.operands.map(valueFor(primitive)),
        attributes as Attributes[Primitive],
      );
      results.forEach(({ id }, index) => values.set(id, made[index]!));
      continue;
    }
    const { of, pieces } = inPieces.get(equation.operands[at]!.id)!;
    const operands = equation.operands.map((old, index) =>
      index === at ? old : valueFor(primitive)(old)
    );
    const taken = take(builder, equation, operands, pieces, at);
    if (taken === undefined) throw refusal(program, of, primitive);
    const [{ id }] = results as [Value];
    if ("value" in taken) values.set(id, taken.value);
    else if (taken.pieces.length === 1) values.set(id, taken.pieces[0]!.value);
    else inPieces.set(id, { of, pieces: taken.pieces });
  }
  return finish(program, { builder, valueOf: valueFor("it is an output") });
}
