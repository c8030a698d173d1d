/**
 * Programs as text, for people.
 *
 * @module
 */

import { formatShape } from "./dim.ts";
import type { Program, Value } from "./program.ts";

/** Longest list of a constant's numbers shown whole. */
const SHOWN_NUMBERS = 8;

function typeOf({ dtype, shape }: Value): string {
  return dtype + formatShape(shape);
}

function formatAttribute(value: unknown): string {
  if (Array.isArray(value)) {
    const shown = value.slice(0, SHOWN_NUMBERS).join(", ");
    return value.length > SHOWN_NUMBERS ? `[${shown}, … ${value.length} in all]` : `[${shown}]`;
  }
  return value !== null && typeof value === "object" ? formatAttributes(value) : String(value);
}

function formatAttributes(attributes: object): string {
  const parts = Object.entries(attributes).map(([name, value]) =>
    `${name}: ${formatAttribute(value)}`
  );
  return parts.length === 0 ? "" : `{${parts.join(", ")}}`;
}

/**
 * One line per input, parameter, equation, update and output; values are numbered in order of
 * appearance.
 *
 * @example
 * ```ts
 * import { formatProgram } from "./text.ts";
 * import { ProgramBuilder } from "./builder.ts";
 * import assert from "node:assert/strict";
 *
 * const g = new ProgramBuilder("mean");
 * const x = g.input("x", "float32", ["batch", 2]);
 * g.output("y", g.mul(g.reduceSum(x, [1]), g.constant(0.5)));
 * assert.equal(
 *   formatProgram(g.build()),
 *   `program mean
 *   input x: %0 = float32[batch, 2]
 *   %1: float32[batch] = reduceSum %0 {axes: [1], keepDims: false}
 *   %2: float32[] = constant {dtype: float32, shape: [], data: [0.5]}
 *   %3: float32[batch] = mul %1 %2
 *   output y: %3
 * `,
 * );
 * ```
 */
export function formatProgram(program: Program): string {
  const numbers = new Map<number, number>();
  const name = ({ id }: Value): string => {
    const number = numbers.get(id) ?? numbers.size;
    numbers.set(id, number);
    return `%${number}`;
  };
  const lines = [`program ${program.name}`];
  for (const input of program.inputs) {
    lines.push(`  input ${input.name}: ${name(input.value)} = ${typeOf(input.value)}`);
  }
  for (const { scope, name: own, value } of program.parameters) {
    lines.push(`  parameter ${scope}/${own}: ${name(value)} = ${typeOf(value)}`);
  }
  for (const { primitive, operands, attributes, results } of program.equations) {
    const right = [primitive, ...operands.map(name), formatAttributes(attributes)];
    const left = results.map((value) => `${name(value)}: ${typeOf(value)}`);
    lines.push(`  ${left.join(", ")} = ${right.filter((part) => part !== "").join(" ")}`);
  }
  for (const { scope, name: own, next } of program.updates) {
    lines.push(`  update ${scope}/${own}: ${name(next)}`);
  }
  for (const output of program.outputs) {
    lines.push(`  output ${output.name}: ${name(output.value)}`);
  }
  return lines.join("\n") + "\n";
}
