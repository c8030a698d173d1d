/**
 * What each simple primitive computes, in float64.
 *
 * @module
 */

import { evaluateDim, type Sizes } from "./dim.ts";
import {
  broadcastStrides,
  choose,
  erf,
  type Float64Tensor,
  gatherStrided,
  map1,
  map2,
  matrixProduct,
  reduce,
  sizeOf,
  stridesOf,
} from "./float64.ts";
import type { Attributes, DType, SimplePrimitive } from "./program.ts";

/** An equation whose sizes are known. */
export interface Evaluation<P extends SimplePrimitive> {
  readonly operands: readonly Float64Tensor[];
  readonly attributes: Attributes[P];
  /** Shape of the result. */
  readonly shape: readonly number[];
  /** Element type of the result. */
  readonly dtype: DType;
  /** Sizes of the named dimensions. */
  readonly sizes: Sizes;
}

/** Computes the elements of the result. */
export type EvaluationRule<P extends SimplePrimitive> = (evaluation: Evaluation<P>) => Float64Array;

function unary<P extends SimplePrimitive>(f: (x: number) => number): EvaluationRule<P> {
  return ({ operands: [x] }) => map1(x!, f);
}

function binary<P extends SimplePrimitive>(f: (a: number, b: number) => number): EvaluationRule<P> {
  return ({ operands: [a, b], shape }) => map2(a!, b!, shape, f);
}

const truth = (condition: boolean): number => condition ? 1 : 0;

/** Copies one axis of x, `size` at each step outside it, into an axis of `outSize` at `offset`. */
function copyAxis(
  x: Float64Tensor,
  axis: number,
  from: number,
  count: number,
  out: Float64Array,
  outSize: number,
  offset: number,
): void {
  const inner = sizeOf(x.shape.slice(axis + 1));
  const outer = sizeOf(x.shape.slice(0, axis));
  const size = x.shape[axis]!;
  for (let i = 0; i < outer; i++) {
    const start = (i * size + from) * inner;
    out.set(x.data.subarray(start, start + count * inner), (i * outSize + offset) * inner);
  }
}

function rowAt(what: string, index: number, size: number): number {
  if (!(index >= 0 && index < size)) {
    throw new RangeError(`Cannot ${what} as an index must be from 0 to ${size - 1}: ${index}`);
  }
  return index;
}

/** Calls f with the bounds of each row along the last axis. */
function forLastAxis(
  { shape, data }: Float64Tensor,
  f: (start: number, end: number) => void,
): void {
  const size = shape.at(-1)!;
  for (let start = 0; start < data.length; start += size) f(start, start + size);
}

function maximumOf(data: Float64Array, start: number, end: number): number {
  let maximum = -Infinity;
  for (let i = start; i < end; i++) maximum = Math.max(maximum, data[i]!);
  return maximum;
}

/** A rule of each simple primitive. */
export const evaluationRules: { readonly [P in SimplePrimitive]: EvaluationRule<P> } = {
  constant: ({ attributes: { data } }) => Float64Array.from(data),
  iota({ attributes: { axis }, shape }) {
    const out = new Float64Array(sizeOf(shape));
    const stride = stridesOf(shape)[axis]!;
    for (let i = 0; i < out.length; i++) out[i] = Math.floor(i / stride) % shape[axis]!;
    return out;
  },
  neg: unary((x) => -x),
  abs: unary(Math.abs),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  tanh: unary(Math.tanh),
  erf: unary(erf),
  sin: unary(Math.sin),
  cos: unary(Math.cos),
  sigmoid: unary((x) => x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
  softplus: unary((x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  div: ({ operands: [a, b], shape, dtype }) =>
    map2(a!, b!, shape, dtype === "int32" ? (x, y) => Math.trunc(x / y) : (x, y) => x / y),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  less: binary((a, b) => truth(a < b)),
  equal: binary((a, b) => truth(a === b)),
  logicalAnd: binary((a, b) => truth(a !== 0 && b !== 0)),
  logicalOr: binary((a, b) => truth(a !== 0 || b !== 0)),
  logicalNot: unary((x) => truth(x === 0)),
  select: ({ operands: [c, t, f], shape }) => choose(c!, t!, f!, shape),
  cast({ operands: [x], attributes: { dtype } }) {
    switch (dtype) {
      case "float32":
        return x!.data;
      case "int32":
        return map1(x!, Math.trunc);
      case "bool":
        return map1(x!, (one) => truth(one !== 0));
      default:
        return dtype satisfies never;
    }
  },
  stopGradient: ({ operands: [x] }) => x!.data,
  broadcast: ({ operands: [x], shape }) =>
    gatherStrided(x!, shape, broadcastStrides(x!.shape, shape)),
  reshape: ({ operands: [x] }) => x!.data,
  transpose({ operands: [x], attributes: { permutation }, shape }) {
    const strides = stridesOf(x!.shape);
    return gatherStrided(x!, shape, permutation.map((axis) => strides[axis]!));
  },
  slice({ operands: [x], attributes: { axis, start, end }, shape }) {
    const out = new Float64Array(sizeOf(shape));
    copyAxis(x!, axis, start, end - start, out, end - start, 0);
    return out;
  },
  pad({ operands: [x], attributes: { axis, before }, shape }) {
    const out = new Float64Array(sizeOf(shape));
    copyAxis(x!, axis, 0, x!.shape[axis]!, out, shape[axis]!, before);
    return out;
  },
  concat({ operands, attributes: { axis }, shape }) {
    const out = new Float64Array(sizeOf(shape));
    let offset = 0;
    for (const operand of operands) {
      const size = operand.shape[axis]!;
      copyAxis(operand, axis, 0, size, out, shape[axis]!, offset);
      offset += size;
    }
    return out;
  },
  reduceSum: ({ operands: [x], attributes: { axes } }) => reduce(x!, axes, 0, (a, b) => a + b),
  reduceMax: ({ operands: [x], attributes: { axes } }) => reduce(x!, axes, -Infinity, Math.max),
  softmax({ operands: [x] }) {
    const out = new Float64Array(x!.data.length);
    forLastAxis(x!, (start, end) => {
      const maximum = maximumOf(x!.data, start, end);
      let sum = 0;
      for (let i = start; i < end; i++) sum += out[i] = Math.exp(x!.data[i]! - maximum);
      for (let i = start; i < end; i++) out[i]! /= sum;
    });
    return out;
  },
  logSumExp({ operands: [x], shape }) {
    const out = new Float64Array(sizeOf(shape));
    let at = 0;
    forLastAxis(x!, (start, end) => {
      const maximum = maximumOf(x!.data, start, end);
      let sum = 0;
      for (let i = start; i < end; i++) sum += Math.exp(x!.data[i]! - maximum);
      out[at++] = maximum + Math.log(sum);
    });
    return out;
  },
  matmul: ({ operands: [a, b], attributes: { transposeA, transposeB }, shape }) =>
    matrixProduct(a!, b!, shape, transposeA, transposeB),
  gather({ operands: [table, indices], shape }) {
    const out = new Float64Array(sizeOf(shape));
    const width = sizeOf(table!.shape.slice(1));
    indices!.data.forEach((index, at) => {
      const start = rowAt("gather", index, table!.shape[0]!) * width;
      out.set(table!.data.subarray(start, start + width), at * width);
    });
    return out;
  },
  scatterAdd({ operands: [values, indices], attributes: { size }, shape, sizes }) {
    const out = new Float64Array(sizeOf(shape));
    const width = sizeOf(shape.slice(1));
    const rows = evaluateDim(size, sizes);
    indices!.data.forEach((index, at) => {
      const start = rowAt("scatterAdd", index, rows) * width;
      for (let i = 0; i < width; i++) out[start + i]! += values!.data[at * width + i]!;
    });
    return out;
  },
};
