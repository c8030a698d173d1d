/**
 * Tensors whose bytes are read when they are needed.
 *
 * @module
 */

import { decode, encodedByteLength, encodeFloats, type Encoding, encodings } from "./encodings.ts";

/** Options of a read. */
export interface ReadOptions {
  /** Ends the read with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A place in a file of this machine. */
export interface FilePlace {
  /** Absolute, or from the working directory. */
  readonly path: string;
  /** In bytes. */
  readonly offset: number;
}

/**
 * A tensor whose bytes are read on demand.
 *
 * Law: `byteLength` is the encoded length of the product of `shape`, and reading [0, a) and [a, b)
 * gives the same bytes as reading [0, b).
 */
export interface TensorSource {
  /** What to call it in messages and stores. */
  readonly name: string;
  /** Sizes, outermost axis first. */
  readonly shape: readonly number[];
  /** How its elements are stored. */
  readonly encoding: Encoding;
  /** Length of the encoded tensor. */
  readonly byteLength: number;
  /** Where they stand in one piece, for a backend that maps files into its memory. */
  readonly file?: FilePlace;
  /** Bytes [start, end) of the encoded tensor, row-major. The caller owns what it gets. */
  read(start: number, end: number, options?: ReadOptions): Promise<Uint8Array>;
}

/** Encoded bytes read at once. */
const CHUNK_BYTES = 4 << 20;

/** Options of {@linkcode decodeTensor}. */
export interface DecodeTensorOptions extends ReadOptions {
  /** Called after each piece with its number of encoded bytes. */
  readonly onBytes?: (bytes: number) => void;
}

/**
 * Reads a whole tensor and decodes it into memory that is there, a few MiB at a time: beside `into`
 * only one piece of encoded bytes is held.
 *
 * @param into Row-major values; as many as the tensor has elements.
 * @throws {RangeError} If the tensor's bytes are not those of as many elements as `into` has.
 */
export async function decodeTensor(
  source: TensorSource,
  into: Float32Array,
  { signal, onBytes }: DecodeTensorOptions = {},
): Promise<void> {
  checkByteLength(source, into.length);
  const { blockElements, blockBytes } = encodings[source.encoding];
  const step = Math.floor(CHUNK_BYTES / blockBytes) * blockBytes;
  for (let start = 0; start < source.byteLength; start += step) {
    signal?.throwIfAborted();
    const end = Math.min(start + step, source.byteLength);
    const bytes = await source.read(start, end, { signal });
    const first = start / blockBytes * blockElements;
    const last = end / blockBytes * blockElements;
    decode(source.encoding, bytes, into.subarray(first, last));
    onBytes?.(end - start);
  }
}

/**
 * Reads a whole tensor as {@linkcode decodeTensor} does, into new memory.
 *
 * @returns Row-major values; their number is the product of the shape.
 * @throws {RangeError} If the tensor's bytes are not those of its shape; nothing is allocated then.
 */
export async function readAsFloat32(
  source: TensorSource,
  options: ReadOptions = {},
): Promise<Float32Array> {
  const elements = source.shape.reduce((product, size) => product * size, 1);
  checkByteLength(source, elements);
  const values = new Float32Array(elements);
  await decodeTensor(source, values, options);
  return values;
}

function checkByteLength({ name, encoding, byteLength }: TensorSource, elements: number): void {
  const expected = encodedByteLength(encoding, elements);
  if (expected !== byteLength) {
    throw new RangeError(
      `Cannot read ${name} as ${elements} ${encoding} elements must take ${expected} bytes: ${byteLength}`,
    );
  }
}

/**
 * A tensor source over values in memory. The values are not copied; what is read later is what they
 * are then.
 *
 * @throws {RangeError} If `data` does not have as many elements as `shape` says.
 *
 * @example
 * ```ts
 * import { fromFloat32, readAsFloat32 } from "./tensor_source.ts";
 * import { strict as assert } from "node:assert";
 *
 * const source = fromFloat32("w", [1, 2], Float32Array.of(3, 4));
 * assert.deepEqual([...await readAsFloat32(source)], [3, 4]);
 * ```
 */
export function fromFloat32(
  name: string,
  shape: readonly number[],
  data: Float32Array,
): TensorSource {
  const elements = shape.reduce((product, size) => product * size, 1);
  if (elements !== data.length) {
    throw new RangeError(
      `Cannot make tensor ${name} as shape [${shape}] must have ${data.length} elements: ${elements}`,
    );
  }
  const byteLength = data.length * 4;
  return {
    name,
    shape: [...shape],
    encoding: "f32",
    byteLength,
    read(start, end) {
      checkByteRange(name, byteLength, start, end);
      const first = start >> 2;
      const bytes = encodeFloats("f32", data.subarray(first, Math.ceil(end / 4)));
      return Promise.resolve(bytes.subarray(start - first * 4, end - first * 4));
    },
  };
}

/**
 * Checks a range of a tensor that is to be read.
 *
 * @throws {RangeError} If [start, end) is not a byte range of the tensor.
 */
export function checkByteRange(
  name: string,
  byteLength: number,
  start: number,
  end: number,
): void {
  const whole = Number.isSafeInteger(start) && Number.isSafeInteger(end);
  if (!whole || start < 0 || end < start || end > byteLength) {
    throw new RangeError(
      `Cannot read ${name} as the byte range must lie within [0, ${byteLength}): [${start}, ${end})`,
    );
  }
}
