/**
 * A backend from a device.
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
import { bindSizes } from "./bind_sizes.ts";
import type { Device, DeviceProgram } from "./device.ts";
import { createDeviceStore, type DeviceStore, ownStore } from "./device_store.ts";
import { evaluateShape } from "./dim.ts";
import type { Parameter, Program } from "./program.ts";
import { checkStoredShape, matchStored } from "./stored_shapes.ts";
import { Turns } from "./turns.ts";

type Stores<T> = Readonly<Record<string, DeviceStore<T>>>;

/** The stores given for scopes, each of this device. */
function ownStores<T>(
  device: Device<T>,
  stores: Readonly<Record<string, Store>>,
  doing: string,
): Stores<T> {
  const own: Record<string, DeviceStore<T>> = Object.create(null);
  for (const [scope, store] of Object.entries(stores)) own[scope] = ownStore(device, store, doing);
  return own;
}

/** The store of a parameter, whose tensor of that name fits. */
function storeOf<T>(
  program: Program,
  stores: Stores<T>,
  { scope, name, value }: Parameter,
): DeviceStore<T> {
  const store = stores[scope];
  if (store === undefined) {
    throw new TypeError(
      `Cannot bind ${program.name} as the scope ${scope} must have a store: missing`,
    );
  }
  store.checkAlive(`bind ${program.name}`);
  checkStoredShape(program.name, { scope, name, shape: value.shape }, store.find(name));
  return store;
}

/** A parameter that is read from a store at each run. */
interface BoundParameter<T> {
  readonly parameter: Parameter;
  readonly store: DeviceStore<T>;
}

/** What an executable is made of. */
interface ExecutableParts<T> {
  readonly device: Device<T>;
  readonly turns: Turns;
  readonly program: Program;
  readonly constants: Stores<T>;
  readonly compiled: DeviceProgram<T>;
  /** Lets go of the constants. */
  readonly release: () => void;
}

class DeviceExecutable<T> implements Executable {
  readonly program: Program;
  readonly #parts: ExecutableParts<T>;
  #disposed = false;

  constructor(parts: ExecutableParts<T>) {
    this.program = parts.program;
    this.#parts = parts;
  }

  bind(stores: Readonly<Record<string, Store>> = {}): BoundExecutable {
    const { device, turns, program, constants } = this.#parts;
    const doing = `bind ${program.name}`;
    this.#checkAlive(doing);
    for (const scope of Object.keys(stores)) {
      if (Object.hasOwn(constants, scope)) {
        throw new TypeError(
          `Cannot ${doing} as a constant scope must not be given again: ${scope}`,
        );
      }
    }
    const own = ownStores(device, stores, doing);
    const parameters = program.parameters
      .filter(({ scope }) => !Object.hasOwn(constants, scope))
      .map((parameter) => ({ parameter, store: storeOf(program, own, parameter) }));
    checkUpdatedOnce(program, own);
    let disposed = false;
    return {
      run: async (inputs, { signal } = {}) => {
        const sizes = { ...bindSizes(program, inputs) };
        const given = turns.busy ? copies(inputs) : inputs;
        return await turns.take(() => {
          if (disposed) {
            throw new TypeError(`Cannot run ${program.name} as it must not be disposed: it is`);
          }
          return this.#run(parameters, own, given, sizes, { ...(signal ? { signal } : {}) });
        });
      },
      dispose: () =>
        turns.take(() => {
          disposed = true;
        }),
    };
  }

  #checkAlive(doing: string): void {
    if (this.#disposed) {
      throw new TypeError(`Cannot ${doing} as the program must not be disposed: it is`);
    }
  }

  async #run(
    parameters: readonly BoundParameter<T>[],
    stores: Stores<T>,
    inputs: Readonly<Record<string, HostTensor>>,
    sizes: Record<string, number>,
    { signal }: RunOptions,
  ): Promise<Record<string, HostTensor>> {
    const { device, program, compiled } = this.#parts;
    this.#checkAlive(`run ${program.name}`);
    for (const { store } of parameters) store.checkAlive(`run ${program.name}`);
    signal?.throwIfAborted();
    const parts: T[] = [];
    const given: T[] = [];
    let result;
    try {
      for (const { parameter: { scope, name, value }, store } of parameters) {
        const stored = store.shape(name);
        const shape = matchStored(program.name, { scope, name, shape: value.shape }, stored, sizes);
        const tensor = store.tensor(name);
        if (shape[0] === stored[0]) given.push(tensor);
        else {
          const part = await device.assemble([{ tensor, start: 0, count: shape[0]! }]);
          parts.push(part);
          given.push(part);
        }
      }
      result = await compiled.run(inputs, given, sizes, signal);
    } finally {
      for (const part of parts) device.free(part);
    }
    for (const [index, { scope, name, next }] of program.updates.entries()) {
      const [rows = 1] = evaluateShape(next.shape, sizes);
      await take(device, stores[scope]!, name, rows, result.updates[index]!);
    }
    return Object.fromEntries(
      program.outputs.map(({ name }, index) => [name, result.outputs[index]!]),
    );
  }

  dispose(): Promise<void> {
    const { turns, compiled, release } = this.#parts;
    return turns.take(async () => {
      if (this.#disposed) return;
      this.#disposed = true;
      await compiled.dispose();
      release();
    });
  }
}

/** A store takes the new value of its first rows. */
async function take<T>(
  device: Device<T>,
  store: DeviceStore<T>,
  name: string,
  rows: number,
  next: T,
): Promise<void> {
  const [all = 1] = store.shape(name);
  if (rows === all) {
    store.replace(name, next);
    return;
  }
  const whole = await device.assemble([
    { tensor: next, start: 0, count: rows },
    { tensor: store.tensor(name), start: rows, count: all - rows },
  ]);
  device.free(next);
  store.replace(name, whole);
}

function checkUpdatedOnce<T>(program: Program, stores: Stores<T>): void {
  const updated = program.updates.map(({ scope, name }) => ({ store: stores[scope], name }));
  updated.forEach(({ store, name }, at) => {
    if (updated.findIndex((one) => one.store === store && one.name === name) < at) {
      throw new TypeError(
        `Cannot bind ${program.name} as each stored tensor must be updated once: ` +
          `one store stands for two updated scopes with ${name}`,
      );
    }
  });
}

function copies(
  inputs: Readonly<Record<string, HostTensor>>,
): Record<string, HostTensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
  );
}

class DeviceBackend<T> implements Backend {
  readonly name: string;
  readonly device: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly limits: Backend["limits"];
  readonly #device: Device<T>;
  readonly #turns = new Turns();
  readonly #executables = new Set<DeviceExecutable<T>>();
  #disposed = false;

  constructor(device: Device<T>) {
    ({
      name: this.name,
      device: this.device,
      versions: this.versions,
      limits: this.limits,
    } = device);
    this.#device = device;
  }

  #checkAlive(doing: string): void {
    if (this.#disposed) {
      throw new TypeError(`Cannot ${doing} as the backend must not be disposed: it is`);
    }
  }

  async createStore(
    entries: readonly StoreEntry[],
    options: CreateStoreOptions = {},
  ): Promise<Store> {
    this.#checkAlive("create a store");
    return await createDeviceStore(this.#device, this.#turns, entries, options);
  }

  async compile(
    program: Program,
    { constants = {}, signal }: CompileOptions = {},
  ): Promise<Executable> {
    const doing = `compile ${program.name}`;
    this.#checkAlive(doing);
    const device = this.#device;
    const own = ownStores(device, constants, doing);
    for (const { scope, name } of program.updates) {
      if (Object.hasOwn(own, scope)) {
        throw new TypeError(
          `Cannot ${doing} as a constant scope must not be updated: ${scope}/${name}`,
        );
      }
    }
    signal?.throwIfAborted();
    const kept = program.parameters
      .filter(({ scope }) => Object.hasOwn(own, scope))
      .map((parameter) => ({
        parameter,
        ...storeOf(program, own, parameter).keep(parameter.name),
      }));
    const release = () => kept.forEach((one) => one.release());
    try {
      const compiled = await device.compile(program, kept, signal);
      const parts = { device, turns: this.#turns, program, constants: own, compiled, release };
      const executable: DeviceExecutable<T> = new DeviceExecutable({
        ...parts,
        release: () => {
          release();
          this.#executables.delete(executable);
        },
      });
      this.#executables.add(executable);
      return executable;
    } catch (error) {
      release();
      throw error;
    }
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const executable of [...this.#executables]) await executable.dispose();
    await this.#device.dispose();
  }
}

/**
 * A backend over a device; see `device.ts`.
 *
 * @param device The backend owns it and disposes it.
 */
export function deviceBackend<T>(device: Device<T>): Backend {
  return new DeviceBackend(device);
}
