/**
 * Where a command's records go: a file or standard output, one JSON object a line.
 *
 * @module
 */

import { fileError } from "./errors.ts";

/** A stream of records. */
export interface RecordOutput {
  /** Writes a record; it is in the file (not only in memory) when this resolves. */
  write(record: unknown): Promise<void>;
  [Symbol.dispose](): void;
}

/**
 * Opens an output, replacing a file that is there.
 *
 * @param path `-` is standard output.
 */
export async function openOutput(path: string): Promise<RecordOutput> {
  const doing = path === "-" ? "write to standard output" : `write ${path}`;
  let file: Deno.FsFile | undefined;
  try {
    if (path !== "-") {
      file = await Deno.open(path, { write: true, create: true, truncate: true });
    }
  } catch (error) {
    throw fileError(error, doing);
  }
  return {
    async write(record) {
      const bytes = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
      try {
        const target = file ?? Deno.stdout;
        for (let done = 0; done < bytes.length;) done += await target.write(bytes.subarray(done));
      } catch (error) {
        throw fileError(error, doing);
      }
    },
    [Symbol.dispose]: () => file?.close(),
  };
}
