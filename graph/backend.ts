/**
 * The contract between programs and the places they run. A backend knows nothing of models, tokens
 * or losses; whoever builds programs receives a backend as a value.
 *
 * Laws (held by the conformance suite in `tests/backends/`):
 * - a run returns what the float64 interpreter returns, to the tolerance of float32;
 * - a reader of an updated parameter sees its old value during the run, whatever the node order;
 * - two executables bound to one store see each other's updates; a snapshot sees none;
 * - runs of one executable may be started concurrently; they happen one after the other;
 * - what was bound can be disposed by itself: it then holds no memory and refuses to run, and the
 *   executable, its stores and its other bindings go on;
 * - weights that stayed encoded are the same numbers: a run with float32 activations returns what it
 *   returns with the decoded ones;
 * - nothing runs elsewhere unseen: what a backend cannot do it refuses, naming the primitive.
 *
 * @module
 */

import type { Encoding } from "./encodings.ts";
import type { Program } from "./program.ts";
import type { TensorSource } from "./tensor_source.ts";

/** A tensor on the host, row-major. `bool` values travel as int32 0 and 1. */
export interface HostTensor {
  /** Sizes, outermost axis first. */
  readonly shape: readonly number[];
  /** Elements; their number is the product of the shape. */
  readonly data: Float32Array | Int32Array;
}

/** One tensor of a new store: read from a source, or zeros of a shape. */
export type StoreEntry = TensorSource | {
  readonly name: string;
  readonly shape: readonly number[];
};

/** Progress of a long step, in units named by the caller. */
export interface Progress {
  /** Units done so far. */
  readonly done: number;
  /** Units in all. */
  readonly total: number;
}

/** Options of {@linkcode Backend.createStore}. */
export interface CreateStoreOptions {
  /**
   * Whether matrices stay in the encoding of their source where the backend has kernels for it; others
   * are decoded to float32. Encoded tensors take less memory and are read by programs as constants; they
   * are not written. Default: all are decoded.
   */
  readonly keepEncoded?: boolean;
  /** Called as bytes arrive. */
  readonly onProgress?: (progress: Progress) => void;
  /** Ends the creation with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Named tensors on the device: the base weights, one adapter, one cache, optimizer moments. */
export interface Store {
  /** Names in the order given at creation. */
  readonly names: readonly string[];
  /** Device memory held, in bytes. */
  readonly bytes: number;
  /** Shape of a tensor. @throws {RangeError} When the name is unknown. */
  shape(name: string): readonly number[];
  /** How a tensor is held: `f32`, or the encoding it stayed in. @throws {RangeError} When unknown. */
  encoding(name: string): Encoding;
  /** A copy of a tensor's values as float32. */
  read(name: string): Promise<Float32Array>;
  /**
   * Replaces a tensor's values.
   *
   * @throws {RangeError} When the number of elements differs.
   * @throws {TypeError} When the tensor stayed encoded.
   */
  write(name: string, values: Float32Array): Promise<void>;
  /** An independent copy. */
  snapshot(): Promise<Store>;
  /**
   * Copies rows (along the first axis) from another store with the same names and row shapes, or from
   * this one; pairs are applied in order.
   */
  copyRows(
    from: Store,
    rows: readonly { readonly from: number; readonly to: number }[],
  ): Promise<void>;
  /** Frees its memory; what is used after it is refused. */
  dispose(): Promise<void>;
}

/** See {@linkcode CompileOptions.activations}. */
export type Activations = "float32" | "int8";

/** Options of {@linkcode Backend.compile}. */
export interface CompileOptions {
  /**
   * Stores of scopes that no one will write while the executable lives, by scope name. A backend may
   * pack them; they are not given again to `bind`.
   */
  readonly constants?: Readonly<Record<string, Store>>;
  /**
   * Precision of what is multiplied with encoded weights. `float32` (default) is the program as it is
   * written. `int8` lets a product round its other factor to 8 bits, with one scale for each block of the
   * weights, as llama.cpp does: faster, and exact in the weights only. Nothing else changes.
   */
  readonly activations?: Activations;
  /** Ends the compilation with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of {@linkcode BoundExecutable.run}. */
export interface RunOptions {
  /** Ends the run with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A program ready to run on certain stores. It holds memory for its inputs and outputs. */
export interface BoundExecutable {
  /**
   * Runs once. Sizes of named dimensions come from the inputs' shapes. A parameter whose first axis is
   * named is bound to the first rows of its stored tensor.
   *
   * @returns Outputs by name. Their data is valid until this executable runs again.
   * @throws {TypeError} When an input is missing or does not fit.
   */
  run(
    inputs: Readonly<Record<string, HostTensor>>,
    options?: RunOptions,
  ): Promise<Record<string, HostTensor>>;
  /**
   * Frees its memory, after the runs under way; runs after it are refused. May be called again, also
   * when the executable was disposed before.
   */
  dispose(): Promise<void>;
}

/** A compiled program. */
export interface Executable {
  /** The program as it was given. */
  readonly program: Program;
  /**
   * Chooses the store of each scope that is not constant.
   *
   * @throws {TypeError} When a scope is missing, or a stored tensor's shape does not fit.
   */
  bind(stores?: Readonly<Record<string, Store>>): BoundExecutable;
  /** Frees what was compiled; runs after it are refused. */
  dispose(): Promise<void>;
}

/** What a device can hold. */
export interface BackendLimits {
  /** Largest tensor in bytes. */
  readonly maxTensorBytes: number;
  /** Threads used by one run. */
  readonly threads: number;
}

/** Where programs run. */
export interface Backend {
  /** Such as `onnx`; the word given to `--backend`. */
  readonly name: string;
  /** Such as `cpu`. */
  readonly device: string;
  /** Versions of what computes, for the record of a run. */
  readonly versions: Readonly<Record<string, string>>;
  /** What the device can hold. */
  readonly limits: BackendLimits;
  /** Puts tensors on the device, streaming each from its source. */
  createStore(entries: readonly StoreEntry[], options?: CreateStoreOptions): Promise<Store>;
  /**
   * Makes a program ready to run.
   *
   * @throws {TypeError} When the program holds something the backend cannot run.
   */
  compile(program: Program, options?: CompileOptions): Promise<Executable>;
  /** Frees everything the backend holds. */
  dispose(): Promise<void>;
}
