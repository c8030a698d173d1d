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
 * Opens an output. A file that is there is replaced when the first record is written, and one that was
 * made for nothing goes, so that an output may be opened before it is known whether there is work.
 *
 * @param path `-` is standard output.
 */
export async function openOutput(path: string): Promise<RecordOutput> {
  const doing = path === "-" ? "write to standard output" : `write ${path}`;
  let file: Deno.FsFile | undefined;
  let isNew = false;
  let begun = false;
  try {
    if (path !== "-") {
      isNew = !await Deno.stat(path).then(() => true, () => false);
      file = await Deno.open(path, { write: true, create: true });
    }
  } catch (error) {
    throw fileError(error, doing);
  }
  return {
    async write(record) {
      const bytes = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
      try {
        // What is no file (a pipe, a terminal) has nothing to be replaced.
        if (!begun && (await file?.stat())?.isFile) await file?.truncate(0);
        begun = true;
        const target = file ?? Deno.stdout;
        for (let done = 0; done < bytes.length;) done += await target.write(bytes.subarray(done));
      } catch (error) {
        throw fileError(error, doing);
      }
    },
    [Symbol.dispose]() {
      file?.close();
      if (isNew && !begun) Deno.removeSync(path);
    },
  };
}
