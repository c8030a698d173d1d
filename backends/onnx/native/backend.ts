/**
 * The backend: onnxruntime's CPU provider, called through its C API.
 *
 * @module
 */

import type {
  Backend,
  BackendLimits,
  CompileOptions,
  CreateStoreOptions,
  Executable,
  Store,
  StoreEntry,
} from "../../../graph/backend.ts";
import type { Program } from "../../../graph/program.ts";
import { openOwnKernels } from "./own_kernels.ts";
import { openApi } from "./api.ts";
import { compileProgram, type OnnxExecutable } from "./executable.ts";
import { closeEnvironment, type Environment, openEnvironment } from "./session.ts";
import { createStore } from "./store.ts";
import { Turns } from "../../../graph/turns.ts";

/** Options of {@linkcode createOnnxBackend}. */
export interface CreateOnnxBackendOptions {
  /** Threads of one run. Default: the number of logical processors. */
  readonly threads?: number;
  /**
   * Which programs get copies of their constants in the layout of the product kernels, shared by all
   * of them. `decode` (default): those with a cache, whose products have few rows; it saves a step at
   * batch 1 and 20 a third of its time. `always`: training steps too, which then take a thirtieth less
   * time and one or two more copies of the weights.
   */
  readonly packing?: "decode" | "always";
  /**
   * Whose kernels compute products of 8-bit activations: `onnxruntime`, or ours, by what they use of
   * the processor (`avx512-vnni`, `avx2`). Default: the fastest that the machine runs.
   */
  readonly kernels?: string;
  /** Where to write onnxruntime's profiles: a path's beginning, to which names are appended. */
  readonly profile?: string;
}

class OnnxBackend implements Backend {
  readonly name = "onnx";
  readonly device = "cpu";
  readonly versions: Readonly<Record<string, string>>;
  readonly limits: BackendLimits;
  readonly #environment: Environment;
  readonly #turns = new Turns();
  readonly #executables = new Set<OnnxExecutable>();
  /** What is being created must not lose what it is created from. */
  readonly #compiling = new Set<Promise<OnnxExecutable>>();
  #disposed = false;

  constructor(environment: Environment) {
    this.#environment = environment;
    this.versions = {
      onnxruntime: environment.api.version,
      kernels: environment.kernels?.name ?? "onnxruntime",
    };
    this.limits = { maxTensorBytes: 2 ** 33, threads: environment.options.threads };
  }

  #checkOpen(doing: string): void {
    if (this.#disposed) {
      throw new TypeError(`Cannot ${doing} as the backend must not be disposed: it is`);
    }
  }

  async createStore(
    entries: readonly StoreEntry[],
    options: CreateStoreOptions = {},
  ): Promise<Store> {
    this.#checkOpen("create a store");
    return await createStore(entries, options, this.#turns, this.#environment.api.platform);
  }

  async compile(program: Program, options: CompileOptions = {}): Promise<Executable> {
    this.#checkOpen(`compile ${program.name}`);
    const compiling = compileProgram(
      this.#environment,
      this.#turns,
      program,
      options,
      (disposed) => this.#executables.delete(disposed),
    ).then((executable) => {
      this.#executables.add(executable);
      return executable;
    });
    this.#compiling.add(compiling);
    try {
      return await compiling;
    } finally {
      this.#compiling.delete(compiling);
    }
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await Promise.allSettled(this.#compiling);
    for (const executable of this.#executables) await executable.dispose();
    this.#executables.clear();
    closeEnvironment(this.#environment);
  }
}

/**
 * Starts onnxruntime.
 *
 * @throws {Error} When its library cannot be loaded: on other platforms, without `--allow-ffi`, or
 * when the package is neither cached nor to be fetched.
 */
export async function createOnnxBackend(
  { threads = navigator.hardwareConcurrency, packing = "decode", kernels, profile }:
    CreateOnnxBackendOptions = {},
): Promise<Backend> {
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RangeError(`Cannot start onnxruntime as threads must be 1 or more: ${threads}`);
  }
  const settings = { threads, packing, ...(profile === undefined ? {} : { profile }) };
  const api = await openApi();
  try {
    const own = kernels === "onnxruntime" ? undefined : await openOwnKernels(api, kernels);
    return new OnnxBackend(openEnvironment(api, own, settings));
  } catch (error) {
    api.close();
    throw error;
  }
}
