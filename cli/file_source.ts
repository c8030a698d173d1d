/**
 * Files as byte sources.
 *
 * @module
 */

import type { ByteSource } from "../models/checkpoints/byte_source.ts";

/** A file that is open until it is disposed. */
export interface FileSource extends ByteSource {
  [Symbol.dispose](): void;
}

/**
 * Opens a file. Reads wait for each other, as they share one position.
 *
 * @throws {Deno.errors.NotFound} If there is no such file.
 */
export async function openFile(path: string): Promise<FileSource> {
  const file = await Deno.open(path, { read: true });
  const name = path.split(/[\\/]/).pop() || path;
  let info: Deno.FileInfo;
  try {
    info = await file.stat();
    if (!info.isFile) throw new Error(`Cannot read ${name} as it must be a file: it is not`);
  } catch (error) {
    file.close();
    throw error;
  }
  const size = info.size;
  let last: Promise<unknown> = Promise.resolve();

  async function readRange(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    await file.seek(offset, Deno.SeekMode.Start);
    for (let filled = 0; filled < length;) {
      const count = await file.read(bytes.subarray(filled));
      if (count === null) {
        throw new Error(
          `Cannot read ${name} as it must keep its ${size} bytes while it is read: it became shorter`,
        );
      }
      filled += count;
    }
    return bytes;
  }

  return {
    name,
    size,
    path,
    read(offset, length, options) {
      const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
      if (!whole || offset < 0 || length < 0 || offset + length > size) {
        return Promise.reject(
          new RangeError(
            `Cannot read ${name} as the range must lie within its ${size} bytes: ${length} bytes at ${offset}`,
          ),
        );
      }
      const result = last.then(() => {
        options?.signal?.throwIfAborted();
        return readRange(offset, length);
      });
      last = result.catch(() => {});
      return result;
    },
    [Symbol.dispose]: () => file.close(),
  };
}

/** Files of a checkpoint, open until they are disposed. */
export interface OpenFiles {
  readonly files: Readonly<Record<string, FileSource>>;
  [Symbol.dispose](): void;
}

/** What a checkpoint's or an adapter's folder may hold. */
const CHECKPOINT_FILE = /\.(json|jinja|safetensors|gguf|bin)$/i;

/**
 * Opens what belongs to the checkpoint at `path`: a folder's files; a `.gguf` file; a `.bin` file
 * with the `tok*.bin` beside it.
 *
 * @throws {Deno.errors.NotFound} If there is nothing at `path`.
 */
export async function openCheckpointFiles(path: string): Promise<OpenFiles> {
  const paths: string[] = [];
  if ((await Deno.stat(path)).isDirectory) {
    for await (const entry of Deno.readDir(path)) {
      if (!entry.isDirectory && CHECKPOINT_FILE.test(entry.name)) {
        paths.push(`${path}/${entry.name}`);
      }
    }
  } else {
    paths.push(path);
    const folder = /^(.*)[\\/]/.exec(path)?.[1] ?? ".";
    if (/\.bin$/i.test(path)) {
      for await (const entry of Deno.readDir(folder || "/")) {
        const beside = `${folder}/${entry.name}`;
        if (/^tok.*\.bin$/i.test(entry.name) && beside !== path) paths.push(beside);
      }
    }
  }
  return await openFiles(paths);
}

/** Opens files that belong together, by their names without folders. */
export async function openFiles(paths: readonly string[]): Promise<OpenFiles> {
  const files: Record<string, FileSource> = {};
  const close = () => {
    for (const file of Object.values(files)) file[Symbol.dispose]();
  };
  try {
    for (const each of [...paths].sort()) {
      const file = await openFile(each);
      files[file.name] = file;
    }
  } catch (error) {
    close();
    throw error;
  }
  return { files, [Symbol.dispose]: close };
}
