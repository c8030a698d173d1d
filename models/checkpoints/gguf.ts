/**
 * The GGUF format, versions 2 and 3: metadata, tensor descriptions, tensors.
 *
 * Every size, count, offset, length and nesting is checked against the file before it is used, so
 * that a lying file costs neither memory nor time: what is kept takes at most about twice the file, and
 * a few MiB for keys and names. Source: ggml-org/ggml `docs/gguf.md`.
 *
 * @module
 */

import { type Encoding, encodings } from "../../graph/encodings.ts";
import type { TensorSource } from "../../graph/tensor_source.ts";
import type { ByteSource, ReadOptions } from "./byte_source.ts";
import { CUT, GgufCursor } from "./gguf_cursor.ts";
import { GgufStrings } from "./gguf_strings.ts";
import { isPlainName, oneLine } from "./one_line.ts";
import { elementCount, type Extent, findOverlap, rangedTensor } from "./ranged_tensor.ts";

/** A key or a tensor costs more memory than bytes in the file; a model has some hundred of each. */
const MAX_KEYS = 1 << 12;
const MAX_TENSORS = 1 << 13;
const MAX_KEY_BYTES = 1024;
const MAX_NAME_BYTES = 256;
const MAX_STRING_BYTES = 64 << 20;
const MAX_ARRAY_ELEMENTS = 1 << 26;
/** No vocabulary has as many. */
const MAX_ARRAY_STRINGS = 1 << 22;
const MAX_RANK = 4;
const MAX_ALIGNMENT = 1 << 20;

/**
 * A list in the metadata. Numbers come as typed arrays, booleans as bytes 0 and 1; lists of lists,
 * which no model has, are refused.
 */
export type GgufList =
  | GgufStrings
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** A value in the metadata; a 64-bit integer is a bigint only where a number would lose digits. */
export type GgufValue = number | bigint | boolean | string | GgufList;

/** What a GGUF file holds. */
export interface Gguf {
  /** Version of the format. */
  readonly version: number;
  /** What the file says about the model, by key. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Tensors under their own names; shapes outermost axis first, the reverse of the file's. */
  readonly tensors: ReadonlyMap<string, TensorSource>;
}

/** ggml's type numbers that have an encoding here. */
const ENCODINGS: ReadonlyMap<number, Encoding> = new Map([
  [0, "f32"],
  [1, "f16"],
  [2, "q4_0"],
  [3, "q4_1"],
  [6, "q5_0"],
  [7, "q5_1"],
  [8, "q8_0"],
  [10, "q2_k"],
  [11, "q3_k"],
  [12, "q4_k"],
  [13, "q5_k"],
  [14, "q6_k"],
  [20, "iq4_nl"],
  [30, "bf16"],
]);

/** The others, by name, so that a message can say which. */
const OTHER_TYPES: ReadonlyMap<number, string> = new Map([
  [9, "Q8_1"],
  [15, "Q8_K"],
  [16, "IQ2_XXS"],
  [17, "IQ2_XS"],
  [18, "IQ3_XXS"],
  [19, "IQ1_S"],
  [21, "IQ3_S"],
  [22, "IQ2_S"],
  [23, "IQ4_XS"],
  [24, "I8"],
  [25, "I16"],
  [26, "I32"],
  [27, "I64"],
  [28, "F64"],
  [29, "IQ1_M"],
  [34, "TQ1_0"],
  [35, "TQ2_0"],
  [39, "MXFP4"],
]);

/**
 * Reads a GGUF file's header.
 *
 * @throws {SyntaxError} If the file is not GGUF 2 or 3, is cut short or contradicts itself.
 * @throws {RangeError} If a tensor has a type that is not supported.
 */
export async function openGguf(file: ByteSource, options: ReadOptions = {}): Promise<Gguf> {
  const fail = (rule: string, found: unknown): never => {
    throw new SyntaxError(oneLine(`Cannot read ${file.name} as ${rule}: ${found}`));
  };
  if (file.size < 24) fail("a GGUF file must have at least 24 bytes (is it cut short?)", file.size);
  const cursor = new GgufCursor(file, options);
  const magic = await cursor.u32("the magic");
  if (magic !== 0x46554747) fail('it must start with "GGUF"', `0x${magic.toString(16)}`);
  const version = await cursor.u32("the version");
  if (version !== 2 && version !== 3) fail("its GGUF version must be 2 or 3", version);
  const tensorCount = await cursor.countOf("the number of tensors", MAX_TENSORS, 24);
  const keyCount = await cursor.countOf("the number of metadata keys", MAX_KEYS, 13);

  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = await cursor.string("a metadata key", MAX_KEY_BYTES);
    if (!isPlainName(key)) fail("a metadata key must be printable", JSON.stringify(key));
    if (metadata.has(key)) fail("a metadata key must occur once", key);
    const type = await cursor.u32(`the type of ${key}`);
    metadata.set(key, await readValue(cursor, file.name, key, type));
  }

  const alignment = metadata.get("general.alignment") ?? 32;
  if (
    typeof alignment !== "number" || alignment < 1 || alignment > MAX_ALIGNMENT ||
    (alignment & (alignment - 1)) !== 0
  ) {
    fail(`general.alignment must be a power of two up to ${MAX_ALIGNMENT}`, alignment);
  }

  interface Description {
    readonly shape: readonly number[];
    readonly encoding: Encoding;
    readonly offset: number;
  }
  const descriptions = new Map<string, Description>();
  for (let i = 0; i < tensorCount; i++) {
    const name = await cursor.string("a tensor's name", MAX_NAME_BYTES);
    if (!isPlainName(name)) fail("a tensor's name must be printable", JSON.stringify(name));
    if (descriptions.has(name)) fail("a tensor's name must occur once", name);
    const rank = await cursor.u32(`the rank of ${name}`);
    if (rank > MAX_RANK) fail(`the rank of ${name} must be at most ${MAX_RANK}`, rank);
    const shape: number[] = [];
    for (let axis = 0; axis < rank; axis++) {
      shape.unshift(await cursor.count(`a size of ${name}`, Number.MAX_SAFE_INTEGER));
    }
    const type = await cursor.u32(`the type of ${name}`);
    const encoding = ENCODINGS.get(type);
    if (encoding === undefined) {
      throw new RangeError(
        `Cannot read ${file.name} as the type of ${name} must be one of ${
          [...ENCODINGS.values()].map((known) => known.toUpperCase()).join(", ")
        }: ${OTHER_TYPES.get(type) ?? `type ${type}`}`,
      );
    }
    const offset = await cursor.count(`the offset of ${name}`, file.size, CUT);
    if (offset % (alignment as number) !== 0) {
      fail(`the offset of ${name} must be a multiple of ${alignment}`, offset);
    }
    descriptions.set(name, { shape, encoding, offset });
  }

  const dataStart = Math.ceil(cursor.position / (alignment as number)) * (alignment as number);
  const tensors = new Map<string, TensorSource>();
  const extents: Extent[] = [];
  for (const [name, { shape, encoding, offset }] of descriptions) {
    const { blockElements, blockBytes } = encodings[encoding];
    const rowElements = shape.at(-1) ?? 1;
    if (rowElements % blockElements !== 0) {
      fail(`rows of ${name} must be whole ${encoding} blocks of ${blockElements}`, rowElements);
    }
    const byteLength = elementCount(shape) / blockElements * blockBytes;
    const start = dataStart + offset;
    if (!(start + byteLength <= file.size)) {
      fail(
        `${name} must lie within its ${file.size} bytes (is it cut short?)`,
        `${byteLength} bytes at ${start}`,
      );
    }
    extents.push({ name, start, end: start + byteLength });
    tensors.set(name, rangedTensor(file, name, shape, encoding, start));
  }
  const overlap = findOverlap(extents);
  if (overlap) {
    fail("its tensors must not overlap", `${overlap[0].name} and ${overlap[1].name}`);
  }
  return { version, metadata, tensors };
}

/** Metadata value types by number: how many bytes an element takes and how a list is copied. */
const SCALARS: ReadonlyMap<
  number,
  { readonly bytes: number; readonly read: (view: DataView, at: number) => number | bigint }
> = new Map([
  [0, { bytes: 1, read: (view: DataView, at: number) => view.getUint8(at) }],
  [1, { bytes: 1, read: (view: DataView, at: number) => view.getInt8(at) }],
  [2, { bytes: 2, read: (view: DataView, at: number) => view.getUint16(at, true) }],
  [3, { bytes: 2, read: (view: DataView, at: number) => view.getInt16(at, true) }],
  [4, { bytes: 4, read: (view: DataView, at: number) => view.getUint32(at, true) }],
  [5, { bytes: 4, read: (view: DataView, at: number) => view.getInt32(at, true) }],
  [6, { bytes: 4, read: (view: DataView, at: number) => view.getFloat32(at, true) }],
  [7, { bytes: 1, read: (view: DataView, at: number) => view.getUint8(at) }],
  [10, { bytes: 8, read: (view: DataView, at: number) => view.getBigUint64(at, true) }],
  [11, { bytes: 8, read: (view: DataView, at: number) => view.getBigInt64(at, true) }],
  [12, { bytes: 8, read: (view: DataView, at: number) => view.getFloat64(at, true) }],
]);

const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

async function readValue(
  cursor: GgufCursor,
  fileName: string,
  key: string,
  type: number,
): Promise<GgufValue> {
  if (type === STRING) return await cursor.string(key, MAX_STRING_BYTES);
  if (type === ARRAY) return await readList(cursor, fileName, key);
  const scalar = SCALARS.get(type);
  if (!scalar) {
    throw new SyntaxError(
      `Cannot read ${fileName} as the type of ${key} must be one of GGUF's 0 to 12: ${type}`,
    );
  }
  await cursor.need(scalar.bytes, key);
  const { view, at } = cursor.take(scalar.bytes);
  const value = scalar.read(view, at);
  if (type === BOOL) {
    if (value !== 0 && value !== 1) {
      throw new SyntaxError(`Cannot read ${fileName} as ${key} must be a boolean 0 or 1: ${value}`);
    }
    return value === 1;
  }
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

async function readList(cursor: GgufCursor, fileName: string, key: string): Promise<GgufList> {
  const type = await cursor.u32(`the element type of ${key}`);
  const scalar = SCALARS.get(type);
  if (type === ARRAY) {
    throw new SyntaxError(
      `Cannot read ${fileName} as ${key} must be a list of numbers or strings: a list of lists`,
    );
  }
  const least = type === STRING ? 8 : scalar?.bytes; // a string is at least its length
  if (least === undefined) {
    throw new SyntaxError(
      `Cannot read ${fileName} as the element type of ${key} must be one of GGUF's 0 to 12: ${type}`,
    );
  }
  const cap = type === STRING ? MAX_ARRAY_STRINGS : MAX_ARRAY_ELEMENTS;
  const count = await cursor.countOf(`the number of elements of ${key}`, cap, least);
  if (type === STRING) {
    const strings = new GgufStrings(
      `${key} of ${fileName}`,
      count,
      cursor.remaining - 8 * count,
    );
    for (let i = 0; i < count; i++) strings.add(await cursor.utf8(key, MAX_STRING_BYTES));
    return strings;
  }
  await cursor.need(count * scalar!.bytes, key);
  return toTypedArray(type, cursor.takeBytes(count * scalar!.bytes).slice());
}

/** Numbers in the file's (little-endian) order over bytes that start a buffer of their own. */
function toTypedArray(type: number, bytes: Uint8Array<ArrayBuffer>): GgufList {
  const { buffer } = bytes;
  switch (type) {
    case 1:
      return new Int8Array(buffer);
    case 2:
      return new Uint16Array(buffer);
    case 3:
      return new Int16Array(buffer);
    case 4:
      return new Uint32Array(buffer);
    case 5:
      return new Int32Array(buffer);
    case 6:
      return new Float32Array(buffer);
    case 10:
      return new BigUint64Array(buffer);
    case 11:
      return new BigInt64Array(buffer);
    case 12:
      return new Float64Array(buffer);
    default: // 0 and 7
      return bytes;
  }
}
