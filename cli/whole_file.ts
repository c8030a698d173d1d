/**
 * Files that are there whole or not at all, also after a crash: written beside their place as
 * `NAME.tmp`, flushed, and renamed into it.
 *
 * @module
 */

import { dirname } from "node:path";
import { fileError } from "./errors.ts";

/**
 * Writes a file whole.
 *
 * @throws {Error} When it cannot be written; what was there before still is.
 */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await openWhole(path);
  await file.write(bytes);
  await file.commit();
}

/** A file that is being written; disposing one that was not committed removes what was written. */
export interface WholeFile extends AsyncDisposable {
  /** Appends; text is gathered to pieces of some size first. */
  write(content: string | Uint8Array): Promise<void>;
  /** Puts the file in its place. */
  commit(): Promise<void>;
}

/** Text is written when so many characters have come together. */
const PIECE = 1 << 16;

/** Begins a file, with the folders that lead to it. */
export async function openWhole(path: string): Promise<WholeFile> {
  await makeFolder(dirname(path));
  const beside = `${path}.tmp`;
  const explained = <T>(work: () => Promise<T>) => explaining(`write ${path}`, work);
  const file = await explained(() =>
    Deno.open(beside, { write: true, create: true, truncate: true })
  );
  let open = true;
  let text = "";
  async function flushText(): Promise<void> {
    if (text === "") return;
    const bytes = new TextEncoder().encode(text);
    text = "";
    await writeAll(file, bytes);
  }
  return {
    write: (content) =>
      explained(async () => {
        if (typeof content === "string") {
          text += content;
          if (text.length >= PIECE) await flushText();
        } else {
          await flushText();
          await writeAll(file, content);
        }
      }),
    async commit() {
      await explained(async () => {
        await flushText();
        await file.sync();
        file.close();
        open = false;
        await Deno.rename(beside, path);
      });
      await flushFolder(dirname(path));
    },
    async [Symbol.asyncDispose]() {
      if (!open) return;
      open = false;
      file.close();
      await Deno.remove(beside).catch(() => {}); // an error before this one is the one to tell
    },
  };
}

/** Writes all of some bytes at a file's position. */
export async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
}

/** Makes a folder and those that lead to it. */
export async function makeFolder(path: string): Promise<void> {
  await explaining(`make the folder ${path}`, () => Deno.mkdir(path, { recursive: true }));
}

/** Flushes a folder's entries, so that a new name survives a crash. */
export async function flushFolder(path: string): Promise<void> {
  if (Deno.build.os === "windows") return; // folders cannot be opened there
  await explaining(`write ${path}`, async () => {
    using folder = await Deno.open(path, { read: true });
    await folder.sync();
  });
}

/** Does work whose errors are the operating system's, in our words. */
export async function explaining<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(error, doing);
  }
}
