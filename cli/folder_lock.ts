/**
 * A lock that keeps two runs out of one folder.
 *
 * @module
 */

import { join } from "node:path";
import { fileError } from "./errors.ts";

/** Name of the lock's file. */
export const LOCK_FILE = ".lock";

/** A lock that is held. */
export interface FolderLock {
  /** Lets go. With `unused` the lock's file goes, and the folder when it is empty then. */
  release(unused?: boolean): void;
}

/**
 * Takes the lock of a folder, which is made when it is not there. The operating system holds the lock
 * for the open file, so one left by a process that was killed is free; the file's text, the id of the
 * process, only serves the message.
 *
 * @throws {Error} When another process has it.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = join(folder, LOCK_FILE);
  try {
    await Deno.mkdir(folder, { recursive: true });
    const file = await Deno.open(path, { read: true, write: true, create: true });
    if (!await file.tryLock(true)) {
      file.close();
      const owner = (await Deno.readTextFile(path)).trim();
      throw new Error(
        `Cannot use ${folder} as only one run at a time may: process ${owner || "unknown"} does`,
      );
    }
    await file.truncate(0);
    await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
    return {
      release(unused = false) {
        file.truncateSync(0);
        if (unused) removeEmpty(folder, path);
        file.close();
      },
    };
  } catch (error) {
    throw fileError(error, `use ${folder}`);
  }
}

function removeEmpty(folder: string, path: string): void {
  Deno.removeSync(path);
  if ([...Deno.readDirSync(folder)].length === 0) Deno.removeSync(folder);
}
