/**
 * Downloads models of the Hugging Face hub into its cache.
 *
 * @module
 */

import { join } from "node:path";
import { type HubClient, type HubEntry, type HubQuery, loadHub } from "./_deps.ts";
import { oneLine } from "../errors.ts";
import type { Progress } from "../progress.ts";
import { writeWhole } from "../whole_file.ts";
import { type CacheBlob, fetchBlob } from "./blob.ts";
import { COMMIT, isThere, link, modelFolder, refPath, snapshotFolder } from "./cache.ts";
import type { HubName } from "./name.ts";
import { neededFiles } from "./selection.ts";
import type { HubAccess } from "./settings.ts";

/** Options of {@linkcode download}. */
export interface DownloadOptions {
  /** Folder of the cache. */
  readonly cache: string;
  readonly access: HubAccess;
  readonly progress: Progress;
  /** Ends the download; what has come is kept, and the next one goes on from there. */
  readonly signal: AbortSignal;
  /** Pause before the first new attempt after a dropped connection; each next one is twice as long. */
  readonly pauseMs?: number;
}

/**
 * Downloads the files that a model needs and that are not in the cache.
 *
 * Each is checked against the hash by which the hub lists it. The branch is written down last, so that
 * it never points to a model that is not whole.
 *
 * @returns Paths of the model's files in the cache.
 * @throws {Error} When the hub cannot be reached, does not have the model or does not let us.
 */
export async function download(name: HubName, options: DownloadOptions): Promise<string[]> {
  const { cache, access: { endpoint, token }, progress, signal } = options;
  const hub = await loadHub();
  const common = {
    hubUrl: endpoint,
    ...(token === undefined ? {} : { accessToken: token }),
  };
  try {
    const fetchWithSignal: typeof fetch = (input, init) => fetch(input, { ...init, signal });
    const query = { ...common, fetch: fetchWithSignal };
    const commit = await commitOf(hub, name, query);
    const listing = { ...query, repo: name.repository, recursive: true, revision: commit };
    const entries = new Map<string, HubEntry>();
    for await (const entry of hub.listFiles(listing)) {
      if (entry.type === "file") entries.set(entry.path, entry);
    }
    const snapshot = snapshotFolder(cache, name, commit);
    const wanted = neededFiles(name, [...entries.keys()]).map((path) => ({
      place: join(snapshot, path),
      path,
      blob: blobOf(entries.get(path)!, join(modelFolder(cache, name), "blobs")),
    }));
    const missing: typeof wanted = [];
    for (const each of wanted) if (!await isThere(each.place)) missing.push(each);
    const total = missing.reduce((sum, { blob }) => sum + blob.size, 0);
    let before = 0;
    for (const { place, path, blob } of missing) {
      await fetchBlob(blob, {
        ...options,
        lock: join(cache, ".locks", modelFolder("", name), `${blob.etag}.lock`),
        onBytes: (bytes) => {
          progress.update(`downloading ${name.repository}`, before + bytes, total, "bytes");
        },
        open: (watched) =>
          hub.downloadFile({
            ...common,
            fetch: watched,
            repo: name.repository,
            path,
            revision: commit,
            xet: false,
          }),
      });
      before += blob.size;
      await link(blob.path, place);
    }
    progress.finish();
    if (name.revision !== commit) {
      await writeWhole(refPath(cache, name), new TextEncoder().encode(commit));
    }
    return wanted.map(({ place }) => place);
  } catch (error) {
    signal.throwIfAborted();
    throw hubError(error, name, options.access);
  }
}

async function commitOf(
  hub: HubClient,
  { repository, revision = "main" }: HubName,
  query: HubQuery,
): Promise<string> {
  if (COMMIT.test(revision)) return revision;
  const { sha } = await hub.modelInfo({
    ...query,
    name: repository,
    revision,
    additionalFields: ["sha"],
  });
  if (typeof sha !== "string" || !COMMIT.test(sha)) {
    throw new TypeError(`the commit of ${revision} must have 40 hexadecimal digits: ${sha}`);
  }
  return sha;
}

/** Where a file's content goes and how it is checked: large files by SHA-256, others as git does. */
function blobOf({ path, size, oid, lfs }: HubEntry, folder: string): CacheBlob {
  const etag = lfs?.oid ?? oid ?? "";
  if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)) {
    throw new TypeError(`the listing must give a hash of ${path}: ${etag || "none"}`);
  }
  const bytes = lfs?.size ?? size;
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    throw new TypeError(`the listing must give the size of ${path}: ${bytes}`);
  }
  return { etag, path: join(folder, etag), size: bytes, hash: lfs ? "sha256" : "git" };
}

/** What went wrong, with what can be done about it. */
function hubError(error: unknown, { repository }: HubName, { endpoint, token }: HubAccess): Error {
  const doing = `Cannot download ${repository} as`;
  const cause = { cause: error };
  const reason = oneLine(error);
  if (error instanceof Error && error.message.startsWith("Cannot ")) return error;
  if (error instanceof Deno.errors.NotCapable) {
    return new Error(
      `${doing} Deno must be allowed to: ${reason}; deno task sppo:hub allows what ${
        new URL(endpoint).host
      } needs if it is huggingface.co`,
      cause,
    );
  }
  switch ((error as { statusCode?: unknown }).statusCode) {
    case 401:
    case 403:
      return new Error(
        `${doing} the hub must give it to us: ${reason} (${
          token === undefined ? "if it is private or gated, set HF_TOKEN" : "with the token given"
        })`,
        cause,
      );
    case 404:
      return new Error(`${doing} the hub must have it: ${reason}`, cause);
  }
  return new Error(`${doing} ${endpoint} must serve it: ${reason}`, cause);
}
