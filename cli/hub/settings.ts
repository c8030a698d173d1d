/**
 * Where the Hugging Face hub and its cache are, by the variables that all of its tools read.
 *
 * | variable | what |
 * |---|---|
 * | `HF_HOME` | folder of cache and token; `$XDG_CACHE_HOME/huggingface` or `~/.cache/huggingface` |
 * | `HF_HUB_CACHE` | folder of the cache; `$HF_HOME/hub` |
 * | `HF_TOKEN` | token sent to the hub; else what `$HF_HOME/token` holds |
 * | `HF_ENDPOINT` | the hub; `https://huggingface.co` |
 *
 * @module
 */

import { join } from "node:path";
import { fileError } from "../errors.ts";

/** Reads a variable. */
export type Variables = (name: string) => string | undefined;

/** Folder of the cache. @throws {Error} When Deno does not allow the variables to be read. */
export function hubCache(variables: Variables = Deno.env.get): string {
  return reading(
    "find the Hugging Face cache",
    () => variables("HF_HUB_CACHE") || join(home(variables), "hub"),
  );
}

/** What a download needs beside the cache. */
export interface HubAccess {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
}

/** @throws {Error} When the endpoint is not a URL, or Deno does not allow the variables to be read. */
export async function hubAccess(variables: Variables = Deno.env.get): Promise<HubAccess> {
  const [endpoint, token, folder] = reading("reach the hub (deno task sppo:hub may)", () => [
    variables("HF_ENDPOINT") || "https://huggingface.co",
    variables("HF_TOKEN"),
    home(variables),
  ]);
  if (!URL.canParse(endpoint!) || !/^https?:/.test(endpoint!)) {
    throw new TypeError(
      `Cannot reach the hub as HF_ENDPOINT must be a URL of http or https: ${endpoint}`,
    );
  }
  return {
    endpoint: endpoint!.replace(/\/+$/, ""),
    token: token?.trim() || await storedToken(join(folder!, "token")),
  };
}

async function storedToken(path: string): Promise<string | undefined> {
  try {
    return (await Deno.readTextFile(path)).trim() || undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined; // nobody has logged in here
    throw fileError(error, `read the hub's token ${path}`);
  }
}

function home(variables: Variables): string {
  const folder = variables("HF_HOME");
  if (folder) return folder;
  const person = variables(Deno.build.os === "windows" ? "USERPROFILE" : "HOME") || ".";
  return join(variables("XDG_CACHE_HOME") || join(person, ".cache"), "huggingface");
}

function reading<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fileError(error, doing);
  }
}
