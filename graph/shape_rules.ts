/**
 * Shape rules: the types of an equation's results from the types of its operands, total over the
 * primitives.
 *
 * @module
 */

import { type Dim, elementCount, equalShapes, formatShape, product, type Shape } from "./dim.ts";
import type { Attributes, DType, Primitive, TensorType } from "./program.ts";

/** Types of the results; throws where the operands do not fit. */
export type ShapeRule<P extends Primitive> = (
  operands: readonly TensorType[],
  attributes: Attributes[P],
) => TensorType[];

function fail(what: string, must: string, is: string): never {
  throw new TypeError(`Cannot apply ${what} as ${must}: ${is}`);
}

function describe(types: readonly TensorType[]): string {
  return types.map((type) => `${type.dtype}${formatShape(type.shape)}`).join(", ");
}

function arity(what: string, operands: readonly TensorType[], count: number): void {
  if (operands.length !== count) {
    fail(what, `it takes ${count} operand${count === 1 ? "" : "s"}`, `${operands.length} given`);
  }
}

function at(operands: readonly TensorType[], index: number): TensorType {
  return operands[index]!;
}

/** Shape of an elementwise result, broadcast as NumPy does. */
export function broadcastShapes(what: string, ...shapes: Shape[]): Shape {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  const result: Dim[] = [];
  for (let axis = 0; axis < rank; axis++) {
    let dim: Dim = 1;
    for (const shape of shapes) {
      const own = shape[axis - rank + shape.length] ?? 1;
      if (own === 1 || own === dim) continue;
      if (dim !== 1) fail(what, "shapes must broadcast", shapes.map(formatShape).join(" and "));
      dim = own;
    }
    result.push(dim);
  }
  return result;
}

/**
 * Checks that a shape has at most 4 axes, each a positive integer or a canonical product of names.
 *
 * @param what What is done, for the message: `Cannot <what> as …`.
 * @throws {TypeError} When it has not.
 */
export function checkShape(what: string, shape: Shape): void {
  if (shape.length > 4) {
    throw new TypeError(
      `Cannot ${what} as a tensor must have at most 4 axes: ${formatShape(shape)}`,
    );
  }
  for (const dim of shape) {
    if (typeof dim === "number" && !(Number.isSafeInteger(dim) && dim > 0)) {
      throw new TypeError(
        `Cannot ${what} as each axis must have a positive size: ${formatShape(shape)}`,
      );
    }
    if (typeof dim === "string" && (dim !== product(dim) || !DIM.test(dim))) {
      throw new TypeError(
        `Cannot ${what} as a named axis must be a sorted product such as 4*batch*time: ${dim}`,
      );
    }
  }
}

const DIM = /^([1-9][0-9]*\*)?[A-Za-z_][A-Za-z0-9_]*(\*[A-Za-z_][A-Za-z0-9_]*)*$/;

function checkRank(what: string, shape: Shape): Shape {
  checkShape(`apply ${what}`, shape);
  return shape;
}

function axisOf(what: string, shape: Shape, axis: number): Dim {
  const dim = shape[axis];
  if (dim === undefined || axis < 0) {
    fail(what, "the axis must exist", `${axis} of ${formatShape(shape)}`);
  }
  return dim;
}

function fixedAxis(what: string, shape: Shape, axis: number): number {
  const dim = axisOf(what, shape, axis);
  if (typeof dim !== "number") fail(what, "the axis must have a known size", `${dim}`);
  return dim;
}

function demand(what: string, operands: readonly TensorType[], index: number, dtype: DType): Shape {
  const type = at(operands, index);
  if (type.dtype !== dtype) fail(what, `operand ${index} must be ${dtype}`, type.dtype);
  return type.shape;
}

function demandShape(what: string, name: string, shape: Shape, expected: Shape): void {
  if (!equalShapes(shape, expected)) {
    fail(what, `${name} must have the shape ${formatShape(expected)}`, formatShape(shape));
  }
}

const unary = (what: Primitive) => (operands: readonly TensorType[]): TensorType[] => {
  arity(what, operands, 1);
  return [{ dtype: "float32", shape: demand(what, operands, 0, "float32") }];
};

const binary =
  (what: Primitive, result?: DType) => (operands: readonly TensorType[]): TensorType[] => {
    arity(what, operands, 2);
    const dtype = at(operands, 0).dtype;
    if (dtype === "bool" || at(operands, 1).dtype !== dtype) {
      fail(what, "both operands must be float32 or both int32", describe(operands));
    }
    const shape = broadcastShapes(what, at(operands, 0).shape, at(operands, 1).shape);
    return [{ dtype: result ?? dtype, shape }];
  };

const logical =
  (what: Primitive, count: number) => (operands: readonly TensorType[]): TensorType[] => {
    arity(what, operands, count);
    const shapes = operands.map((_, index) => demand(what, operands, index, "bool"));
    return [{ dtype: "bool", shape: broadcastShapes(what, ...shapes) }];
  };

const reduction = (what: Primitive) =>
(
  operands: readonly TensorType[],
  { axes, keepDims }: { readonly axes: readonly number[]; readonly keepDims: boolean },
): TensorType[] => {
  arity(what, operands, 1);
  const shape = demand(what, operands, 0, "float32");
  for (const axis of axes) axisOf(what, shape, axis);
  if (new Set(axes).size !== axes.length) fail(what, "an axis must occur once", `[${axes}]`);
  const result = keepDims
    ? shape.map((dim, axis) => axes.includes(axis) ? 1 : dim)
    : shape.filter((_, axis) => !axes.includes(axis));
  return [{ dtype: "float32", shape: result }];
};

function checkWindow(what: string, window: number | undefined): void {
  if (window !== undefined && !(Number.isInteger(window) && window > 0)) {
    fail(what, "the window must be a positive integer", `${window}`);
  }
}

function checkCap(what: string, cap: number | undefined): void {
  if (cap !== undefined && !(Number.isFinite(cap) && cap > 0)) {
    fail(what, "the cap must be a positive number", `${cap}`);
  }
}

function attentionHeads(what: string, query: Shape, key: Shape): void {
  const [heads, keyHeads] = [query[2], key[2]];
  if (typeof heads !== "number" || typeof keyHeads !== "number" || heads % keyHeads !== 0) {
    fail(what, "query heads must be a multiple of key heads", `${heads} and ${keyHeads}`);
  }
}

/** The shape rule of each primitive. */
export const shapeRules: { readonly [P in Primitive]: ShapeRule<P> } = {
  constant(operands, { dtype, shape, data }) {
    arity("constant", operands, 0);
    const count = elementCount(shape);
    if (count !== data.length) {
      fail("constant", `data must have ${count} elements`, `${data.length}`);
    }
    return [{ dtype, shape: checkRank("constant", shape) }];
  },
  iota(operands, { shape, axis }) {
    arity("iota", operands, 0);
    axisOf("iota", shape, axis);
    return [{ dtype: "int32", shape: checkRank("iota", shape) }];
  },
  neg: unary("neg"),
  abs: unary("abs"),
  exp: unary("exp"),
  log: unary("log"),
  sqrt: unary("sqrt"),
  tanh: unary("tanh"),
  erf: unary("erf"),
  sin: unary("sin"),
  cos: unary("cos"),
  sigmoid: unary("sigmoid"),
  softplus: unary("softplus"),
  add: binary("add"),
  sub: binary("sub"),
  mul: binary("mul"),
  div: binary("div"),
  maximum: binary("maximum"),
  minimum: binary("minimum"),
  less: binary("less", "bool"),
  equal: binary("equal", "bool"),
  logicalAnd: logical("logicalAnd", 2),
  logicalOr: logical("logicalOr", 2),
  logicalNot: logical("logicalNot", 1),
  select(operands) {
    arity("select", operands, 3);
    const condition = demand("select", operands, 0, "bool");
    const dtype = at(operands, 1).dtype;
    if (at(operands, 2).dtype !== dtype) {
      fail("select", "both branches must have one element type", describe(operands));
    }
    const shape = broadcastShapes(
      "select",
      condition,
      at(operands, 1).shape,
      at(operands, 2).shape,
    );
    return [{ dtype, shape }];
  },
  cast(operands, { dtype }) {
    arity("cast", operands, 1);
    return [{ dtype, shape: at(operands, 0).shape }];
  },
  stopGradient(operands) {
    arity("stopGradient", operands, 1);
    const { dtype, shape } = at(operands, 0);
    return [{ dtype, shape }];
  },
  broadcast(operands, { shape }) {
    arity("broadcast", operands, 1);
    const { dtype, shape: own } = at(operands, 0);
    demandShape("broadcast", "the target", broadcastShapes("broadcast", own, shape), shape);
    return [{ dtype, shape: checkRank("broadcast", shape) }];
  },
  reshape(operands, { shape }) {
    arity("reshape", operands, 1);
    const { dtype, shape: own } = at(operands, 0);
    if (elementCount(own) !== elementCount(shape)) {
      fail(
        "reshape",
        "the number of elements must stay",
        `${formatShape(own)} to ${formatShape(shape)}`,
      );
    }
    return [{ dtype, shape: checkRank("reshape", shape) }];
  },
  transpose(operands, { permutation }) {
    arity("transpose", operands, 1);
    const { dtype, shape } = at(operands, 0);
    const sorted = [...permutation].sort((a, b) => a - b);
    if (sorted.length !== shape.length || sorted.some((axis, index) => axis !== index)) {
      fail("transpose", `the permutation must order ${shape.length} axes`, `[${permutation}]`);
    }
    return [{ dtype, shape: permutation.map((axis) => shape[axis]!) }];
  },
  slice(operands, { axis, start, end }) {
    arity("slice", operands, 1);
    const { dtype, shape } = at(operands, 0);
    const size = fixedAxis("slice", shape, axis);
    if (!Number.isInteger(start + end) || !(0 <= start && start < end && end <= size)) {
      fail("slice", `0 ≤ start < end ≤ ${size} must hold`, `${start} and ${end}`);
    }
    return [{ dtype, shape: shape.map((dim, index) => index === axis ? end - start : dim) }];
  },
  pad(operands, { axis, before, after }) {
    arity("pad", operands, 1);
    const { dtype, shape } = at(operands, 0);
    const size = fixedAxis("pad", shape, axis);
    if (!Number.isInteger(before + after) || before < 0 || after < 0) {
      fail("pad", "padding must be integers from 0", `${before} and ${after}`);
    }
    return [{
      dtype,
      shape: shape.map((dim, index) => index === axis ? size + before + after : dim),
    }];
  },
  concat(operands, { axis }) {
    if (operands.length === 0) fail("concat", "it takes at least one operand", "0 given");
    const { dtype, shape } = at(operands, 0);
    let size = 0;
    for (const operand of operands) {
      const own = fixedAxis("concat", operand.shape, axis);
      size += own;
      const rest = operand.shape.map((dim, index) => index === axis ? shape[axis]! : dim);
      if (operand.dtype !== dtype || !equalShapes(rest, shape)) {
        fail("concat", "operands must agree but for the axis", describe(operands));
      }
    }
    return [{ dtype, shape: shape.map((dim, index) => index === axis ? size : dim) }];
  },
  reduceSum: reduction("reduceSum"),
  reduceMax: reduction("reduceMax"),
  softmax(operands) {
    const [type] = unary("softmax")(operands) as [TensorType];
    axisOf("softmax", type.shape, type.shape.length - 1);
    return [type];
  },
  logSumExp(operands) {
    arity("logSumExp", operands, 1);
    const shape = demand("logSumExp", operands, 0, "float32");
    axisOf("logSumExp", shape, shape.length - 1);
    return [{ dtype: "float32", shape: shape.slice(0, -1) }];
  },
  matmul(operands, { transposeA, transposeB }) {
    arity("matmul", operands, 2);
    const a = demand("matmul", operands, 0, "float32");
    const b = demand("matmul", operands, 1, "float32");
    if (a.length < 2 || b.length < 2) {
      fail("matmul", "operands must have 2 axes or more", describe(operands));
    }
    const [rows, inner] = transposeA ? [a.at(-1)!, a.at(-2)!] : [a.at(-2)!, a.at(-1)!];
    const [innerB, columns] = transposeB ? [b.at(-1)!, b.at(-2)!] : [b.at(-2)!, b.at(-1)!];
    if (inner !== innerB) fail("matmul", "the inner sizes must agree", describe(operands));
    const leading = broadcastShapes("matmul", a.slice(0, -2), b.slice(0, -2));
    return [{ dtype: "float32", shape: [...leading, rows, columns] }];
  },
  gather(operands) {
    arity("gather", operands, 2);
    const { dtype, shape } = at(operands, 0);
    axisOf("gather", shape, 0);
    const indices = demand("gather", operands, 1, "int32");
    return [{ dtype, shape: checkRank("gather", [...indices, ...shape.slice(1)]) }];
  },
  scatterAdd(operands, { size }) {
    arity("scatterAdd", operands, 2);
    const values = demand("scatterAdd", operands, 0, "float32");
    const indices = demand("scatterAdd", operands, 1, "int32");
    demandShape("scatterAdd", "the indices", indices, values.slice(0, indices.length));
    const shape = [size, ...values.slice(indices.length)];
    return [{ dtype: "float32", shape: checkRank("scatterAdd", shape) }];
  },
  rmsNorm(operands) {
    arity("rmsNorm", operands, 2);
    const shape = demand("rmsNorm", operands, 0, "float32");
    demandShape(
      "rmsNorm",
      "the weight",
      demand("rmsNorm", operands, 1, "float32"),
      shape.slice(-1),
    );
    return [{ dtype: "float32", shape }];
  },
  layerNorm(operands) {
    arity("layerNorm", operands, 3);
    const shape = demand("layerNorm", operands, 0, "float32");
    demandShape(
      "layerNorm",
      "the weight",
      demand("layerNorm", operands, 1, "float32"),
      shape.slice(-1),
    );
    demandShape(
      "layerNorm",
      "the bias",
      demand("layerNorm", operands, 2, "float32"),
      shape.slice(-1),
    );
    return [{ dtype: "float32", shape }];
  },
  rotary(operands) {
    arity("rotary", operands, 3);
    const shape = demand("rotary", operands, 0, "float32");
    if (shape.length !== 4) {
      fail("rotary", "x must have the shape [B, T, H, D]", formatShape(shape));
    }
    const size = fixedAxis("rotary", shape, 3);
    if (size % 2 !== 0) fail("rotary", "the head size must be even", `${size}`);
    const angles = [shape[0]!, shape[1]!, size / 2];
    demandShape("rotary", "cos", demand("rotary", operands, 1, "float32"), angles);
    demandShape("rotary", "sin", demand("rotary", operands, 2, "float32"), angles);
    return [{ dtype: "float32", shape }];
  },
  gatedSilu(operands) {
    arity("gatedSilu", operands, 2);
    const shape = demand("gatedSilu", operands, 0, "float32");
    demandShape("gatedSilu", "up", demand("gatedSilu", operands, 1, "float32"), shape);
    return [{ dtype: "float32", shape }];
  },
  gelu: unary("gelu"),
  linear(operands, { bias, lora }) {
    arity("linear", operands, 2 + (bias ? 1 : 0) + (lora ? 2 : 0));
    const x = demand("linear", operands, 0, "float32");
    const weight = demand("linear", operands, 1, "float32");
    const [outputs, inputs] = weight;
    if (x.length < 2) fail("linear", "x must have 2 axes or more", formatShape(x));
    if (weight.length !== 2 || inputs !== x.at(-1)) {
      fail("linear", "the weight must have the shape [O, I] for x [..., I]", describe(operands));
    }
    if (bias) {
      demandShape("linear", "the bias", demand("linear", operands, 2, "float32"), [outputs!]);
    }
    if (lora) {
      const a = demand("linear", operands, bias ? 3 : 2, "float32");
      const b = demand("linear", operands, bias ? 4 : 3, "float32");
      if (a.length !== 2) fail("linear", "A must have the shape [r, I]", formatShape(a));
      demandShape("linear", "A", a, [a[0]!, inputs!]);
      demandShape("linear", "B", b, [outputs!, a[0]!]);
    }
    return [{ dtype: "float32", shape: [...x.slice(0, -1), outputs!] }];
  },
  tokenLogProb(operands, { chunks, logitCap }) {
    checkCap("tokenLogProb", logitCap);
    arity("tokenLogProb", operands, 3);
    const hidden = demand("tokenLogProb", operands, 0, "float32");
    const vocabulary = demand("tokenLogProb", operands, 1, "float32");
    if (hidden.length !== 2 || vocabulary.length !== 2 || hidden[1] !== vocabulary[1]) {
      fail("tokenLogProb", "hidden [N, D] and vocabulary [V, D] must agree", describe(operands));
    }
    const size = fixedAxis("tokenLogProb", vocabulary, 0);
    if (!(Number.isInteger(chunks) && 1 <= chunks && chunks <= size)) {
      fail("tokenLogProb", `chunks must be an integer from 1 to ${size}`, `${chunks}`);
    }
    demandShape("tokenLogProb", "targets", demand("tokenLogProb", operands, 2, "int32"), [
      hidden[0]!,
    ]);
    return [{ dtype: "float32", shape: [hidden[0]!] }];
  },
  regroup(operands) {
    arity("regroup", operands, 3);
    const x = demand("regroup", operands, 0, "float32");
    const from = demand("regroup", operands, 1, "int32");
    const to = demand("regroup", operands, 2, "int32");
    if (x.length < 1 || from.length !== 2 || to.length !== 2 || to[0] !== x[0]) {
      fail("regroup", "x [N, ...rest], from [M, C] and to [N, D] must agree", describe(operands));
    }
    return [{ dtype: "float32", shape: checkRank("regroup", [from[0]!, ...x.slice(1)]) }];
  },
  attention(operands, { scoreCap, mask, lengths, bias }) {
    const tree = mask.kind === "tree";
    checkCap("attention", scoreCap);
    if (mask.kind === "causal") checkWindow("attention", mask.window);
    arity("attention", operands, 3 + (lengths ? 1 : 0) + (tree ? 2 : 0) + (bias ? 1 : 0));
    const query = demand("attention", operands, 0, "float32");
    const key = demand("attention", operands, 1, "float32");
    const value = demand("attention", operands, 2, "float32");
    if (query.length !== 4 || key.length !== 4 || query[0] !== key[0] || query[3] !== key[3]) {
      fail("attention", "query [B, T, H, D] and key [B, S, Hkv, D] must agree", describe(operands));
    }
    demandShape("attention", "the value", value, key);
    attentionHeads("attention", query, key);
    if (mask.kind !== "bidirectional" && query[1] !== key[1]) {
      fail("attention", `T = S must hold under a ${mask.kind} mask`, `${query[1]} and ${key[1]}`);
    }
    let next = 3;
    if (lengths) {
      demandShape("attention", "lengths", demand("attention", operands, next++, "int32"), [
        query[0]!,
      ]);
    }
    if (tree) {
      const shape = [query[0]!, query[1]!];
      demandShape("attention", "segments", demand("attention", operands, next++, "int32"), shape);
      demandShape("attention", "parents", demand("attention", operands, next++, "int32"), shape);
    }
    if (bias) {
      const shape = demand("attention", operands, next, "float32");
      const expected = [
        shape[0] === 1 ? 1 : query[0]!,
        shape[1] === 1 ? 1 : query[2]!,
        query[1]!,
        key[1]!,
      ];
      demandShape("attention", "the bias", shape, expected);
    }
    return [{ dtype: "float32", shape: query }];
  },
  cachedAttention(operands, { scoreCap, window }) {
    checkCap("cachedAttention", scoreCap);
    checkWindow("cachedAttention", window);
    arity("cachedAttention", operands, 7);
    const query = demand("cachedAttention", operands, 0, "float32");
    const key = demand("cachedAttention", operands, 1, "float32");
    const keys = demand("cachedAttention", operands, 3, "float32");
    if (query.length !== 4 || key.length !== 4 || keys.length !== 4) {
      fail("cachedAttention", "query, key and caches must have 4 axes", describe(operands));
    }
    demandShape("cachedAttention", "the key", key, [query[0]!, query[1]!, key[2]!, query[3]!]);
    demandShape(
      "cachedAttention",
      "the value",
      demand("cachedAttention", operands, 2, "float32"),
      key,
    );
    attentionHeads("cachedAttention", query, key);
    const cache = [query[0]!, key[2]!, keys[2]!, query[3]!];
    demandShape("cachedAttention", "cached keys", keys, cache);
    demandShape(
      "cachedAttention",
      "cached values",
      demand("cachedAttention", operands, 4, "float32"),
      cache,
    );
    demandShape("cachedAttention", "past", demand("cachedAttention", operands, 5, "int32"), [
      query[0]!,
    ]);
    demandShape("cachedAttention", "count", demand("cachedAttention", operands, 6, "int32"), [
      query[0]!,
    ]);
    return [
      { dtype: "float32", shape: query },
      { dtype: "float32", shape: cache },
      { dtype: "float32", shape: cache },
    ];
  },
};
