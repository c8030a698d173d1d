/**
 * Calling kernels, and who owns which reference: a function that returns a tensor gives its caller one
 * reference, and takes none of its operands'.
 *
 * @module
 */

import type { KernelBackend, KernelFunction, OpenedTfjs, TensorInfo, TfjsType } from "./open.ts";
import type { TfjsDeviceName, TfjsValues } from "./open.ts";

type Attributes = Readonly<Record<string, unknown>>;

/** The kernels of one device. */
export class Kernels {
  readonly device: TfjsDeviceName;
  readonly #opened: OpenedTfjs;
  readonly #functions = new Map<string, KernelFunction>();

  constructor(device: TfjsDeviceName, opened: OpenedTfjs) {
    this.device = device;
    this.#opened = opened;
  }

  get backend(): KernelBackend {
    return this.#opened.backend;
  }

  /** A kernel's result. @throws {TypeError} When the device has no such kernel. */
  call(
    kernel: string,
    inputs: Readonly<Record<string, TensorInfo>> | readonly TensorInfo[],
    attrs: Attributes = {},
  ): TensorInfo {
    let run = this.#functions.get(kernel);
    if (run === undefined) {
      run = this.#opened.core.getKernel(kernel, this.device)?.kernelFunc;
      if (run === undefined) {
        throw new TypeError(
          `Cannot run the program on tfjs-${this.device} as the device must have the kernel ${kernel}: missing`,
        );
      }
      this.#functions.set(kernel, run);
    }
    return run({ inputs, attrs, backend: this.backend });
  }

  /** A tensor of these values, which are not used by anyone else. */
  upload(values: TfjsValues, shape: readonly number[], dtype: TfjsType): TensorInfo {
    return { dataId: this.backend.write(values, shape, dtype), shape: [...shape], dtype };
  }

  /** One more reference to a tensor. */
  retain(x: TensorInfo): TensorInfo {
    this.backend.incRef(x.dataId);
    return x;
  }

  /** Gives references up. */
  free(...tensors: readonly TensorInfo[]): void {
    for (const { dataId } of tensors) this.backend.disposeData(dataId);
  }

  /** The same elements in another shape. */
  reshape(x: TensorInfo, shape: readonly number[]): TensorInfo {
    return { ...this.retain(x), shape: [...shape] };
  }

  /** Uses tensors once and gives them up. */
  using<T>(tensors: readonly TensorInfo[], use: (...tensors: TensorInfo[]) => T): T {
    try {
      return use(...tensors);
    } finally {
      this.free(...tensors);
    }
  }

  /** x repeated along axes of size 1 (and missing ones) to a shape. */
  broadcast(x: TensorInfo, shape: readonly number[]): TensorInfo {
    if (`${x.shape}` === `${shape}`) return this.retain(x);
    const padded = [...Array(shape.length - x.shape.length).fill(1), ...x.shape] as number[];
    const reps = shape.map((size, axis) => size / padded[axis]!);
    return this.using(
      [this.reshape(x, padded)],
      (all) => reps.every((one) => one === 1) ? this.retain(all) : this.#tile(all, reps),
    );
  }

  /**
   * WASM's `Tile` looks up the place of each element, where its products of float32 with broadcasting do
   * not: there x becomes x · 1, which changes no number. `int32` has too many digits for that.
   */
  #tile(x: TensorInfo, reps: readonly number[]): TensorInfo {
    if (this.device === "wasm" && x.dtype === "float32") {
      const shape = x.shape.map((size, axis) => size * reps[axis]!);
      return this.using(
        [this.call("Fill", {}, { shape, value: 1, dtype: "float32" })],
        (ones) => this.call("Multiply", { a: x, b: ones! }),
      );
    }
    if (x.dtype !== "bool") return this.call("Tile", { x }, { reps });
    const numbers = this.device === "wasm" ? "float32" : "int32";
    return this.using(
      [this.call("Cast", { x }, { dtype: numbers })],
      (wide) =>
        this.using(
          [this.#tile(wide!, reps)],
          (tiled) => this.call("Cast", { x: tiled! }, { dtype: "bool" }),
        ),
    );
  }
}
