/**
 * Matrix products by the kernels of each device.
 *
 * tfjs's WASM kernel is fast (XNNPACK) for one matrix by one matrix, neither transposed, and a plain
 * loop for everything else. So on WASM operands are transposed first, equal matrices of a batch become
 * one tall matrix, and a batch of pairs is walked pair by pair.
 *
 * @module
 */

import type { Kernels } from "./kernels.ts";
import type { TensorInfo } from "./open.ts";

/** How the operands of a product stand. */
export interface ProductOptions {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** Multiplications of one pair of matrices from which walking a batch pair by pair is faster. */
const WALKED = 2 ** 14;

/** A constant in transposed form, shared by the programs that use it. */
interface Transposed {
  readonly tensor: TensorInfo;
  users: number;
}

/** Transposed constants of a device, by the constant's data. */
export type TransposedConstants = Map<object, Transposed>;

/** The products of one program. */
export class Products {
  readonly #kernels: Kernels;
  readonly #constants: ReadonlySet<object>;
  readonly #transposed: TransposedConstants;
  readonly #used = new Set<object>();

  /** @param constants Data that never changes while the program lives. */
  constructor(
    kernels: Kernels,
    constants: ReadonlySet<object>,
    transposed: TransposedConstants,
  ) {
    this.#kernels = kernels;
    this.#constants = constants;
    this.#transposed = transposed;
  }

  /** a b over the last two axes, each optionally transposed; leading axes are equal, 1 or missing. */
  product(
    a: TensorInfo,
    b: TensorInfo,
    options: ProductOptions,
    shape: readonly number[],
  ): TensorInfo {
    const k = this.#kernels;
    if (k.device !== "wasm") return this.#direct(a, b, options, shape);
    const [leadingA, leadingB] = [a, b].map(({ shape }) => sizeOf(shape.slice(0, -2)));
    const batch = sizeOf(shape.slice(0, -2));
    const [rows, columns] = shape.slice(-2) as [number, number];
    const inner = a.shape.at(options.transposeA ? -2 : -1)!;
    if (leadingB === 1 && leadingA === batch) {
      return k.using([this.#upright(a, options.transposeA), this.#upright(b, options.transposeB)], (
        left,
        right,
      ) =>
        k.using([
          k.reshape(left!, [1, batch * rows, inner]),
          k.reshape(right!, [1, inner, columns]),
        ], (tall, matrix) => this.#call(tall!, matrix!, shape)));
    }
    if (rows * columns * inner < WALKED) return this.#direct(a, b, options, shape);
    return this.#walk(a, b, options, shape);
  }

  /** x wᵀ + bias over the last axis of x: one kernel, which adds the bias as it writes the product. */
  linear(
    x: TensorInfo,
    weight: TensorInfo,
    bias: TensorInfo,
    shape: readonly number[],
  ): TensorInfo {
    const k = this.#kernels;
    const transposeB = k.device !== "wasm";
    const rows = sizeOf(x.shape.slice(0, -1));
    const attrs = { transposeA: false, transposeB, activation: "linear" };
    return k.using(
      [k.reshape(x, [1, rows, x.shape.at(-1)!]), this.#upright(weight, !transposeB)],
      (a, upright) =>
        k.using(
          [k.reshape(upright!, [1, ...upright!.shape])],
          (b) =>
            k.using(
              [k.call("_FusedMatMul", { a: a!, b: b!, bias }, attrs)],
              (y) => k.reshape(y!, shape),
            ),
        ),
    );
  }

  /** Gives the transposed constants up. */
  dispose(): void {
    for (const dataId of this.#used) {
      const kept = this.#transposed.get(dataId)!;
      if (--kept.users > 0) continue;
      this.#kernels.free(kept.tensor);
      this.#transposed.delete(dataId);
    }
    this.#used.clear();
  }

  #call(a: TensorInfo, b: TensorInfo, shape: readonly number[]): TensorInfo {
    const k = this.#kernels;
    const attrs = { transposeA: false, transposeB: false };
    return k.using([k.call("BatchMatMul", { a, b }, attrs)], (y) => k.reshape(y!, shape));
  }

  /** The device's own kernel, over three axes and one batch. */
  #direct(
    a: TensorInfo,
    b: TensorInfo,
    options: ProductOptions,
    shape: readonly number[],
  ): TensorInfo {
    const k = this.#kernels;
    const leading = shape.slice(0, -2);
    const flat = (x: TensorInfo) => {
      const matrix = x.shape.slice(-2);
      const own = x.shape.slice(0, -2);
      if (sizeOf(own) === 1) return k.reshape(x, [1, ...matrix]);
      return k.using(
        [k.broadcast(x, [...leading, ...matrix])],
        (all) => k.reshape(all!, [sizeOf(leading), ...matrix]),
      );
    };
    return k.using(
      [flat(a), flat(b)],
      (left, right) =>
        k.using(
          [k.call("BatchMatMul", { a: left!, b: right! }, { ...options })],
          (y) => k.reshape(y!, shape),
        ),
    );
  }

  /** x, with its last two axes swapped where it is to be used transposed. */
  #upright(x: TensorInfo, transpose: boolean): TensorInfo {
    const k = this.#kernels;
    if (!transpose) return k.retain(x);
    const swap = () => {
      const rank = x.shape.length;
      const perm = x.shape.map((_, axis) => axis < rank - 2 ? axis : 2 * rank - 3 - axis);
      return k.call("Transpose", { x }, { perm });
    };
    if (!this.#constants.has(x.dataId)) return swap();
    let kept = this.#transposed.get(x.dataId);
    if (kept === undefined) {
      kept = { tensor: swap(), users: 0 };
      this.#transposed.set(x.dataId, kept);
    }
    if (!this.#used.has(x.dataId)) {
      this.#used.add(x.dataId);
      kept.users++;
    }
    return k.retain(kept.tensor);
  }

  /** One product after the other. */
  #walk(
    a: TensorInfo,
    b: TensorInfo,
    { transposeA, transposeB }: ProductOptions,
    shape: readonly number[],
  ): TensorInfo {
    const k = this.#kernels;
    const leading = shape.slice(0, -2);
    const batch = sizeOf(leading);
    return k.using([this.#upright(a, transposeA), this.#upright(b, transposeB)], (left, right) => {
      const parts: TensorInfo[] = [];
      try {
        for (let at = 0; at < batch; at++) {
          const pair = [this.#matrix(left!, leading, at), this.#matrix(right!, leading, at)];
          parts.push(k.using(pair, (x, y) => this.#call(x!, y!, [1, ...shape.slice(-2)])));
        }
        return k.using([k.call("Concat", parts, { axis: 0 })], (all) => k.reshape(all!, shape));
      } finally {
        k.free(...parts);
      }
    });
  }

  /** Matrix [1, rows, columns] of a batch whose leading axes broadcast to `leading`. */
  #matrix(x: TensorInfo, leading: readonly number[], at: number): TensorInfo {
    const k = this.#kernels;
    const own = x.shape.slice(0, -2);
    let [index, stride, rest] = [0, 1, at];
    for (let axis = leading.length - 1; axis >= 0; axis--) {
      const coordinate = rest % leading[axis]!;
      rest = Math.floor(rest / leading[axis]!);
      const size = own[axis - (leading.length - own.length)] ?? 1;
      if (size > 1) index += coordinate * stride;
      stride *= size;
    }
    const [rows, columns] = x.shape.slice(-2) as [number, number];
    return k.using(
      [k.reshape(x, [sizeOf(own), rows, columns])],
      (all) => k.call("Slice", { x: all! }, { begin: [index, 0, 0], size: [1, rows, columns] }),
    );
  }
}
