/**
 * Writes GGUF files, version 3, piece by piece. Source: ggml-org/ggml `docs/gguf.md`.
 *
 * @module
 */

import type { TensorSource } from "../../graph/tensor_source.ts";
import { type ByteStream, encodedPieces, lengthAs } from "./byte_stream.ts";

/** Types of tensors that are written, by ggml's numbers. */
const TYPES = { f32: 0, f16: 1, q8_0: 8 } as const;

/** Name of a type of tensors that are written. */
export type GgufEncoding = keyof typeof TYPES;

/** A value in the metadata to be written. Numbers say what they are, as GGUF's do. */
export type GgufEntry =
  | { readonly u32: number }
  | { readonly f32: number }
  | boolean
  | string
  | readonly string[]
  | Int32Array
  | Float32Array;

/** A tensor to be written. */
export interface GgufTensor {
  /** Shape outermost axis first. */
  readonly source: TensorSource;
  readonly encoding: GgufEncoding;
}

const ALIGNMENT = 32;
const UINT32 = 4, INT32 = 5, FLOAT32 = 6, BOOL = 7, STRING = 8, ARRAY = 9;

/**
 * A GGUF file.
 *
 * @param metadata In the file's order.
 * @param tensors By their names in GGUF, in the file's order; each is read once, when its turn comes.
 * @throws {RangeError} If a tensor's rows are no whole blocks of its encoding.
 */
export function ggufStream(
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: ReadonlyMap<string, GgufTensor>,
): ByteStream {
  const out = new Writer().text("GGUF").u32(3).u64(tensors.size).u64(metadata.size);
  for (const [key, value] of metadata) writeEntry(out.string(key), value);
  let offset = 0;
  for (const [name, { source, encoding }] of tensors) {
    out.string(name).u32(source.shape.length);
    for (const size of [...source.shape].reverse()) out.u64(size);
    out.u32(TYPES[encoding]).u64(offset);
    offset += padded(lengthAs(source, encoding));
  }
  const header = out.padded();
  return {
    byteLength: header.length + offset,
    async *pieces(options) {
      yield header;
      for (const { source, encoding } of tensors.values()) {
        yield* encodedPieces(source, encoding, options);
        const length = lengthAs(source, encoding);
        if (padded(length) > length) yield new Uint8Array(padded(length) - length);
      }
    },
  };
}

function padded(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

function writeEntry(out: Writer, value: GgufEntry): void {
  if (typeof value === "string") out.u32(STRING).string(value);
  else if (typeof value === "boolean") out.u32(BOOL).u8(value ? 1 : 0);
  else if (value instanceof Int32Array) out.u32(ARRAY).u32(INT32).u64(value.length).numbers(value);
  else if (value instanceof Float32Array) {
    out.u32(ARRAY).u32(FLOAT32).u64(value.length).numbers(value);
  } else if ("u32" in value) out.u32(UINT32).u32(value.u32);
  else if ("f32" in value) out.u32(FLOAT32).numbers(Float32Array.of(value.f32));
  else {
    out.u32(ARRAY).u32(STRING).u64(value.length);
    for (const text of value) out.string(text);
  }
}

/** Little-endian numbers and strings, one after another. */
class Writer {
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  readonly #encoder = new TextEncoder();

  /** Room for more bytes; where they start. */
  #grow(count: number): number {
    const start = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }

  u8(value: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }
  u32(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
    return this;
  }
  u64(value: number): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, BigInt(value), true);
    return this;
  }
  numbers(values: Int32Array | Float32Array): this {
    const at = this.#grow(4 * values.length);
    values.forEach((value, i) => {
      if (values instanceof Int32Array) this.#view.setInt32(at + 4 * i, value, true);
      else this.#view.setFloat32(at + 4 * i, value, true);
    });
    return this;
  }
  text(text: string): this {
    const bytes = this.#encoder.encode(text);
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }
  string(text: string): this {
    const bytes = this.#encoder.encode(text);
    this.u64(bytes.length);
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }
  /** Everything so far, with zeros up to where tensors may start. */
  padded(): Uint8Array {
    this.#grow(padded(this.#length) - this.#length);
    return this.#bytes.slice(0, this.#length);
  }
}
