/**
 * A backend over the float64 interpreter: the contract in its plainest form, and a place to test what
 * runs on backends. It is not fast.
 *
 * @module
 */

import type {
  Backend,
  BoundExecutable,
  CompileOptions,
  CreateStoreOptions,
  Executable,
  HostTensor,
  RunOptions,
  Store,
  StoreEntry,
} from "./backend.ts";
import { type Dim, formatShape } from "./dim.ts";
import { type Float64Tensor, sizeOf } from "./float64.ts";
import { type Interpreter, interpreter } from "./interpret.ts";
import type { DType, Program } from "./program.ts";
import { simplify } from "./simplify.ts";
import { readAsFloat32 } from "./tensor_source.ts";

/** A store whose tensors the interpreter reads and replaces. */
class ReferenceStore implements Store {
  #tensors: ReadonlyMap<string, Float64Tensor> | undefined;

  constructor(tensors: ReadonlyMap<string, Float64Tensor>) {
    this.#tensors = tensors;
  }

  /** The tensors themselves. */
  get tensors(): ReadonlyMap<string, Float64Tensor> {
    if (this.#tensors === undefined) {
      throw new TypeError("Cannot use the store as it must be alive: disposed");
    }
    return this.#tensors;
  }

  get names(): readonly string[] {
    return [...this.tensors.keys()];
  }

  get bytes(): number {
    return [...this.tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
  }

  #tensor(name: string): Float64Tensor {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) {
      throw new RangeError(
        `Cannot find ${name} as it must be a tensor of the store: ${this.names.join(", ")}`,
      );
    }
    return tensor;
  }

  shape(name: string): readonly number[] {
    return this.#tensor(name).shape;
  }

  encoding(name: string): "f32" {
    this.#tensor(name);
    return "f32";
  }

  // deno-lint-ignore require-await -- a rejection, not a throw
  async read(name: string): Promise<Float32Array> {
    return Float32Array.from(this.#tensor(name).data);
  }

  // deno-lint-ignore require-await -- a rejection, not a throw
  async write(name: string, values: Float32Array): Promise<void> {
    const { data } = this.#tensor(name);
    if (values.length !== data.length) {
      throw new RangeError(
        `Cannot write ${name} as it must have ${data.length} elements: ${values.length}`,
      );
    }
    data.set(values);
  }

  // deno-lint-ignore require-await -- a rejection, not a throw
  async snapshot(): Promise<Store> {
    return new ReferenceStore(
      new Map(
        [...this.tensors].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
      ),
    );
  }

  // deno-lint-ignore require-await -- a rejection, not a throw
  async copyRows(
    from: Store,
    rows: readonly { readonly from: number; readonly to: number }[],
  ): Promise<void> {
    const source = ownStore(from).tensors;
    const pairs = [...this.tensors].map(([name, to]) => {
      const other = source.get(name);
      const [own, given] = [to.shape.slice(1), other?.shape.slice(1)];
      if (
        to.shape.length === 0 || String(own) !== String(given) || source.size !== this.tensors.size
      ) {
        throw new TypeError(
          `Cannot copy rows of ${name} as both stores must have its rows ${formatShape(own)}: ` +
            (given ? formatShape(given) : "missing"),
        );
      }
      return { name, to, other: other!, width: sizeOf(own) };
    });
    for (const { name, to, other } of pairs) {
      for (const row of rows) {
        checkRow(name, row.from, other.shape[0]!);
        checkRow(name, row.to, to.shape[0]!);
      }
    }
    for (const { to, other, width } of pairs) {
      for (const row of rows) {
        to.data.set(other.data.slice(row.from * width, (row.from + 1) * width), row.to * width);
      }
    }
  }

  dispose(): Promise<void> {
    this.#tensors = undefined;
    return Promise.resolve();
  }
}

function checkRow(name: string, row: number, count: number): void {
  if (!Number.isInteger(row) || row < 0 || row >= count) {
    throw new RangeError(
      `Cannot copy rows of ${name} as a row must be from 0 to ${count - 1}: ${row}`,
    );
  }
}

function ownStore(store: Store): ReferenceStore {
  if (!(store instanceof ReferenceStore)) {
    throw new TypeError("Cannot use the store as it must be of the same backend: it is of another");
  }
  return store;
}

function toHost({ shape, data }: Float64Tensor, dtype: DType): HostTensor {
  return {
    shape,
    data: dtype === "float32" ? Float32Array.from(data) : Int32Array.from(data),
  };
}

/** @throws {TypeError} When a stored shape can fit the declared one at no size of its names. */
function checkStore(
  program: Program,
  stores: Readonly<Record<string, ReferenceStore>>,
): void {
  for (const { scope, name, value } of program.parameters) {
    const what = `Cannot bind ${program.name} as`;
    const store = Object.hasOwn(stores, scope) ? stores[scope] : undefined;
    if (store === undefined) {
      throw new TypeError(`${what} the scope ${scope} must have a store: missing`);
    }
    const stored = store.tensors.get(name);
    if (stored === undefined) {
      throw new TypeError(`${what} the store of ${scope} must have ${name}: missing`);
    }
    const fits = stored.shape.length === value.shape.length &&
      value.shape.every((dim: Dim, axis) => typeof dim === "string" || dim === stored.shape[axis]);
    if (!fits) {
      throw new TypeError(
        `${what} ${scope}/${name} must have the shape ${formatShape(value.shape)}: ` +
          formatShape(stored.shape),
      );
    }
  }
}

class ReferenceExecutable implements Executable {
  readonly program: Program;
  readonly #constants: Readonly<Record<string, ReferenceStore>>;
  #run: Interpreter | undefined;

  constructor(program: Program, constants: Readonly<Record<string, ReferenceStore>>) {
    this.program = program;
    this.#constants = constants;
    this.#run = interpreter(simplify(program));
  }

  bind(stores: Readonly<Record<string, Store>> = {}): BoundExecutable {
    const { program } = this;
    const bound: Record<string, ReferenceStore> = { ...this.#constants };
    for (const [scope, store] of Object.entries(stores)) {
      if (Object.hasOwn(this.#constants, scope)) {
        throw new TypeError(
          `Cannot bind ${program.name} as a constant scope must not be given again: ${scope}`,
        );
      }
      bound[scope] = ownStore(store);
    }
    checkStore(program, bound);
    let disposed = false;
    return {
      // deno-lint-ignore require-await -- a rejection, not a throw
      run: async (inputs, options) => {
        if (disposed) {
          throw new TypeError(`Cannot run ${program.name} as it must be alive: disposed`);
        }
        return this.#runOnce(bound, inputs, options);
      },
      dispose() {
        disposed = true;
        return Promise.resolve();
      },
    };
  }

  #runOnce(
    stores: Readonly<Record<string, ReferenceStore>>,
    inputs: Readonly<Record<string, HostTensor>>,
    { signal }: RunOptions = {},
  ): Record<string, HostTensor> {
    signal?.throwIfAborted();
    const { program } = this;
    if (this.#run === undefined) {
      throw new TypeError(`Cannot run ${program.name} as it must be alive: disposed`);
    }
    const tensors = Object.fromEntries(
      Object.entries(stores).map(([scope, store]) => [scope, Object.fromEntries(store.tensors)]),
    );
    const { outputs, updates } = this.#run({ inputs, stores: tensors });
    for (const [scope, scoped] of Object.entries(updates)) {
      for (const [name, { data }] of Object.entries(scoped)) {
        stores[scope]!.tensors.get(name)!.data.set(data);
      }
    }
    return Object.fromEntries(
      program.outputs.map(({ name, value }) => [name, toHost(outputs[name]!, value.dtype)]),
    );
  }

  dispose(): Promise<void> {
    this.#run = undefined;
    return Promise.resolve();
  }
}

/**
 * A backend that interprets programs in float64, in this thread. Stores keep float64 too, so that many
 * small updates add up without rounding; what is read from it is float32.
 *
 * @example
 * ```ts
 * import { createReferenceBackend } from "./reference_backend.ts";
 * import { ProgramBuilder } from "./builder.ts";
 * import assert from "node:assert/strict";
 *
 * const backend = createReferenceBackend();
 * const store = await backend.createStore([{ name: "count", shape: [] }]);
 * const g = new ProgramBuilder("step");
 * g.update("state", "count", g.add(g.parameter("state", "count", []), g.constant(1)));
 * const step = (await backend.compile(g.build())).bind({ state: store });
 * await step.run({});
 * await step.run({});
 * assert.deepEqual([...await store.read("count")], [2]);
 * ```
 */
export function createReferenceBackend(): Backend {
  let disposed = false;
  const checkAlive = (what: string): void => {
    if (disposed) throw new TypeError(`Cannot ${what} as the backend must be alive: disposed`);
  };
  return {
    name: "reference",
    device: "cpu",
    versions: { reference: "float64" },
    limits: { maxTensorBytes: 2 ** 32, threads: 1 },
    async createStore(entries: readonly StoreEntry[], options: CreateStoreOptions = {}) {
      const { onProgress, signal } = options;
      checkAlive("create a store");
      const sizes = entries.map((entry) =>
        "read" in entry ? entry.byteLength : 4 * sizeOf(entry.shape)
      );
      const total = sizes.reduce((sum, size) => sum + size, 0);
      let done = 0;
      const tensors = new Map<string, Float64Tensor>();
      for (const [index, entry] of entries.entries()) {
        signal?.throwIfAborted();
        if (tensors.has(entry.name)) {
          throw new TypeError(
            `Cannot create the store as each tensor must have a name of its own: ${entry.name}`,
          );
        }
        const data = "read" in entry
          ? Float64Array.from(await readAsFloat32(entry, { signal }))
          : new Float64Array(sizeOf(entry.shape));
        tensors.set(entry.name, { shape: [...entry.shape], data });
        done += sizes[index]!;
        onProgress?.({ done, total });
      }
      return new ReferenceStore(tensors);
    },
    // deno-lint-ignore require-await -- a rejection, not a throw
    async compile(program: Program, { constants = {}, signal }: CompileOptions = {}) {
      checkAlive(`compile ${program.name}`);
      signal?.throwIfAborted();
      return new ReferenceExecutable(
        program,
        Object.fromEntries(
          Object.entries(constants).map(([scope, store]) => [scope, ownStore(store)]),
        ),
      );
    },
    dispose() {
      disposed = true;
      return Promise.resolve();
    },
  };
}
