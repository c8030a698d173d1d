/**
 * Loops over dense float64 tensors.
 *
 * @module
 */

/** A dense tensor, row-major; integers and truth values are numbers too. */
export interface Float64Tensor {
  /** Sizes, outermost axis first. */
  readonly shape: readonly number[];
  /** Elements; their number is the product of the shape. */
  readonly data: Float64Array;
}

/** Number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Distance in elements between neighbours along each axis. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** Strides with which a tensor of shape `from` is read as one of shape `to` (axes from the last). */
export function broadcastStrides(from: readonly number[], to: readonly number[]): number[] {
  const strides = stridesOf(from);
  const extra = to.length - from.length;
  return to.map((_, axis) => axis < extra || from[axis - extra] === 1 ? 0 : strides[axis - extra]!);
}

function four<T>(values: readonly T[], fill: T): [T, T, T, T] {
  return [...Array<T>(4 - values.length).fill(fill), ...values] as [T, T, T, T];
}

/** Calls `row` with the offset of each operand (at most 3) at each row along the last axis. */
function forRows(
  shape: readonly number[],
  strides: readonly (readonly number[])[],
  row: (count: number, offsets: Int32Array) => void,
): void {
  const [n0, n1, n2, n3] = four(shape, 1);
  const padded = strides.map((one) => four(one, 0));
  const offsets = new Int32Array(3);
  for (let i = 0; i < n0; i++) {
    for (let j = 0; j < n1; j++) {
      for (let k = 0; k < n2; k++) {
        for (let t = 0; t < padded.length; t++) {
          const stride = padded[t]!;
          offsets[t] = i * stride[0] + j * stride[1] + k * stride[2];
        }
        row(n3, offsets);
      }
    }
  }
}

/** f of each element. */
export function map1(x: Float64Tensor, f: (x: number) => number): Float64Array {
  const out = new Float64Array(x.data.length);
  for (let i = 0; i < out.length; i++) out[i] = f(x.data[i]!);
  return out;
}

/** f of each pair of elements, broadcast to `shape`. */
export function map2(
  a: Float64Tensor,
  b: Float64Tensor,
  shape: readonly number[],
  f: (a: number, b: number) => number,
): Float64Array {
  const out = new Float64Array(sizeOf(shape));
  const [x, y] = [a.data, b.data];
  if (x.length === out.length && y.length === out.length) {
    for (let i = 0; i < out.length; i++) out[i] = f(x[i]!, y[i]!);
    return out;
  }
  const strides = [broadcastStrides(a.shape, shape), broadcastStrides(b.shape, shape)];
  const [sx, sy] = [strides[0]!.at(-1) ?? 0, strides[1]!.at(-1) ?? 0];
  let at = 0;
  forRows(shape, strides, (count, offsets) => {
    let [i, j] = [offsets[0]!, offsets[1]!];
    for (let n = 0; n < count; n++, i += sx, j += sy) out[at++] = f(x[i]!, y[j]!);
  });
  return out;
}

/** whenTrue where the condition is not 0, else whenFalse, broadcast to `shape`. */
export function choose(
  condition: Float64Tensor,
  whenTrue: Float64Tensor,
  whenFalse: Float64Tensor,
  shape: readonly number[],
): Float64Array {
  const out = new Float64Array(sizeOf(shape));
  const operands = [condition, whenTrue, whenFalse];
  const strides = operands.map((one) => broadcastStrides(one.shape, shape));
  const [sc, st, sf] = strides.map((one) => one.at(-1) ?? 0) as [number, number, number];
  let at = 0;
  forRows(shape, strides, (count, offsets) => {
    let [c, t, f] = [offsets[0]!, offsets[1]!, offsets[2]!];
    for (let n = 0; n < count; n++, c += sc, t += st, f += sf) {
      out[at++] = condition.data[c] !== 0 ? whenTrue.data[t]! : whenFalse.data[f]!;
    }
  });
  return out;
}

/** Elements of x in the order of `shape`, read with the given strides. */
export function gatherStrided(
  x: Float64Tensor,
  shape: readonly number[],
  strides: readonly number[],
): Float64Array {
  const out = new Float64Array(sizeOf(shape));
  const step = strides.at(-1) ?? 0;
  let at = 0;
  forRows(shape, [strides], (count, offsets) => {
    let i = offsets[0]!;
    for (let n = 0; n < count; n++, i += step) out[at++] = x.data[i]!;
  });
  return out;
}

/** Combines the elements of x over axes, starting at `start`. */
export function reduce(
  x: Float64Tensor,
  axes: readonly number[],
  start: number,
  f: (sum: number, x: number) => number,
): Float64Array {
  const kept = x.shape.map((size, axis) => axes.includes(axis) ? 1 : size);
  const strides = broadcastStrides(kept, x.shape);
  const step = strides.at(-1) ?? 0;
  const out = new Float64Array(sizeOf(kept)).fill(start);
  let at = 0;
  forRows(x.shape, [strides], (count, offsets) => {
    let i = offsets[0]!;
    for (let n = 0; n < count; n++, i += step) out[i] = f(out[i]!, x.data[at++]!);
  });
  return out;
}

/** Matrix product over the last two axes; leading axes broadcast. */
export function matrixProduct(
  a: Float64Tensor,
  b: Float64Tensor,
  shape: readonly number[],
  transposeA: boolean,
  transposeB: boolean,
): Float64Array {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const inner = a.shape.at(transposeA ? -2 : -1)!;
  const leading = shape.slice(0, -2);
  const out = new Float64Array(sizeOf(shape));
  const strides = [a, b].map((one) =>
    broadcastStrides(one.shape.slice(0, -2), leading).map((stride) =>
      stride * sizeOf(one.shape.slice(-2))
    )
  );
  const [ai, ak] = transposeA ? [1, rows] : [inner, 1];
  const [x, y] = [a.data, b.data];
  let base = 0;
  const product = (offsetA: number, offsetB: number): void => {
    for (let i = 0; i < rows; i++, base += columns) {
      if (transposeB) {
        for (let j = 0; j < columns; j++) {
          let sum = 0;
          let [p, q] = [offsetA + i * ai, offsetB + j * inner];
          for (let k = 0; k < inner; k++, p += ak, q++) sum += x[p]! * y[q]!;
          out[base + j] = sum;
        }
      } else {
        for (let k = 0; k < inner; k++) {
          const factor = x[offsetA + i * ai + k * ak]!;
          const q = offsetB + k * columns;
          for (let j = 0; j < columns; j++) out[base + j]! += factor * y[q + j]!;
        }
      }
    }
  };
  const steps = strides.map((one) => one.at(-1) ?? 0) as [number, number];
  forRows(leading, strides, (count, offsets) => {
    for (let n = 0; n < count; n++) {
      product(offsets[0]! + n * steps[0], offsets[1]! + n * steps[1]);
    }
  });
  return out;
}

/**
 * Error function to about 1e-15: its series of positive terms to |x| = 3, the continued fraction of
 * erfc beyond (Abramowitz and Stegun 7.1.6 and 7.1.14).
 */
export function erf(x: number): number {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  if (size <= 3) {
    let [term, sum] = [x, x];
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= 2 * x * x / (2 * n + 1);
      sum += term;
    }
    return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
  }
  let fraction = size;
  for (let n = 60; n > 0; n--) fraction = size + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction);
}
