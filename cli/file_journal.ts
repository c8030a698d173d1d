/**
 * A journal in a folder: lists as `NAME.jsonl`, blobs as files.
 *
 * A line of a list is `{"key": …, …the record's own fields}`, so that people and other tools can read
 * it; a record that is no object, or has a field `key` itself, stands under `value`.
 *
 * What makes the laws of {@linkcode Journal} hold:
 * - an append is written, then flushed to the disk, then it resolves; appends that wait for each other
 *   share one flush. A line that a crash cut short is cut off when the list is opened again;
 * - after a write that failed (a full disk) the file is cut back to its last whole line;
 * - a blob is written beside its place, flushed, and renamed into it ({@linkcode writeWhole}).
 *
 * No file stays open, and of a few lists only the keys stay in memory, however many there are.
 *
 * @module
 */

import { dirname, join } from "node:path";
import type { Journal, Json } from "../core/journal.ts";
import { fileError } from "./errors.ts";
import { explaining, flushFolder, makeFolder, writeAll, writeWhole } from "./whole_file.ts";

/** Lists whose keys are remembered while they are not in use. */
const REMEMBERED_LISTS = 8;

/**
 * Opens a journal in a folder, which is made when it is not there.
 *
 * @throws {SyntaxError} On reading a list of which a line other than a torn last one is no record.
 *
 * @example
 * ```ts
 * import { fileJournal } from "./file_journal.ts";
 * import assert from "node:assert/strict";
 * const folder = await Deno.makeTempDir();
 * const journal = fileJournal(folder);
 * await journal.within("iteration-1").append("responses", "a", { prompt: "Why?" });
 * assert.equal(
 *   await Deno.readTextFile(`${folder}/iteration-1/responses.jsonl`),
 *   '{"key":"a","prompt":"Why?"}\n',
 * );
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export function fileJournal(folder: string): Journal {
  /** Those used last come last. */
  const lists = new Map<string, { readonly list: Promise<ListFile>; users: number }>();

  async function using<T>(path: string, work: (list: ListFile) => Promise<T>): Promise<T> {
    const used = lists.get(path) ?? { list: openList(path), users: 0 };
    lists.delete(path);
    lists.set(path, used);
    used.users++;
    try {
      return await work(await used.list);
    } catch (error) {
      await used.list.catch(() => lists.delete(path)); // opening it is tried again
      throw error;
    } finally {
      used.users--;
      for (const [other, { users }] of lists) {
        if (lists.size <= REMEMBERED_LISTS) break;
        if (users === 0) lists.delete(other);
      }
    }
  }

  const at = (path: string): Journal => ({
    records: async (name) => {
      const file = join(path, `${checkedName(name)}.jsonl`);
      if (!lists.has(file) && !await exists(file)) return new Map();
      return await using(file, (list) => list.records());
    },
    append: async (name, key, record) =>
      await using(
        join(path, `${checkedName(name)}.jsonl`),
        (list) => list.append(key, record),
      ),
    read: async (name) => await readBlob(join(path, checkedName(name))),
    write: async (name, bytes) => await writeWhole(join(path, checkedName(name)), bytes),
    remove: async (name) => await removeBlob(join(path, checkedName(name))),
    within: (name) => at(join(path, checkedName(name))),
  });

  return at(folder);
}

/** @throws {RangeError} When a name leads out of the folder or is none. */
function checkedName(name: string): string {
  const parts = name.split("/");
  if (name.includes("\0") || parts.some((part) => part === "" || part === "." || part === "..")) {
    throw new RangeError(
      `Cannot use a name in the journal as it must be a relative path: ${JSON.stringify(name)}`,
    );
  }
  return name;
}

interface ListFile {
  records(): Promise<ReadonlyMap<string, Json>>;
  append(key: string, record: Json): Promise<void>;
}

interface Waiting {
  readonly line: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

async function openList(path: string): Promise<ListFile> {
  await makeFolder(dirname(path));
  const open = () => Deno.open(path, { write: true, create: true });
  const isNew = !await exists(path);
  await explaining(`write ${path}`, async () => (await open()).close());
  if (isNew) await flushFolder(dirname(path));
  const keys = new Set<string>();
  let length = await readList(path, (key) => keys.add(key));
  await explaining(`write ${path}`, () => Deno.truncate(path, length));

  let waiting: Waiting[] = [];
  let flushing = false;

  async function flush(): Promise<void> {
    flushing = true;
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        await explaining(`write ${path}`, async () => {
          using file = await open();
          await file.seek(length, Deno.SeekMode.Start);
          for (const { line } of batch) await writeAll(file, line);
          await file.syncData();
        });
        for (const { line, resolve } of batch) {
          length += line.length;
          resolve();
        }
      } catch (error) {
        await Deno.truncate(path, length).catch(() => {}); // else the torn line is cut off on opening
        for (const { reject } of batch) reject(error);
      }
    }
    flushing = false;
  }

  return {
    async records() {
      const records = new Map<string, Json>();
      await readList(path, (key, record) => records.set(key, record));
      return records;
    },
    append(key, record) {
      if (keys.has(key)) {
        return Promise.reject(
          new RangeError(`Cannot append to ${path} as its keys must be new: ${key}`),
        );
      }
      keys.add(key);
      const line = new TextEncoder().encode(`${JSON.stringify(toLine(key, record))}\n`);
      return new Promise((resolve, reject) => {
        waiting.push({
          line,
          resolve,
          reject: (error) => {
            keys.delete(key);
            reject(error);
          },
        });
        if (!flushing) flush();
      });
    },
  };
}

/** Reads the whole lines of a list, a piece of the file at a time. Returns their length in bytes. */
async function readList(
  path: string,
  visit: (key: string, record: Json) => void,
): Promise<number> {
  return await explaining(`read ${path}`, async () => {
    using file = await Deno.open(path, { read: true });
    const buffer = new Uint8Array(PIECE);
    let pieces: Uint8Array[] = []; // of a line that is not whole yet
    let length = 0;
    let number = 0;
    for (;;) {
      const count = await file.read(buffer);
      if (count === null) return length;
      let start = 0;
      for (;;) {
        const end = buffer.subarray(0, count).indexOf(10, start);
        if (end < 0) break;
        const line = joined([...pieces, buffer.subarray(start, end)]);
        pieces = [];
        visit(...fromLine(line, `${path}:${++number}`));
        length += line.length + 1;
        start = end + 1;
      }
      if (start < count) pieces.push(buffer.slice(start, count));
    }
  });
}

/** Bytes read at once. */
const PIECE = 1 << 16;

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

type JsonObject = { readonly [key: string]: Json };

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function toLine(key: string, record: Json): Json {
  const names = isObject(record) ? Object.keys(record) : undefined;
  const plain = names !== undefined && !names.includes("key") && names.join() !== "value";
  return plain ? { key, ...record as JsonObject } : { key, value: record };
}

function fromLine(bytes: Uint8Array, where: string): [string, Json] {
  let line: Json | undefined;
  try {
    line = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    line = undefined;
  }
  if (!isObject(line) || typeof line.key !== "string") {
    throw new SyntaxError(`Cannot read ${where} as the line must be a record with a key: damaged`);
  }
  const { key, ...record } = line;
  return [key, Object.keys(record).join() === "value" ? record.value ?? null : record];
}

async function readBlob(path: string): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw fileError(error, `read ${path}`);
  }
}

async function removeBlob(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw fileError(error, `remove ${path}`);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw fileError(error, `read ${path}`);
  }
}
