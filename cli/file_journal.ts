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
 * - a blob is written beside its place as `NAME.tmp`, flushed, and renamed into it.
 *
 * @module
 */

import { dirname, join } from "node:path";
import type { Journal, Json } from "../core/journal.ts";
import { fileError } from "./errors.ts";

/** A journal in a folder, to be closed at the end. */
export interface FileJournal extends Journal {
  /** Closes the files. */
  close(): void;
}

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
 * journal.close();
 * assert.equal(
 *   await Deno.readTextFile(`${folder}/iteration-1/responses.jsonl`),
 *   '{"key":"a","prompt":"Why?"}\n',
 * );
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export function fileJournal(folder: string): FileJournal {
  const lists = new Map<string, Promise<ListFile>>();

  function list(path: string): Promise<ListFile> {
    const open = lists.get(path) ?? openList(path);
    lists.set(path, open);
    open.catch(() => lists.delete(path));
    return open;
  }

  const at = (path: string): Journal => ({
    records: async (name) => {
      const file = join(path, `${checkedName(name)}.jsonl`);
      if (!lists.has(file) && !await exists(file)) return new Map();
      return (await list(file)).records();
    },
    append: async (name, key, record) =>
      (await list(join(path, `${checkedName(name)}.jsonl`))).append(key, record),
    read: async (name) => await readBlob(join(path, checkedName(name))),
    write: async (name, bytes) => await writeBlob(join(path, checkedName(name)), bytes),
    remove: async (name) => await removeBlob(join(path, checkedName(name))),
    within: (name) => at(join(path, checkedName(name))),
  });

  return {
    ...at(folder),
    close() {
      for (const open of lists.values()) open.then((file) => file.close(), () => {});
      lists.clear();
    },
  };
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
  close(): void;
}

interface Waiting {
  readonly line: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

async function openList(path: string): Promise<ListFile> {
  await makeFolder(dirname(path));
  const isNew = !await exists(path);
  const file = await doing(
    `write ${path}`,
    () => Deno.open(path, { read: true, write: true, create: true }),
  );
  if (isNew) await flushFolder(dirname(path));
  let { length, records } = await readList(path);
  const keys = new Set(records.keys());
  records = new Map();
  await doing(`write ${path}`, () => file.truncate(length));

  let waiting: Waiting[] = [];
  let flushing = false;

  async function flush(): Promise<void> {
    flushing = true;
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        await doing(`write ${path}`, async () => {
          await file.seek(length, Deno.SeekMode.Start);
          for (const { line } of batch) await writeAll(file, line);
          await file.syncData();
        });
        for (const { line, resolve } of batch) {
          length += line.length;
          resolve();
        }
      } catch (error) {
        await file.truncate(length).catch(() => {}); // else the torn line is cut off on opening
        for (const { reject } of batch) reject(error);
      }
    }
    flushing = false;
  }

  return {
    records: async () => (await readList(path)).records,
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
    close: () => file.close(),
  };
}

/** The whole lines of a list, and their length in bytes. */
async function readList(path: string): Promise<{ records: Map<string, Json>; length: number }> {
  const bytes = await doing(`read ${path}`, () => Deno.readFile(path));
  const length = bytes.lastIndexOf(10) + 1;
  const records = new Map<string, Json>();
  let start = 0;
  for (let number = 1; start < length; number++) {
    const end = bytes.indexOf(10, start);
    const [key, record] = fromLine(bytes.subarray(start, end), `${path}:${number}`);
    records.set(key, record);
    start = end + 1;
  }
  return { records, length };
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

/**
 * Writes a file whole or not at all: beside its place, flushed, then renamed.
 *
 * @throws {Error} When it cannot be written; what was there before still is.
 */
export async function writeBlob(path: string, bytes: Uint8Array): Promise<void> {
  await makeFolder(dirname(path));
  const beside = `${path}.tmp`;
  await doing(`write ${path}`, async () => {
    try {
      using file = await Deno.open(beside, { write: true, create: true, truncate: true });
      await writeAll(file, bytes);
      await file.sync();
    } catch (error) {
      await Deno.remove(beside).catch(() => {}); // the first error is the one to tell
      throw error;
    }
    await Deno.rename(beside, path);
  });
  await flushFolder(dirname(path));
}

async function removeBlob(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw fileError(error, `remove ${path}`);
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
}

async function makeFolder(path: string): Promise<void> {
  await doing(`make the folder ${path}`, () => Deno.mkdir(path, { recursive: true }));
}

/** Flushes a folder's entries, so that a new name survives a crash. */
async function flushFolder(path: string): Promise<void> {
  if (Deno.build.os === "windows") return; // folders cannot be opened there
  await doing(`write ${path}`, async () => {
    using folder = await Deno.open(path, { read: true });
    await folder.sync();
  });
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

async function doing<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(error, what);
  }
}
