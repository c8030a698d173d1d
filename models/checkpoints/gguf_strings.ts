/**
 * Lists of strings in a GGUF file's metadata, kept as the bytes they are.
 *
 * @module
 */

/** Bytes of text kept in one piece, unless one string is longer. */
const PIECE_BYTES = 1 << 20;

interface Piece {
  /** Index of its first string. */
  readonly first: number;
  readonly bytes: Uint8Array;
}

/**
 * A list of strings that takes less memory than it takes of its file: its UTF-8 and four bytes per
 * string. A list of JavaScript strings would take many times as much where they are short.
 *
 * @example
 * ```ts
 * import { GgufStrings } from "./gguf_strings.ts";
 * import { strict as assert } from "node:assert";
 *
 * const list = new GgufStrings("tokens", 2, 100);
 * const encoder = new TextEncoder();
 * for (const text of ["é", "b"]) list.add(encoder.encode(text));
 * assert.deepEqual([list.length, ...list], [2, "é", "b"]);
 * ```
 */
export class GgufStrings implements Iterable<string> {
  /** Number of strings. */
  readonly length: number;
  readonly #what: string;
  /** Where each string ends in its piece. */
  readonly #ends: Uint32Array;
  readonly #pieces: Piece[] = [];
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #filling: { readonly first: number; readonly bytes: Uint8Array } | undefined;
  #added = 0;
  #bytesLeft: number;

  /**
   * A list to which `length` strings are to be added.
   *
   * @param what What to call it in messages.
   * @param mostBytes Most bytes that its strings can have together.
   */
  constructor(what: string, length: number, mostBytes: number) {
    this.length = length;
    this.#what = what;
    this.#ends = new Uint32Array(length);
    this.#bytesLeft = mostBytes;
  }

  /** Adds the UTF-8 of the next string; it is copied. */
  add(utf8: Uint8Array): void {
    let start = this.#startOf(this.#added);
    if (this.#filling === undefined || start + utf8.length > this.#filling.bytes.length) {
      this.#close(start);
      const size = Math.max(utf8.length, Math.min(PIECE_BYTES, this.#bytesLeft));
      this.#filling = { first: this.#added, bytes: new Uint8Array(size) };
      start = 0;
    }
    this.#filling.bytes.set(utf8, start);
    this.#ends[this.#added++] = start + utf8.length;
    this.#bytesLeft -= utf8.length;
    if (this.#added === this.length) this.#close(start + utf8.length);
  }

  /**
   * The string at an index.
   *
   * @throws {RangeError} If there is none.
   * @throws {SyntaxError} If its bytes are not UTF-8.
   */
  at(index: number): string {
    if (!Number.isInteger(index) || index < 0 || index >= this.#added) {
      throw new RangeError(
        `Cannot read ${this.#what} as the index must be below ${this.#added}: ${index}`,
      );
    }
    const { first, bytes } = this.#pieceOf(index);
    const start = index === first ? 0 : this.#ends[index - 1]!;
    try {
      return this.#decoder.decode(bytes.subarray(start, this.#ends[index]!));
    } catch {
      throw new SyntaxError(
        `Cannot read ${this.#what} as it must be UTF-8: string ${index} is not`,
      );
    }
  }

  /** The strings in order. */
  *[Symbol.iterator](): Iterator<string> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }

  #startOf(index: number): number {
    return index === 0 ? 0 : this.#ends[index - 1]!;
  }

  #close(end: number): void {
    const { first, bytes } = this.#filling ?? { first: 0, bytes: undefined };
    if (bytes === undefined) return;
    this.#pieces.push({ first, bytes: end === bytes.length ? bytes : bytes.slice(0, end) });
    this.#filling = undefined;
  }

  #pieceOf(index: number): Piece {
    if (this.#filling !== undefined && index >= this.#filling.first) return this.#filling;
    let low = 0, high = this.#pieces.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#pieces[middle]!.first <= index) low = middle;
      else high = middle - 1;
    }
    return this.#pieces[low]!;
  }
}
