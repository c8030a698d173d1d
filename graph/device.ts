/**
 * The short way to a backend. A device holds tensors that never change and runs programs as functions
 * over them; {@linkcode deviceBackend} adds everything else that `backend.ts` asks for: stores, scopes,
 * snapshots, updates that late readers do not see, order among runs, disposal and the refusals.
 *
 * An update replaces the tensor of a store by another one, so old and new value exist side by side for
 * a moment. A backend that writes caches in place implements `Backend` itself (`backends/onnx/native`).
 *
 * @module
 */

import type { BackendLimits, HostTensor } from "./backend.ts";
import type { Sizes } from "./dim.ts";
import type { Parameter, Program } from "./program.ts";

/** Rows of a tensor, along its first axis. */
export interface Rows<T> {
  /** Where they are. */
  readonly tensor: T;
  /** The first of them. */
  readonly start: number;
  /** How many. */
  readonly count: number;
}

/** A tensor of a constant scope. */
export interface DeviceConstant<T> {
  /** The parameter it stands for. */
  readonly parameter: Parameter;
  /** Held by its store for as long as the program lives. */
  readonly tensor: T;
}

/** What one run computed. */
export interface DeviceResult<T> {
  /** In the order of the program's outputs; `bool` as int32. */
  readonly outputs: readonly HostTensor[];
  /** In the order of the program's updates; each a new tensor that no one else holds. */
  readonly updates: readonly T[];
}

/** A program made ready on a device. */
export interface DeviceProgram<T> {
  /**
   * Runs once. Inputs and parameters were checked.
   *
   * @param parameters Those of scopes that are not constant, in the program's order.
   * @param sizes Every named dimension.
   */
  run(
    inputs: Readonly<Record<string, HostTensor>>,
    parameters: readonly T[],
    sizes: Sizes,
    signal: AbortSignal | undefined,
  ): Promise<DeviceResult<T>>;
  /** Frees what was compiled. */
  dispose(): void | Promise<void>;
}

/** Where tensors are kept and programs run. `T` is a float32 tensor on it. */
export interface Device<T> {
  /** The word given to `--backend`. */
  readonly name: string;
  /** Such as `cpu`, `wasm`, `webgpu`. */
  readonly device: string;
  /** Versions of what computes, for the record of a run. */
  readonly versions: Readonly<Record<string, string>>;
  /** What the device can hold. */
  readonly limits: BackendLimits;
  /** Takes values; they are not used by anyone else. */
  upload(shape: readonly number[], values: Float32Array): T | Promise<T>;
  /** A copy of the values. */
  download(tensor: T): Promise<Float32Array>;
  /** A new tensor of rows, one part after the other; parts agree in all but the first axis. */
  assemble(parts: readonly Rows<T>[]): T | Promise<T>;
  /** Bytes that a tensor takes. */
  bytes(tensor: T): number;
  /** Frees a tensor. */
  free(tensor: T): void;
  /**
   * Makes a program ready.
   *
   * @throws {TypeError} When the program holds something that the device cannot run.
   */
  compile(
    program: Program,
    constants: readonly DeviceConstant<T>[],
    signal: AbortSignal | undefined,
  ): Promise<DeviceProgram<T>>;
  /** Frees everything. */
  dispose(): void | Promise<void>;
}
