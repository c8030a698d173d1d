/**
 * A model of the Hugging Face hub, from its cache or downloaded into it.
 *
 * @module
 */

import type { LoadContext } from "../load_model.ts";
import { findCached } from "./cache.ts";
import { download } from "./download.ts";
import { HUB_PREFIX, parseHubName } from "./name.ts";
import { hubAccess, hubCache } from "./settings.ts";

/** A model's files in the cache. */
export interface HubModel {
  /** `owner/name`. */
  readonly repository: string;
  readonly paths: readonly string[];
}

/**
 * The model that `hf:owner/name[@revision][/file.gguf]` names, downloaded where files are missing, or
 * the same without `hf:` where nothing of that path exists, from the cache alone.
 *
 * @returns undefined where the text is a path.
 * @throws {Error} When the model is not to be had.
 */
export async function findOnHub(
  model: string,
  { progress, signal }: Pick<LoadContext, "progress" | "signal">,
): Promise<HubModel | undefined> {
  if (model.startsWith(HUB_PREFIX)) {
    const name = parseHubName(model.slice(HUB_PREFIX.length));
    if (name === undefined) {
      throw new TypeError(
        `Cannot read the model as it must be hf:owner/name[@revision][/file.gguf]: ${model}`,
      );
    }
    const [cache, access] = [hubCache(), await hubAccess()];
    const paths = await download(name, { cache, access, progress, signal });
    return { repository: name.repository, paths };
  }
  const name = parseHubName(model);
  if (name === undefined || await exists(model)) return undefined;
  const cache = hubCache();
  const remedy = `--model ${HUB_PREFIX}${model} downloads it (see deno task sppo:hub)`;
  let paths: string[] | undefined;
  try {
    paths = await findCached(cache, name);
  } catch (error) {
    throw new Error(`${(error as Error).message}, in the cache ${cache}; ${remedy}`, {
      cause: error,
    });
  }
  if (paths === undefined) {
    throw new Error(
      `Cannot read the model ${model} as it must be a folder, a file or in the cache ${cache}: it is not; ${remedy}`,
    );
  }
  return { repository: name.repository, paths };
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}
