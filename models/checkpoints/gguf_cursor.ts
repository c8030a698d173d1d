/**
 * Reads a GGUF header front to back from a file that is read by ranges, with every length checked
 * against what is left of the file before it is used.
 *
 * @module
 */

import type { ByteSource, ReadOptions } from "./byte_source.ts";

/** Bytes asked for at once, unless one value is longer. */
const WINDOW_BYTES = 1 << 20;

/** What a message adds where a file may be shorter than it was. */
export const CUT = " (is it cut short?)";

/** A position in a file that only moves forward. */
export class GgufCursor {
  readonly #file: ByteSource;
  readonly #options: ReadOptions;
  #window = new Uint8Array(0);
  #view = new DataView(this.#window.buffer);
  #windowStart = 0;
  #position = 0;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(file: ByteSource, options: ReadOptions) {
    this.#file = file;
    this.#options = options;
  }

  /** Bytes before the cursor. */
  get position(): number {
    return this.#position;
  }

  /** Bytes after the cursor. */
  get remaining(): number {
    return this.#file.size - this.#position;
  }

  /** True where the next `length` bytes are in memory, so that the readers below may be used. */
  has(length: number): boolean {
    return this.#position + length <= this.#windowStart + this.#window.length;
  }

  /** Brings the next `length` bytes into memory. */
  async need(length: number, what: string): Promise<void> {
    if (this.has(length)) return;
    if (length > this.remaining) {
      throw new SyntaxError(
        `Cannot read ${this.#file.name} as ${what} must fit into its ${this.#file.size} bytes${CUT}: ${length} bytes at ${this.#position}`,
      );
    }
    const size = Math.min(Math.max(length, WINDOW_BYTES), this.remaining);
    this.#window = await this.#file.read(this.#position, size, this.#options) as Uint8Array<
      ArrayBuffer
    >;
    this.#view = new DataView(
      this.#window.buffer,
      this.#window.byteOffset,
      this.#window.byteLength,
    );
    this.#windowStart = this.#position;
  }

  /** A view of the next `length` bytes, which are in memory; moves past them. */
  take(length: number): { view: DataView; at: number } {
    const at = this.#position - this.#windowStart;
    this.#position += length;
    return { view: this.#view, at };
  }

  /** The next `length` bytes, which are in memory; moves past them. */
  takeBytes(length: number): Uint8Array {
    const at = this.#position - this.#windowStart;
    this.#position += length;
    return this.#window.subarray(at, at + length);
  }

  /** A 32-bit unsigned integer. */
  async u32(what: string): Promise<number> {
    await this.need(4, what);
    const { view, at } = this.take(4);
    return view.getUint32(at, true);
  }

  /** A 64-bit unsigned integer that must be at most `most`; `hint` says more of that rule. */
  async count(what: string, most: number, hint = ""): Promise<number> {
    if (!this.has(8)) await this.need(8, what);
    const { view, at } = this.take(8);
    const value = view.getBigUint64(at, true);
    if (value > BigInt(most)) {
      throw new SyntaxError(
        `Cannot read ${this.#file.name} as ${what} must be at most ${most}${hint}: ${value}`,
      );
    }
    return Number(value);
  }

  /**
   * A number of things that follow, of which each takes at least `least` bytes: at most `most`, and at
   * most what is left of the file can hold.
   */
  async countOf(what: string, most: number, least: number): Promise<number> {
    const left = Math.max(0, Math.floor((this.remaining - 8) / least));
    return await this.count(what, Math.min(most, left), left < most ? CUT : "");
  }

  /** The bytes of a string: its length, then UTF-8, which is not checked. */
  async utf8(what: string, mostBytes: number): Promise<Uint8Array> {
    const length = await this.countOf(`the length of ${what}`, mostBytes, 1);
    if (!this.has(length)) await this.need(length, what);
    return this.takeBytes(length);
  }

  /** A string: its length, then UTF-8. */
  async string(what: string, mostBytes: number): Promise<string> {
    const bytes = await this.utf8(what, mostBytes);
    try {
      return this.#decoder.decode(bytes);
    } catch {
      throw new SyntaxError(`Cannot read ${this.#file.name} as ${what} must be UTF-8: it is not`);
    }
  }
}
