/**
 * The cache that all tools of the Hugging Face hub share:
 *
 *     models--OWNER--NAME/blobs/ETAG            contents; ETAG.incomplete while they come
 *     models--OWNER--NAME/refs/REVISION         the commit that a branch or tag was last seen at
 *     models--OWNER--NAME/snapshots/COMMIT/…    a commit's files, links into blobs/
 *     .locks/models--OWNER--NAME/ETAG.lock      held while a blob is written
 *
 * Source: huggingface_hub `file_download.py`, "Understand caching".
 *
 * @module
 */

import { dirname, join, relative } from "node:path";
import { makeFolder } from "../whole_file.ts";
import type { HubName } from "./name.ts";
import { neededFiles } from "./selection.ts";

/** A commit's name: 40 hexadecimal digits. */
export const COMMIT = /^[0-9a-f]{40}$/;

/** Folder of a model. */
export function modelFolder(cache: string, { repository }: HubName): string {
  return join(cache, `models--${repository.replace("/", "--")}`);
}

/** Folder of a commit's files. */
export function snapshotFolder(cache: string, name: HubName, commit: string): string {
  return join(modelFolder(cache, name), "snapshots", commit);
}

/** Where the commit of a branch or tag is written down. */
export function refPath(cache: string, name: HubName): string {
  return join(modelFolder(cache, name), "refs", ...(name.revision ?? "main").split("/"));
}

/**
 * Paths of a model's files where they are in the cache.
 *
 * @returns undefined where its revision is not.
 * @throws {Error} When the files there are no model.
 */
export async function findCached(cache: string, name: HubName): Promise<string[] | undefined> {
  const commit = COMMIT.test(name.revision ?? "")
    ? name.revision!
    : (await readIfThere(refPath(cache, name)))?.trim();
  if (commit === undefined || !COMMIT.test(commit)) return undefined;
  const folder = snapshotFolder(cache, name, commit);
  const paths = await filesUnder(folder);
  if (paths === undefined) return undefined;
  return neededFiles(name, paths).map((path) => join(folder, path));
}

/** Makes a file of a snapshot a link to its blob; where links cannot be made it is the blob itself. */
export async function link(blob: string, file: string): Promise<void> {
  await makeFolder(dirname(file));
  await Deno.remove(file).catch((error) => { // a link to a blob that is gone
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  try {
    await Deno.symlink(relative(dirname(file), blob), file, { type: "file" });
  } catch (error) {
    if (Deno.build.os !== "windows") throw error;
    await Deno.rename(blob, file); // as huggingface_hub does without the right to make links
  }
}

/** Whether there is a file; a link to nothing is none. */
export async function isThere(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Paths of all files under a folder, links to files among them; undefined where there is none. */
async function filesUnder(folder: string, prefix = ""): Promise<string[] | undefined> {
  const paths: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(join(folder, prefix))) {
      const path = `${prefix}${name}`;
      if (isDirectory) paths.push(...await filesUnder(folder, `${path}/`) ?? []);
      else if (await isThere(join(folder, path))) paths.push(path);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  return paths.sort();
}
