/**
 * Attention in terms of simple primitives. Query heads that share a key head are stacked below each
 * other, so that keys and values are never repeated and no tensor has more than 4 axes.
 *
 * @module
 */

import type { ProgramBuilder } from "./builder.ts";
import { type Dim, product } from "./dim.ts";
import type { Attributes, Mask, Value } from "./program.ts";
import { softCapped } from "./soft_cap.ts";

/**
 * Added to the score of a position that a query may not see. Finite, so that a row of them has a
 * softmax; so large that any score drowns in it.
 */
export const INVISIBLE: number = -1e30;

/** Boolean [T, S] or [B, 1, T, S]: which keys each query sees; nothing where it sees them all. */
function visible(
  g: ProgramBuilder,
  query: Value,
  keyLength: Dim,
  mask: Mask,
  extra: { readonly lengths?: Value; readonly segments?: Value; readonly parents?: Value },
): Value | undefined {
  const [batch, time] = query.shape as [Dim, Dim];
  const columns = g.iota([1, keyLength], 1);
  const conditions: Value[] = [];
  if (mask.kind !== "bidirectional") {
    const rows = g.iota([time, 1], 0);
    conditions.push(g.logicalNot(g.less(rows, columns)));
    if (mask.kind === "causal" && mask.window !== undefined) {
      conditions.push(g.less(g.sub(rows, columns), g.constant(mask.window, [], "int32")));
    }
  }
  if (mask.kind === "tree") {
    const own = g.reshape(extra.segments!, [batch, 1, time, 1]);
    const parent = g.reshape(extra.parents!, [batch, 1, time, 1]);
    const other = g.reshape(extra.segments!, [batch, 1, 1, time]);
    conditions.push(g.logicalOr(g.equal(other, own), g.equal(other, parent)));
  }
  if (extra.lengths) {
    conditions.push(g.less(columns, g.reshape(extra.lengths, [batch, 1, 1, 1])));
  }
  return conditions.length === 0 ? undefined : conditions.reduce((a, b) => g.logicalAnd(a, b));
}

function additive(g: ProgramBuilder, seen: Value): Value {
  return g.select(seen, g.constant(0), g.constant(INVISIBLE));
}

/** What the gradient of attention takes from its forward pass; G query heads share a key head. */
export interface AttentionForward {
  /** [B, T, H, D] */
  readonly output: Value;
  /** Scaled [B, Hkv, G·T, D]. */
  readonly query: Value;
  /** [B, Hkv, S, D] */
  readonly key: Value;
  /** [B, Hkv, S, D] */
  readonly value: Value;
  /** [B, Hkv, G·T, S] */
  readonly probabilities: Value;
  /** probabilities · value [B, Hkv, G·T, D]. */
  readonly context: Value;
  /** Derivative of the capped scores by the scaled ones [B, Hkv, G·T, S]; absent without a cap. */
  readonly slope?: () => Value;
  /** 1 where a query sees anything, else 0 [B, 1, T or 1, 1]; absent where each sees something. */
  readonly sees?: Value;
}

/** [B, T, H, D] to [B, Hkv, G·T, D]: the heads of a group below each other. */
export function groupHeads(g: ProgramBuilder, x: Value, keyHeads: Dim): Value {
  const [batch, time, heads, size] = x.shape as [Dim, Dim, number, Dim];
  const transposed = g.transpose(x, [0, 2, 1, 3]);
  const rows = product(heads / (keyHeads as number), time);
  return g.reshape(transposed, [batch, keyHeads, rows, size]);
}

/** The inverse of {@linkcode groupHeads}; `sees` multiplies the rows on the way. */
export function ungroupHeads(
  g: ProgramBuilder,
  x: Value,
  heads: Dim,
  time: Dim,
  sees?: Value,
): Value {
  const [batch, , , size] = x.shape as [Dim, Dim, Dim, Dim];
  const split = g.reshape(x, [batch, heads, time, size]);
  return g.transpose(sees ? g.mul(split, sees) : split, [0, 2, 1, 3]);
}

/** softmax(cap(query · keyᵀ) + mask + bias) · value, for a grouped and scaled query. */
function attend(
  g: ProgramBuilder,
  grouped: Value,
  key: Value,
  value: Value,
  heads: Dim,
  time: Dim,
  { scoreCap, addends }: {
    readonly scoreCap: number | undefined;
    readonly addends: readonly Value[];
  },
): Pick<AttentionForward, "probabilities" | "context" | "slope"> {
  const [batch, , rows] = grouped.shape as [Dim, Dim, Dim, Dim];
  const [, keyHeads, keyLength] = key.shape as [Dim, Dim, Dim, Dim];
  const capped = softCapped(
    g,
    scoreCap,
    grouped,
    (query) => g.matmul(query, key, { transposeB: true }),
  );
  let scores = capped.value;
  if (addends.length > 0) {
    scores = g.reshape(scores, [batch, heads, time, keyLength]);
    for (const addend of addends) scores = g.add(scores, addend);
  }
  const probabilities = g.reshape(g.softmax(scores), [batch, keyHeads, rows, keyLength]);
  return {
    probabilities,
    context: g.matmul(probabilities, value),
    ...(capped.slope ? { slope: capped.slope } : {}),
  };
}

/** Attention in simple primitives, with what its gradient needs. */
export function attentionForward(
  g: ProgramBuilder,
  operands: readonly Value[],
  { scale, scoreCap, mask, lengths, bias }: Attributes["attention"],
): AttentionForward {
  const [query, key, value] = operands as [Value, Value, Value];
  const [, time, heads] = query.shape as [Dim, Dim, Dim, Dim];
  const keyHeads = key.shape[2]!;
  const keyLength = key.shape[1]!;
  let next = 3;
  const extra: { lengths?: Value; segments?: Value; parents?: Value } = {};
  if (lengths) extra.lengths = operands[next++]!;
  if (mask.kind === "tree") {
    extra.segments = operands[next++]!;
    extra.parents = operands[next++]!;
  }
  const seen = visible(g, query, keyLength, mask, extra);
  const addends = seen ? [additive(g, seen)] : [];
  if (bias) addends.push(operands[next]!);
  const grouped = g.mul(groupHeads(g, query, keyHeads), g.constant(scale));
  const keys = g.transpose(key, [0, 2, 1, 3]);
  const values = g.transpose(value, [0, 2, 1, 3]);
  const attended = attend(g, grouped, keys, values, heads, time, { scoreCap, addends });
  // Without lengths a query sees at least itself.
  const sees = lengths
    ? g.reduceMax(g.select(seen!, g.constant(1), g.constant(0)), [3], true)
    : undefined;
  return {
    ...attended,
    output: ungroupHeads(g, attended.context, heads, time, sees),
    query: grouped,
    key: keys,
    value: values,
    ...(sees ? { sees } : {}),
  };
}

/** Attention over a cache in simple primitives: output, updated keys, updated values. */
export function cachedAttention(
  g: ProgramBuilder,
  operands: readonly Value[],
  { scale, scoreCap, window }: Attributes["cachedAttention"],
): Value[] {
  const [query, key, value, keys, values, past, count] = operands as [
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
  ];
  const [batch, time, heads] = query.shape as [Dim, Dim, Dim, Dim];
  const [, keyHeads, capacity] = keys.shape as [Dim, Dim, Dim, Dim];
  const start = g.reshape(past, [batch, 1, 1, 1]);
  const end = g.add(start, g.reshape(count, [batch, 1, 1, 1]));
  const cell = g.iota([capacity, 1], 0);
  const written = g.logicalAnd(g.logicalNot(g.less(cell, start)), g.less(cell, end));
  const store = (fresh: Value, old: Value): Value => {
    const rows = g.transpose(fresh, [0, 2, 1, 3]); // [B, Hkv, T, D]
    if (time === 1) return g.select(written, rows, old);
    const position = g.add(start, g.iota([1, time], 1));
    const oneHot = g.cast(g.equal(cell, position), "float32"); // [B, 1, C, T]
    return g.select(written, g.matmul(oneHot, rows), old);
  };
  const newKeys = store(key, keys);
  const newValues = store(value, values);
  const column = g.iota([1, capacity], 1);
  const position = g.add(start, g.iota([time, 1], 0)); // [B, 1, T, 1]
  let seen = g.logicalNot(g.less(position, column));
  if (window !== undefined) {
    seen = g.logicalAnd(
      seen,
      g.less(g.sub(position, column), g.constant(window, [], "int32")),
    );
  }
  const grouped = groupHeads(g, g.mul(query, g.constant(scale)), keyHeads);
  const { context } = attend(g, grouped, newKeys, newValues, heads, time, {
    scoreCap,
    addends: [additive(g, seen)],
  });
  return [ungroupHeads(g, context, heads, time), newKeys, newValues];
}
