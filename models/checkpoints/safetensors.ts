/**
 * The safetensors format: a length, a JSON header, the tensors' bytes.
 *
 * Source: huggingface/safetensors, `safetensors/src/tensor.rs` (checks) and README (layout).
 *
 * @module
 */

import { encodeFloats, type Encoding } from "../../graph/encodings.ts";
import type { TensorSource } from "../../graph/tensor_source.ts";
import {
  type ByteSource,
  parseJsonObject,
  readJsonObject,
  type ReadOptions,
} from "./byte_source.ts";
import { isPlainName, oneLine } from "./one_line.ts";
import { elementCount, type Extent, findOverlap, rangedTensor } from "./ranged_tensor.ts";

/** Longest header read, as in the reference implementation. */
const MAX_HEADER_BYTES = 100_000_000;
/** Most tensors in a file. */
const MAX_TENSORS = 1 << 20;
/** Largest index file of a sharded checkpoint. */
const MAX_INDEX_BYTES = 64 << 20;

/** Bytes per element of the format's types. */
const DTYPE_BYTES: ReadonlyMap<string, number> = new Map([
  ["BOOL", 1],
  ["U8", 1],
  ["I8", 1],
  ["F8_E4M3", 1],
  ["F8_E5M2", 1],
  ["F8_E8M0", 1],
  ["U16", 2],
  ["I16", 2],
  ["F16", 2],
  ["BF16", 2],
  ["U32", 4],
  ["I32", 4],
  ["F32", 4],
  ["U64", 8],
  ["I64", 8],
  ["F64", 8],
  ["C64", 8],
]);

/** The types that can be weights here. */
const DTYPE_ENCODINGS: ReadonlyMap<string, Encoding> = new Map([
  ["F32", "f32"],
  ["F16", "f16"],
  ["BF16", "bf16"],
]);

/** What a safetensors file holds. */
export interface Safetensors {
  /** The tensors of a floating-point type, by name. */
  readonly tensors: ReadonlyMap<string, TensorSource>;
  /** Names and types of tensors that cannot be weights (integers, float64, float8). */
  readonly others: ReadonlyMap<string, string>;
  /** The header's `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads a file's header and checks it: every tensor's type, shape and extent agree, extents neither
 * overlap nor leave holes, and the last ends with the file.
 *
 * @throws {SyntaxError} If the header is not what the format says.
 */
export async function openSafetensors(
  file: ByteSource,
  options: ReadOptions = {},
): Promise<Safetensors> {
  const fail = (rule: string, found: unknown): never => {
    throw new SyntaxError(oneLine(`Cannot read ${file.name} as ${rule}: ${found}`));
  };
  if (file.size < 8) fail("a safetensors file must have at least 8 bytes", file.size);
  const lengthBytes = await file.read(0, 8, options);
  const headerLength = Number(new DataView(lengthBytes.buffer).getBigUint64(0, true));
  if (headerLength > file.size - 8) {
    fail(`its header must fit into its ${file.size} bytes`, `${headerLength} bytes`);
  }
  if (headerLength > MAX_HEADER_BYTES) {
    fail(`its header must be at most ${MAX_HEADER_BYTES} bytes`, headerLength);
  }
  const headerBytes = await file.read(8, headerLength, options);
  const header = parseJsonObject(decodeUtf8(file.name, headerBytes), `${file.name}'s header`);
  const dataStart = 8 + headerLength;
  const dataLength = file.size - dataStart;

  const tensors = new Map<string, TensorSource>();
  const others = new Map<string, string>();
  const metadata = new Map<string, string>();
  const extents: Extent[] = [];
  const entries = Object.entries(header);
  if (entries.length > MAX_TENSORS) {
    fail(`it must have at most ${MAX_TENSORS} tensors`, entries.length);
  }
  for (const [name, entry] of entries) {
    if (name === "__metadata__") {
      for (const [key, value] of Object.entries(asRecord(entry))) {
        if (typeof value !== "string") fail("its metadata must be strings", typeof value);
        metadata.set(key, value as string);
      }
      continue;
    }
    if (!isPlainName(name)) fail("a tensor's name must be printable", JSON.stringify(name));
    const { dtype, shape, data_offsets: offsets } = asRecord(entry);
    if (!isSizes(shape)) fail(`the shape of ${name} must be a list of sizes`, show(shape));
    if (!isSizes(offsets) || offsets.length !== 2) {
      fail(`data_offsets of ${name} must be two byte positions`, show(offsets));
    }
    const [start, end] = offsets as [number, number];
    const elementBytes = DTYPE_BYTES.get(dtype as string);
    if (elementBytes === undefined) fail(`the type of ${name} must be known`, show(dtype));
    const expected = elementCount(shape as number[]) * elementBytes!;
    if (end - start !== expected) {
      fail(
        `${name} of type ${dtype} and shape [${shape}] must take ${expected} bytes`,
        end - start,
      );
    }
    if (end > dataLength) {
      fail(`${name} must lie within the ${dataLength} bytes of data`, `it ends at ${end}`);
    }
    extents.push({ name, start, end });
    const encoding = DTYPE_ENCODINGS.get(dtype as string);
    if (encoding === undefined) others.set(name, dtype as string);
    else {
      const offset = dataStart + start;
      tensors.set(name, rangedTensor(file, name, shape as number[], encoding, offset));
    }
  }
  checkCover(file.name, extents, dataLength);
  return { tensors, others, metadata };
}

/** Extents must follow each other from the first byte of data to the last. */
function checkCover(fileName: string, extents: Extent[], dataLength: number): void {
  const overlap = findOverlap(extents);
  if (overlap) {
    throw new SyntaxError(
      `Cannot read ${fileName} as its tensors must not overlap: ${overlap[0].name} and ${
        overlap[1].name
      }`,
    );
  }
  const covered = extents.reduce((sum, { start, end }) => sum + end - start, 0);
  if (covered !== dataLength) {
    throw new SyntaxError(
      `Cannot read ${fileName} as its tensors must cover its ${dataLength} bytes of data (is it cut short?): ${covered}`,
    );
  }
}

/**
 * Opens a checkpoint's tensors: `model.safetensors`, or the shards that
 * `model.safetensors.index.json` names.
 *
 * @throws {Error} If neither is among the files, or a shard is absent or lacks a tensor it should
 * hold.
 */
export async function openShardedSafetensors(
  files: Readonly<Record<string, ByteSource>>,
  options: ReadOptions = {},
): Promise<Safetensors> {
  const single = ownFile(files, "model.safetensors");
  if (single) return await openSafetensors(single, options);
  const indexName = "model.safetensors.index.json";
  const indexFile = ownFile(files, indexName);
  if (!indexFile) {
    throw new Error(
      `Cannot open the checkpoint as it must have model.safetensors or ${indexName}: ${
        Object.keys(files).join(", ") || "no files"
      }`,
    );
  }
  const index = await readJsonObject(indexFile, { ...options, maxBytes: MAX_INDEX_BYTES });
  const weightMap = Object.entries(asRecord(index["weight_map"]));
  const shards = new Map<string, Safetensors>();
  const tensors = new Map<string, TensorSource>();
  const others = new Map<string, string>();
  for (const [name, shardName] of weightMap) {
    if (typeof shardName !== "string" || !isPlainName(shardName) || !isPlainName(name)) {
      throw new SyntaxError(
        `Cannot read ${indexName} as weight_map must name a file for each tensor: ${
          show(shardName)
        } for ${show(name)}`,
      );
    }
    let shard = shards.get(shardName);
    if (!shard) {
      const file = ownFile(files, shardName);
      if (!file) {
        throw new Error(
          `Cannot open the checkpoint as every shard must be beside its index: ${shardName} is absent`,
        );
      }
      shard = await openSafetensors(file, options);
      shards.set(shardName, shard);
    }
    const tensor = shard.tensors.get(name);
    const other = shard.others.get(name);
    if (tensor) tensors.set(name, tensor);
    else if (other !== undefined) others.set(name, other);
    else throw new Error(`Cannot open ${shardName} as it must hold ${name}: it does not`);
  }
  return { tensors, others, metadata: new Map() };
}

/** A tensor to be written. */
export interface FloatTensor {
  /** Sizes, outermost axis first. */
  readonly shape: readonly number[];
  /** Row-major values; their number is the product of `shape`. */
  readonly data: Float32Array;
}

/** Options of {@linkcode writeSafetensors}. */
export interface WriteSafetensorsOptions {
  /** Element type; `f32` by default. */
  readonly encoding?: "f32" | "f16" | "bf16";
  /** `__metadata__`; `{ format: "pt" }` by default, which transformers asks for. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * The beginning of a file of tensors in order of their names, padded so that the data starts at a
 * multiple of 8.
 *
 * @returns The bytes before the data, and the names in the data's order.
 */
export function safetensorsHeader(
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  options: WriteSafetensorsOptions = {},
): { readonly header: Uint8Array; readonly order: readonly string[] } {
  const { encoding = "f32", metadata = { format: "pt" } } = options;
  const elementBytes = encoding === "f32" ? 4 : 2;
  const entries: [string, unknown][] = [["__metadata__", metadata]];
  const order = [...tensors.keys()].sort();
  let end = 0;
  for (const name of order) {
    const { shape } = tensors.get(name)!;
    const start = end;
    end += elementCount(shape) * elementBytes;
    entries.push([name, { dtype: encoding.toUpperCase(), shape, data_offsets: [start, end] }]);
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const headerLength = Math.ceil(json.length / 8) * 8;
  const header = new Uint8Array(8 + headerLength).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(headerLength), true);
  header.set(json, 8);
  return { header, order };
}

/**
 * Writes tensors in order of their names.
 *
 * @throws {RangeError} If a tensor's data does not match its shape.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, FloatTensor>,
  options: WriteSafetensorsOptions = {},
): Uint8Array {
  const { encoding = "f32" } = options;
  const elementBytes = encoding === "f32" ? 4 : 2;
  let dataBytes = 0;
  for (const [name, { shape, data }] of tensors) {
    if (elementCount(shape) !== data.length) {
      throw new RangeError(
        `Cannot write ${name} as shape [${shape}] must have ${
          elementCount(shape)
        } elements: ${data.length}`,
      );
    }
    dataBytes += data.length * elementBytes;
  }
  const { header, order } = safetensorsHeader(tensors, options);
  const file = new Uint8Array(header.length + dataBytes);
  file.set(header);
  let offset = header.length;
  for (const name of order) {
    const { data } = tensors.get(name)!;
    file.set(encodeFloats(encoding, data), offset);
    offset += data.length * elementBytes;
  }
  return file;
}

/** A file of that name, if the record itself has one. */
export function ownFile(
  files: Readonly<Record<string, ByteSource>>,
  name: string,
): ByteSource | undefined {
  return Object.hasOwn(files, name) ? files[name] : undefined;
}

function decodeUtf8(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new SyntaxError(`Cannot read ${name} as its header must be UTF-8 text: it is not`);
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "none";
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
