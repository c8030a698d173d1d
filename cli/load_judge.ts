/**
 * A judge named on the command line.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { PreferenceOracle } from "../core/oracle.ts";
import { parseJudge } from "../judges/mod.ts";
import { fileError, oneLine } from "./errors.ts";

/**
 * Makes the judge of a short form such as `length:40-80`, or takes it from a TypeScript module (a path
 * or a URL ending in .ts, .js or .mjs) that exports `judge` or `oracle`: a PreferenceOracle, or a
 * function that returns one. The id of a judge from a local module also covers the module's text.
 *
 * @throws {Error} When there is no such judge, naming what was given.
 */
export async function loadJudge(text: string): Promise<PreferenceOracle> {
  const url = moduleUrl(text);
  if (url === undefined) return parseJudge(text);
  const source = url.protocol === "file:" ? await moduleText(url, text) : text;
  let module: Record<string, unknown>;
  try {
    module = await import(url.href);
  } catch (error) {
    throw new Error(`Cannot use the judge ${text} as it must be importable: ${oneLine(error)}`, {
      cause: error,
    });
  }
  const exported = module.judge ?? module.oracle;
  if (exported === undefined) {
    throw new TypeError(
      `Cannot use the judge ${text} as it must export judge or oracle: it exports ${
        Object.keys(module).join(", ") || "nothing"
      }`,
    );
  }
  const oracle: unknown = typeof exported === "function" ? await exported() : exported;
  if (!isOracle(oracle)) {
    throw new TypeError(
      `Cannot use the judge ${text} as what it exports must be a PreferenceOracle with id and compare`,
    );
  }
  const digest = createHash("sha256").update(source).digest("hex").slice(0, 16);
  return {
    id: `${oracle.id}@${digest}`,
    compare: (groups, options) => oracle.compare(groups, options),
  };
}

function moduleUrl(text: string): URL | undefined {
  if (/^(https?|file|data|jsr|npm):/.test(text)) return new URL(text);
  return /\.(ts|mts|js|mjs)$/.test(text) ? pathToFileURL(resolve(text)) : undefined;
}

async function moduleText(url: URL, text: string): Promise<string> {
  try {
    return await Deno.readTextFile(fileURLToPath(url));
  } catch (error) {
    throw fileError(error, `read the judge ${text}`);
  }
}

function isOracle(value: unknown): value is PreferenceOracle {
  return typeof value === "object" && value !== null &&
    "id" in value && typeof value.id === "string" &&
    "compare" in value && typeof value.compare === "function";
}
