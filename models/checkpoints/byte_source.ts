/**
 * Where a checkpoint's bytes come from: a file, a web server, memory. Readers ask for ranges, so a
 * checkpoint is never in memory as a whole, and nothing here needs a file system.
 *
 * @module
 */

import type { ReadOptions } from "../../graph/tensor_source.ts";
import { reasonOf } from "./one_line.ts";

export type { ReadOptions };

/**
 * Bytes read by range.
 *
 * Law: `read(offset, length)` gives exactly `length` bytes or throws; it never returns fewer.
 */
export interface ByteSource {
  /** What to call it in messages: a file's or a URL's last part. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /** Where the file is, if it is one of this machine. */
  readonly path?: string;
  /** Bytes [offset, offset + length). The caller owns what it gets. */
  read(offset: number, length: number, options?: ReadOptions): Promise<Uint8Array>;
}

/**
 * Bytes in memory.
 *
 * @example
 * ```ts
 * import { bytesSource } from "./byte_source.ts";
 * import { strict as assert } from "node:assert";
 *
 * const source = bytesSource("three", Uint8Array.of(1, 2, 3));
 * assert.deepEqual([...await source.read(1, 2)], [2, 3]);
 * ```
 */
export function bytesSource(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    size: bytes.length,
    read(offset, length, options) {
      try {
        options?.signal?.throwIfAborted();
        checkRange(name, bytes.length, offset, length);
        return Promise.resolve(bytes.slice(offset, offset + length));
      } catch (error) {
        return Promise.reject(error);
      }
    },
  };
}

/** Options of {@linkcode httpSource}. */
export interface HttpSourceOptions extends ReadOptions {
  /** Stands in for the global `fetch`, for example to add credentials. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/**
 * A file on a web server, read by range requests. One request is made here, for the size.
 *
 * @throws {Error} If the server refuses the URL or does not answer ranges (status 206 with a
 * `content-range`), since reading a checkpoint would then fetch all of it at each read.
 */
export async function httpSource(
  url: string,
  options: HttpSourceOptions = {},
): Promise<ByteSource> {
  const request = options.fetch ?? fetch;
  const name = new URL(url).pathname.split("/").pop() || url;

  async function range(offset: number, length: number, signal: AbortSignal | undefined) {
    const last = offset + length - 1;
    const response = await request(url, {
      headers: { range: `bytes=${offset}-${last}` },
      ...(signal ? { signal } : {}),
    });
    const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
    if (response.status !== 206 || !match) {
      await response.body?.cancel();
      throw new Error(
        `Cannot read ${name} as the server must answer range requests with status 206: ${response.status}`,
      );
    }
    if (Number(match[1]) !== offset || Number(match[2]) !== last) {
      await response.body?.cancel();
      throw new Error(
        `Cannot read ${name} as the server must send bytes ${offset}-${last}: ${match[1]}-${
          match[2]
        }`,
      );
    }
    const bytes = await readExactly(name, response, length);
    return { bytes, size: Number(match[3]) };
  }

  const { size } = await range(0, 1, options.signal);
  return {
    name,
    size,
    async read(offset, length, readOptions) {
      checkRange(name, size, offset, length);
      if (length === 0) return new Uint8Array(0);
      const answer = await range(offset, length, readOptions?.signal);
      if (answer.size !== size) {
        throw new Error(
          `Cannot read ${name} as its size must stay ${size} while it is read: ${answer.size}`,
        );
      }
      return answer.bytes;
    },
  };
}

/** The body's bytes; stops as soon as there are more than were asked for. */
async function readExactly(name: string, response: Response, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  for await (const chunk of response.body ?? []) {
    if (filled + chunk.length > length) {
      throw new Error(`Cannot read ${name} as the server must send ${length} bytes: more came`);
    }
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled !== length) {
    throw new Error(`Cannot read ${name} as the server must send ${length} bytes: ${filled} came`);
  }
  return bytes;
}

/**
 * Checks a range that is to be read.
 *
 * @throws {RangeError} If [offset, offset + length) is not within the file.
 */
export function checkRange(name: string, size: number, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (!whole || offset < 0 || length < 0 || offset + length > size) {
    throw new RangeError(
      `Cannot read ${name} as the range must lie within its ${size} bytes: ${length} bytes at ${offset}`,
    );
  }
}

/**
 * Reads a whole small file as UTF-8.
 *
 * @throws {RangeError} If it is longer than `maxBytes`.
 * @throws {SyntaxError} If it is not UTF-8.
 */
export async function readText(
  source: ByteSource,
  { maxBytes, signal }: ReadOptions & { readonly maxBytes: number },
): Promise<string> {
  if (source.size > maxBytes) {
    throw new RangeError(
      `Cannot read ${source.name} as it must be at most ${maxBytes} bytes: ${source.size}`,
    );
  }
  const bytes = await source.read(0, source.size, { signal });
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new SyntaxError(`Cannot read ${source.name} as it must be UTF-8 text: it is not`);
  }
}

/**
 * Reads a small file that holds one JSON object.
 *
 * @throws {SyntaxError} If it is not JSON.
 * @throws {TypeError} If it is JSON but not an object.
 */
export async function readJsonObject(
  source: ByteSource,
  options: ReadOptions & { readonly maxBytes: number },
): Promise<Record<string, unknown>> {
  const text = await readText(source, options);
  return parseJsonObject(text, source.name);
}

/** Parses one JSON object; errors name the file. */
export function parseJsonObject(text: string, name: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(
      `Cannot read ${name} as it must be JSON: ${reasonOf(error)}`,
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const kind = value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
    throw new TypeError(`Cannot read ${name} as it must hold a JSON object: ${kind}`);
  }
  return value as Record<string, unknown>;
}
