/**
 * A file of JSON lines that is read once and then added to: what was answered before, and is not asked
 * again.
 *
 * @module
 */

import { dirname } from "node:path";
import type { Json } from "../core/journal.ts";
import { fileError } from "./errors.ts";

/** A file that is open, and locked against others. */
export interface KeptLines extends Disposable {
  /** What it held when it was opened; each record with its place, such as `votes.jsonl:3`. */
  readonly records: readonly { readonly value: unknown; readonly where: string }[];
  /** Adds a record, and waits for the disk. */
  append(record: Json): void;
}

/**
 * Opens a file, which is made with its folders when it is not there. A last line that a crash cut short
 * is cut off; a write that fails leaves no part of its line.
 *
 * @throws {Error} When it cannot be opened, or someone else has it open.
 * @throws {SyntaxError} When another line is no JSON.
 *
 * @example
 * ```ts
 * import { openKeptLines } from "./kept_lines.ts";
 * import assert from "node:assert/strict";
 * const folder = await Deno.makeTempDir();
 * {
 *   using lines = openKeptLines(`${folder}/new.jsonl`);
 *   lines.append({ a: 1 });
 * }
 * using lines = openKeptLines(`${folder}/new.jsonl`);
 * assert.deepEqual(lines.records.map(({ value }) => value), [{ a: 1 }]);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export function openKeptLines(path: string): KeptLines {
  const explaining = <T>(doing: string, work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw fileError(error, doing);
    }
  };
  const file = explaining(`open ${path}`, () => {
    Deno.mkdirSync(dirname(path), { recursive: true });
    return Deno.openSync(path, { read: true, write: true, create: true });
  });
  try {
    // The system holds the lock for the open file, so that one of a process that was killed is free.
    if (!file.tryLockSync(true)) {
      throw new Error(`Cannot use ${path} as only one judge at a time may: another has it open`);
    }
    const bytes = explaining(`read ${path}`, () => Deno.readFileSync(path));
    let length = bytes.lastIndexOf(10) + 1;
    const lines = new TextDecoder().decode(bytes.subarray(0, length)).split("\n");
    const records = lines.flatMap((line, index) => {
      const where = `${path}:${index + 1}`;
      return line.trim() === "" ? [] : [{ value: parse(line, where), where }];
    });
    explaining(`write ${path}`, () => file.truncateSync(length));
    return {
      records,
      append(record) {
        const line = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
        try {
          file.seekSync(length, Deno.SeekMode.Start);
          for (let done = 0; done < line.length;) done += file.writeSync(line.subarray(done));
          file.syncDataSync();
        } catch (error) {
          file.truncateSync(length);
          throw fileError(error, `write ${path}`);
        }
        length += line.length;
      },
      [Symbol.dispose]: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

function parse(line: string, where: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new SyntaxError(`Cannot read ${where} as each line must be JSON: ${line.slice(0, 40)}`);
  }
}
