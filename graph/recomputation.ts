/**
 * Gradient checkpointing: parts of the forward pass computed again for the gradient.
 *
 * @module
 */

import type { ProgramBuilder } from "./builder.ts";
import type { Attributes, Equation, Primitive, Value } from "./program.ts";

/** Equations from one checkpoint to the next. */
interface Segment {
  readonly start: Value;
  readonly end: Value;
  readonly equations: readonly Equation[];
}

function isValue(thing: object): thing is Value {
  return "id" in thing && "dtype" in thing && "shape" in thing;
}

/**
 * The values that the gradient reads in place of those of the forward pass (Chen et al. 2016,
 * arXiv:1604.06174). The reverse pass enters the segments from the last to the first; at each it
 * computes from the segment's start what depends on it.
 */
export class Recomputation {
  readonly #g: ProgramBuilder;
  /** By the results of their equations. */
  readonly #segments = new Map<number, Segment>();
  readonly #entered = new Set<Segment>();
  readonly #copies = new Map<number, Value>();

  /** @throws {TypeError} When a checkpoint is no result of an equation, or out of order. */
  constructor(g: ProgramBuilder, checkpoints: readonly Value[]) {
    this.#g = g;
    const ends = checkpoints.map(({ id }) =>
      g.equations.findIndex(({ results }) => results.some((result) => result.id === id))
    );
    ends.forEach((end, index) => {
      if (end < 0 || (index > 0 && end <= ends[index - 1]!)) {
        throw new TypeError(
          "Cannot take the gradient as checkpoints must be results of equations, in their order: " +
            `${index} is not`,
        );
      }
      if (index === 0) return;
      const equations = g.equations.slice(ends[index - 1]! + 1, end + 1);
      const segment = { start: checkpoints[index - 1]!, end: checkpoints[index]!, equations };
      for (const { results } of equations) {
        for (const { id } of results) this.#segments.set(id, segment);
      }
    });
  }

  /**
   * Called before the gradient of an equation is taken.
   *
   * @param cotangent Of its result. The first one of a segment is that of the segment's end.
   */
  enter({ results }: Equation, cotangent: Value): void {
    const segment = this.#segments.get(results[0]!.id);
    if (!segment || this.#entered.has(segment)) return;
    this.#entered.add(segment);
    this.#copies.clear();
    // A copy of what was computed before would be merged with it, or run too early. This one waits for
    // the cotangent: x + 0 · c.
    const g = this.#g;
    const last = cotangent.shape.length - 1;
    const few = typeof cotangent.shape[last] === "number"
      ? g.slice(cotangent, last, 0, 1)
      : cotangent;
    const nothing = g.mul(g.reduceSum(few), g.constant(0));
    this.#copies.set(segment.start.id, g.add(segment.start, nothing));
    for (const { primitive, operands, attributes, results } of segment.equations) {
      if (!operands.some(({ id }) => this.#copies.has(id))) continue;
      const copies = g.apply(
        primitive,
        operands.map((operand) => this.valueOf(operand)),
        attributes as Attributes[Primitive],
      );
      results.forEach(({ id }, index) => this.#copies.set(id, copies[index]!));
    }
    this.#copies.delete(segment.end.id); // it was kept, as the next segment starts there
  }

  /** What the gradient reads for a value of the forward pass. */
  valueOf(value: Value): Value {
    return this.#copies.get(value.id) ?? value;
  }

  /** The same for all values in a record. */
  valuesIn(record: unknown): unknown {
    if (record === null || typeof record !== "object") return record;
    if (isValue(record)) return this.valueOf(record);
    return Object.fromEntries(
      Object.entries(record).map(([name, one]) => [name, this.valuesIn(one)]),
    );
  }
}
