/**
 * Stores over the tensors of a device. Tensors never change, so a snapshot shares them and costs
 * nothing until one of the two is written.
 *
 * @module
 */

import type { CreateStoreOptions, Store, StoreEntry } from "./backend.ts";
import type { Device, Rows } from "./device.ts";
import { readAsFloat32 } from "./tensor_source.ts";
import type { Turns } from "./turns.ts";

/** A tensor that several stores may hold; it is freed with the last of them. */
class Held<T> {
  readonly tensor: T;
  readonly #device: Device<T>;
  #holders = 1;

  constructor(device: Device<T>, tensor: T) {
    this.#device = device;
    this.tensor = tensor;
  }

  hold(): this {
    this.#holders++;
    return this;
  }

  release(): void {
    if (--this.#holders === 0) this.#device.free(this.tensor);
  }
}

interface Entry<T> {
  readonly shape: readonly number[];
  held: Held<T>;
}

/** A store of a device. */
export class DeviceStore<T> implements Store {
  readonly #device: Device<T>;
  readonly #turns: Turns;
  readonly #entries: Map<string, Entry<T>>;
  #disposed = false;

  /** @param turns Runs and changes of stores happen one after the other. */
  constructor(device: Device<T>, turns: Turns, entries: Map<string, Entry<T>>) {
    this.#device = device;
    this.#turns = turns;
    this.#entries = entries;
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  get bytes(): number {
    let bytes = 0;
    for (const { held } of this.#entries.values()) bytes += this.#device.bytes(held.tensor);
    return bytes;
  }

  /** Whether the store belongs to a device. */
  isOn(device: Device<T>): boolean {
    return device === this.#device;
  }

  #entry(name: string): Entry<T> {
    this.checkAlive("use the store");
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      throw new RangeError(
        `Cannot find ${name} as it must be a tensor of the store: ${this.names.join(", ")}`,
      );
    }
    return entry;
  }

  /** @throws {TypeError} When the store was disposed. */
  checkAlive(doing: string): void {
    if (this.#disposed) {
      throw new TypeError(`Cannot ${doing} as its stores must not be disposed: one is`);
    }
  }

  shape(name: string): readonly number[] {
    return this.#entry(name).shape;
  }

  /** Devices keep no encodings: all is decoded at upload. */
  encoding(name: string): "f32" {
    this.#entry(name);
    return "f32";
  }

  /** Shape of a tensor, if there is one. */
  find(name: string): readonly number[] | undefined {
    return this.#entries.get(name)?.shape;
  }

  /** What the store holds now under a name. */
  tensor(name: string): T {
    return this.#entry(name).held.tensor;
  }

  /** The same, kept from being freed until the function returned is called. */
  keep(name: string): { readonly tensor: T; readonly release: () => void } {
    const held = this.#entry(name).held.hold();
    return { tensor: held.tensor, release: () => held.release() };
  }

  /** Replaces a tensor; the store owns the new one. */
  replace(name: string, tensor: T): void {
    const entry = this.#entry(name);
    entry.held.release();
    entry.held = new Held(this.#device, tensor);
  }

  read(name: string): Promise<Float32Array> {
    return this.#turns.take(() => this.#device.download(this.tensor(name)));
  }

  write(name: string, values: Float32Array): Promise<void> {
    const copy = values.slice();
    return this.#turns.take(async () => {
      const { shape } = this.#entry(name);
      const elements = shape.reduce((product, size) => product * size, 1);
      if (copy.length !== elements) {
        throw new RangeError(
          `Cannot write ${name} as it must have ${elements} elements: ${copy.length}`,
        );
      }
      this.replace(name, await this.#device.upload(shape, copy));
    });
  }

  snapshot(): Promise<Store> {
    return this.#turns.take(() => {
      this.checkAlive("copy the store");
      const copies = new Map(
        [...this.#entries].map(([name, { shape, held }]) => [name, { shape, held: held.hold() }]),
      );
      return new DeviceStore(this.#device, this.#turns, copies);
    });
  }

  copyRows(
    from: Store,
    rows: readonly { readonly from: number; readonly to: number }[],
  ): Promise<void> {
    return this.#turns.take(async () => {
      this.checkAlive("copy rows");
      const source = ownStore(this.#device, from, "copy rows");
      for (const name of this.names) {
        checkRows(name, this.shape(name), source.shape(name), rows);
      }
      for (const name of this.names) {
        const [own, other] = [this.tensor(name), source.tensor(name)];
        const parts = rowParts(own, this.shape(name)[0]!, other, rows);
        this.replace(name, await this.#device.assemble(parts));
      }
    });
  }

  dispose(): Promise<void> {
    return this.#turns.take(() => {
      if (this.#disposed) return;
      this.#disposed = true;
      for (const { held } of this.#entries.values()) held.release();
    });
  }
}

/**
 * Where each of `count` rows comes from after the pairs were applied in order, neighbours together.
 * Where both stores are one a pair sees what those before it wrote.
 */
function rowParts<T>(
  own: T,
  count: number,
  other: T,
  rows: readonly { readonly from: number; readonly to: number }[],
): Rows<T>[] {
  const origins = Array.from({ length: count }, (_, row) => ({ tensor: own, row }));
  for (const { from, to } of rows) {
    origins[to] = own === other ? origins[from]! : { tensor: other, row: from };
  }
  const parts: { tensor: T; start: number; count: number }[] = [];
  for (const { tensor, row } of origins) {
    const last = parts.at(-1);
    if (last?.tensor === tensor && last.start + last.count === row) last.count++;
    else parts.push({ tensor, start: row, count: 1 });
  }
  return parts;
}

function checkRows(
  name: string,
  target: readonly number[],
  source: readonly number[],
  rows: readonly { readonly from: number; readonly to: number }[],
): void {
  if (`${target.slice(1)}` !== `${source.slice(1)}` || target.length === 0) {
    throw new TypeError(
      `Cannot copy rows of ${name} as rows must have one shape: [${source}] to [${target}]`,
    );
  }
  for (const { from, to } of rows) {
    const whole = Number.isInteger(from) && Number.isInteger(to);
    if (!whole || from < 0 || from >= source[0]! || to < 0 || to >= target[0]!) {
      throw new RangeError(
        `Cannot copy rows of ${name} as they must exist: ` +
          `row ${from} of ${source[0]} to row ${to} of ${target[0]}`,
      );
    }
  }
}

/** @throws {TypeError} When the store is of another backend. */
export function ownStore<T>(device: Device<T>, store: Store, doing: string): DeviceStore<T> {
  if (!(store instanceof DeviceStore) || !store.isOn(device)) {
    throw new TypeError(
      `Cannot ${doing} as the store must be of this backend: it is of another`,
    );
  }
  return store;
}

/** Puts tensors on a device, one after the other. */
export async function createDeviceStore<T>(
  device: Device<T>,
  turns: Turns,
  entries: readonly StoreEntry[],
  { onProgress, signal }: CreateStoreOptions,
): Promise<DeviceStore<T>> {
  const made = new Map<string, Entry<T>>();
  const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
  const bytesOf = (entry: StoreEntry) =>
    "read" in entry ? entry.byteLength : 4 * sizeOf(entry.shape);
  const total = entries.reduce((sum, entry) => sum + bytesOf(entry), 0);
  let done = 0;
  try {
    for (const entry of entries) {
      signal?.throwIfAborted();
      const { name, shape } = entry;
      if (made.has(name)) {
        throw new TypeError(`Cannot create the store as names must differ: ${name} comes twice`);
      }
      if (!shape.every((size) => Number.isSafeInteger(size) && size > 0)) {
        throw new RangeError(`Cannot store ${name} as every axis must have a size: [${shape}]`);
      }
      const bytes = 4 * sizeOf(shape);
      if (bytes > device.limits.maxTensorBytes) {
        throw new RangeError(
          `Cannot store ${name} as a tensor on ${device.name} must have at most ` +
            `${device.limits.maxTensorBytes} bytes: ${bytes}`,
        );
      }
      const values = "read" in entry
        ? await readAsFloat32(entry, { signal })
        : new Float32Array(sizeOf(shape));
      const tensor = await device.upload(shape, values);
      made.set(name, { shape: [...shape], held: new Held(device, tensor) });
      onProgress?.({ done: done += bytesOf(entry), total });
    }
  } catch (error) {
    for (const { held } of made.values()) held.release();
    throw error;
  }
  return new DeviceStore(device, turns, made);
}
