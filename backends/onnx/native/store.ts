/**
 * Named tensors in memory that sessions are bound to: float32, or weights that stayed in blocks.
 *
 * @module
 */

import type { CreateStoreOptions, Store, StoreEntry } from "../../../graph/backend.ts";
import {
  decodeTensor,
  type DecodeTensorOptions,
  type TensorSource,
} from "../../../graph/tensor_source.ts";
import type { Encoding } from "../../../graph/encodings.ts";
import {
  allocateBlockWeights,
  blockWeightBytes,
  type BlockWeights,
  decodeBlockWeights,
  readBlockWeights,
  staysEncoded,
} from "./block_weights.ts";
import { allocate, type Block, floats, free, mapped } from "./memory.ts";
import type { Platform } from "./platform.ts";
import type { Turns } from "../../../graph/turns.ts";

/** A stored tensor. Its block changes when an update is written beside the old value. */
export interface StoredTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly elements: number;
  /** The values, or the first part of `encoded`. */
  block: Block;
  /** A matrix that stayed in its encoding. */
  encoded?: BlockWeights;
  /** Memory for the next update that cannot be written in place. */
  spare?: Block;
  /** Whether others may keep the block: executables whose constant it is, or a file's mapping. */
  shared: boolean;
}

/** What the tensors of a disposed store hold; who is bound to them must not keep the memory alive. */
let nothing: Block | undefined; // made at the first disposal, as allocating needs the permission

/** @throws {TypeError} When the tensor's store was disposed. */
export function checkAlive(doing: string, { name, block }: StoredTensor): void {
  if (block === nothing) {
    throw new TypeError(`Cannot ${doing} as its stores must not be disposed: that of ${name} is`);
  }
}

/** A store of this backend. */
export class OnnxStore implements Store {
  readonly #tensors: Map<string, StoredTensor>;
  readonly #turns: Turns;
  #disposed = false;

  /** @param turns Runs and changes of stores happen one after the other. */
  constructor(tensors: Iterable<StoredTensor>, turns: Turns) {
    this.#tensors = new Map([...tensors].map((tensor) => [tensor.name, tensor]));
    this.#turns = turns;
  }

  get names(): readonly string[] {
    return [...this.#tensors.keys()];
  }

  get bytes(): number {
    let bytes = 0;
    for (const { block, spare, encoded } of this.#tensors.values()) {
      bytes += encoded ? blockWeightBytes(encoded) : block.bytes + (spare?.bytes ?? 0);
    }
    return bytes;
  }

  shape(name: string): readonly number[] {
    return this.tensor(name).shape;
  }

  encoding(name: string): Encoding {
    return this.tensor(name).encoded?.encoding ?? "f32";
  }

  /** The tensor itself. @throws {RangeError} When the name is unknown. */
  tensor(name: string): StoredTensor {
    if (this.#disposed) throw new TypeError(`Cannot use the store as it must be open: ${name}`);
    const tensor = this.#tensors.get(name);
    if (!tensor) {
      throw new RangeError(`Cannot find the tensor as the store must hold it: ${name}`);
    }
    return tensor;
  }

  /** The tensor, if there is one. */
  find(name: string): StoredTensor | undefined {
    return this.#disposed ? undefined : this.#tensors.get(name);
  }

  read(name: string): Promise<Float32Array> {
    return this.#turns.take(() => {
      const { block, elements, encoded } = this.tensor(name);
      if (encoded) return decodeBlockWeights(encoded, elements);
      return floats(block, 0, elements).slice();
    });
  }

  write(name: string, values: Float32Array): Promise<void> {
    const copy = this.#turns.busy ? values.slice() : values;
    return this.#turns.take(() => {
      const { block, elements } = this.#decoded(`write ${name}`, name);
      if (copy.length !== elements) {
        throw new RangeError(
          `Cannot write ${name} as it must get ${elements} elements: ${copy.length}`,
        );
      }
      floats(block, 0, elements).set(copy);
    });
  }

  /** @throws {TypeError} When the tensor stayed encoded. */
  #decoded(doing: string, name: string): StoredTensor {
    const tensor = this.tensor(name);
    if (tensor.encoded) {
      throw new TypeError(
        `Cannot ${doing} as the tensor must be held as float32: ${name} is ${tensor.encoded.encoding}`,
      );
    }
    return tensor;
  }

  snapshot(): Promise<Store> {
    return this.#turns.take(() => {
      const copies = this.names.map((name) => {
        const { shape, elements, block: old, encoded } = this.tensor(name);
        // What is never written can be shared.
        if (encoded) return { name, shape, elements, block: old, encoded, shared: true };
        const block = allocate(elements * 4);
        floats(block, 0, elements).set(floats(old, 0, elements));
        return { name, shape, elements, block, shared: false };
      });
      return new OnnxStore(copies, this.#turns);
    });
  }

  copyRows(
    from: Store,
    rows: readonly { readonly from: number; readonly to: number }[],
  ): Promise<void> {
    return this.#turns.take(() => {
      if (!(from instanceof OnnxStore)) {
        throw new TypeError(
          "Cannot copy rows as the store must be of this backend: it is of another",
        );
      }
      const doing = "copy rows";
      const pairs = this.names.map((name) =>
        [this.#decoded(doing, name), from.#decoded(doing, name)] as const
      );
      for (const [target, source] of pairs) checkRows(target, source, rows);
      for (const [target, source] of pairs) {
        const size = target.elements / target.shape[0]!;
        const whole = floats(target.block, 0, target.elements);
        for (const row of rows) {
          whole.set(floats(source.block, row.from * size, size), row.to * size);
        }
      }
    });
  }

  dispose(): Promise<void> {
    return this.#turns.take(() => {
      this.#disposed = true;
      nothing ??= allocate(0);
      for (const tensor of this.#tensors.values()) {
        const { block, spare, shared } = tensor;
        tensor.block = nothing;
        delete tensor.spare;
        delete tensor.encoded;
        if (!shared) free(block);
        if (spare) free(spare);
      }
      this.#tensors.clear();
    });
  }
}

function checkRows(
  target: StoredTensor,
  source: StoredTensor,
  rows: readonly { readonly from: number; readonly to: number }[],
): void {
  if (`${target.shape.slice(1)}` !== `${source.shape.slice(1)}` || target.shape.length === 0) {
    throw new TypeError(
      `Cannot copy rows of ${target.name} as rows must have one shape: ` +
        `[${source.shape}] to [${target.shape}]`,
    );
  }
  for (const { from, to } of rows) {
    const [limitFrom, limitTo] = [source.shape[0]!, target.shape[0]!];
    const whole = Number.isInteger(from) && Number.isInteger(to);
    if (!whole || from < 0 || from >= limitFrom || to < 0 || to >= limitTo) {
      throw new RangeError(
        `Cannot copy rows of ${target.name} as they must exist: ` +
          `row ${from} of ${limitFrom} to row ${to} of ${limitTo}`,
      );
    }
  }
}

/** Bytes of a mapped tensor read at once. */
const CHUNK_BYTES = 4 << 20;

function isSource(entry: StoreEntry): entry is TensorSource {
  return "read" in entry;
}

/** Memory of the matrices that stay encoded; those of one layout that come in a row lie in a row. */
function encodedMemory(entries: readonly StoreEntry[]): Map<string, BlockWeights> {
  const runs: TensorSource[][] = [];
  for (const entry of entries) {
    if (!isSource(entry) || !staysEncoded(entry)) continue;
    const last = runs.at(-1)?.at(-1);
    const joins = last && last.encoding === entry.encoding && last.shape[1] === entry.shape[1];
    if (joins) runs.at(-1)!.push(entry);
    else runs.push([entry]);
  }
  return new Map(
    runs.flatMap((run) => allocateBlockWeights(run).map((weights, at) => [run[at]!.name, weights])),
  );
}

/** Memory over the file of a tensor that is stored as it is computed with. */
function mappedTensor(
  { encoding, byteLength, shape, file }: TensorSource,
  platform: Pick<Platform, "map">,
): Block | undefined {
  const elements = shape.reduce((product, size) => product * size, 1);
  if (!file || encoding !== "f32" || byteLength !== 4 * elements) return undefined;
  return mapped(platform, file, byteLength);
}

/** Reads a source for those who look at what is read, and keeps nothing. */
async function readThrough(
  source: TensorSource,
  { signal, onBytes }: DecodeTensorOptions,
): Promise<void> {
  for (let start = 0; start < source.byteLength; start += CHUNK_BYTES) {
    signal?.throwIfAborted();
    const end = Math.min(start + CHUNK_BYTES, source.byteLength);
    await source.read(start, end, { signal });
    onBytes?.(end - start);
  }
}

/** Creates a store, reading and decoding each source a few MiB at a time. */
export async function createStore(
  entries: readonly StoreEntry[],
  { keepEncoded = false, onProgress, signal }: CreateStoreOptions,
  turns: Turns,
  platform: Pick<Platform, "map">,
): Promise<OnnxStore> {
  const seen = new Set<string>();
  const total = entries.reduce((sum, entry) => sum + (isSource(entry) ? entry.byteLength : 0), 0);
  let done = 0;
  const tensors: StoredTensor[] = [];
  const memory = keepEncoded ? encodedMemory(entries) : new Map<string, BlockWeights>();
  for (const entry of entries) {
    const { name, shape } = entry;
    if (seen.has(name)) {
      throw new TypeError(`Cannot create the store as names must differ: ${name} comes twice`);
    }
    seen.add(name);
    const elements = shape.reduce((product, size) => product * size, 1);
    if (!shape.every((size) => Number.isSafeInteger(size) && size > 0)) {
      throw new RangeError(`Cannot store ${name} as every axis must have a size: [${shape}]`);
    }
    const read = {
      signal,
      onBytes: (bytes: number) => onProgress?.({ done: done += bytes, total }),
    };
    const encoded = memory.get(name);
    if (encoded && isSource(entry)) {
      await readBlockWeights(entry, encoded, read);
      const block = encoded.quants;
      tensors.push({ name, shape: [...shape], elements, block, encoded, shared: true });
      continue;
    }
    const inFile = isSource(entry) ? mappedTensor(entry, platform) : undefined;
    const block = inFile ?? allocate(elements * 4);
    if (isSource(entry)) {
      await (inFile
        ? readThrough(entry, read)
        : decodeTensor(entry, floats(block, 0, elements), read));
    }
    tensors.push({ name, shape: [...shape], elements, block, shared: inFile !== undefined });
  }
  return new OnnxStore(tensors, turns);
}
