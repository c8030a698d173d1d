/**
 * One file's content on its way into the cache.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import { dirname } from "node:path";
import { makeFolder, writeAll } from "../whole_file.ts";
import { isThere } from "./cache.ts";

/** A content in the cache. */
export interface CacheBlob {
  /** Its name there. */
  readonly etag: string;
  readonly path: string;
  readonly size: number;
  /** What `etag` is: the SHA-256 of the content, or git's SHA-1 of it. */
  readonly hash: "sha256" | "git";
}

/** What is used of a `Blob` that reads from a server. */
interface RemoteBlob {
  readonly size: number;
  slice(start: number): { stream(): ReadableStream<Uint8Array> };
}

/** Options of {@linkcode fetchBlob}. */
export interface FetchBlobOptions {
  /** Opens the content on the server; null where there is none. */
  readonly open: (watched: typeof fetch) => Promise<RemoteBlob | null>;
  /** File that is locked while the content is written, as other tools do. */
  readonly lock: string;
  readonly signal: AbortSignal;
  readonly onBytes: (bytes: number) => void;
  readonly pauseMs?: number;
}

/** Attempts in a row that bring nothing, after which a download fails. */
const ATTEMPTS = 5;
/** Bytes read at once of what is there already. */
const PIECE = 1 << 20;

/**
 * Brings a content into the cache: from where an earlier download ended, anew from there after each
 * dropped connection, checked by its hash before it gets its name.
 *
 * @throws {Error} When several attempts in a row bring nothing, or the content is another.
 */
export async function fetchBlob(blob: CacheBlob, options: FetchBlobOptions): Promise<void> {
  await makeFolder(dirname(blob.path));
  await makeFolder(dirname(options.lock));
  using lock = await Deno.open(options.lock, { write: true, create: true });
  await lock.lock(true);
  if (await isThere(blob.path)) return; // another process has brought it meanwhile
  const incomplete = `${blob.path}.incomplete`;
  {
    using file = await Deno.open(incomplete, { read: true, write: true, create: true });
    const hash = await receive(file, blob, options);
    if (hash !== blob.etag) {
      await Deno.remove(incomplete);
      throw new Error(
        `Cannot keep ${blob.etag} as its content must have that ${blob.hash} hash: ${hash}; try again`,
      );
    }
    await file.sync();
  }
  await Deno.rename(incomplete, blob.path);
}

/** Fills a file up to the content's size. @returns The content's hash. */
async function receive(
  file: Deno.FsFile,
  blob: CacheBlob,
  { open, signal, onBytes, pauseMs = 1000 }: FetchBlobOptions,
): Promise<string> {
  const hash = createHash(blob.hash === "git" ? "sha1" : "sha256");
  if (blob.hash === "git") hash.update(`blob ${blob.size}\0`);
  if ((await file.stat()).size > blob.size) await file.truncate(0);
  let done = await hashWhatIsThere(file, hash);
  onBytes(done);
  for (let failures = 0; done < blob.size;) {
    signal.throwIfAborted();
    const before = done;
    const watch = watchedFetch(signal);
    try {
      const remote = await open(watch.fetch);
      if (remote === null || remote.size !== blob.size) {
        throw new Error(
          `Cannot download ${blob.etag} as it must have the ${blob.size} bytes listed: ${
            remote?.size ?? "absent"
          }`,
        );
      }
      for await (const bytes of remote.slice(done).stream()) {
        if (done + bytes.length > blob.size) {
          throw new Error(`Cannot download ${blob.etag} as it must end after ${blob.size} bytes`);
        }
        await writeAll(file, bytes);
        hash.update(bytes);
        onBytes(done += bytes.length);
      }
    } catch (error) {
      signal.throwIfAborted();
      const reason = watch.failure ?? error;
      failures = done > before ? 0 : failures + 1;
      if (failures >= ATTEMPTS || !mayPass(reason)) throw reason;
      await pause(pauseMs * 2 ** failures, signal);
      continue;
    }
    // A body that ends early without an error counts as an attempt too.
    failures = done > before ? 0 : failures + 1;
    if (failures >= ATTEMPTS) {
      throw new Error(`the connection ends after ${done} of ${blob.size} bytes`);
    }
  }
  return hash.digest("hex");
}

async function hashWhatIsThere(file: Deno.FsFile, hash: Hash): Promise<number> {
  const piece = new Uint8Array(PIECE);
  let done = 0;
  for (;;) {
    const count = await file.read(piece);
    if (count === null) return done;
    hash.update(piece.subarray(0, count));
    done += count;
  }
}

/**
 * A `fetch` that remembers why it failed, as the client's streams pass on only the words, and that
 * refuses the whole of a content where a part was asked for.
 */
function watchedFetch(signal: AbortSignal): { readonly fetch: typeof fetch; failure?: unknown } {
  const watch: { fetch: typeof fetch; failure?: unknown } = {
    async fetch(input, init) {
      try {
        const response = await fetch(input, { ...init, signal });
        const asked = new Headers(init?.headers).has("range");
        if (asked && response.ok && response.status !== 206) {
          await response.body?.cancel();
          throw new Error(
            `Cannot go on with a download as the server must send parts: status ${response.status}`,
          );
        }
        if (!response.ok) watch.failure = { statusCode: response.status };
        return response;
      } catch (error) {
        watch.failure = error;
        throw error;
      }
    },
  };
  return watch;
}

/** Whether another attempt may go better: not after an answer that says no, nor our own refusals. */
function mayPass(error: unknown): boolean {
  if (error instanceof Deno.errors.NotCapable) return false;
  if (error instanceof Error && error.message.startsWith("Cannot ")) return false;
  const { statusCode } = error as { statusCode?: unknown };
  return typeof statusCode !== "number" || statusCode >= 500 || statusCode === 429;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(end, ms);
    function end(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    }
    signal.addEventListener("abort", end);
  });
}
