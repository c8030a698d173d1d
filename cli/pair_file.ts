/**
 * A file of what a judge has said of pairs: `{"key","preference"}` a line, with `logits` where it has
 * any.
 *
 * @module
 */

import type { Json } from "../core/journal.ts";
import type { CachedPair, PairStore } from "../judges/mod.ts";
import { shortly } from "./errors.ts";
import { openKeptLines } from "./kept_lines.ts";

/**
 * Opens the file of `cached(…)@file=FILE`.
 *
 * @throws {Error} When the file cannot be opened, or someone else has it open.
 * @throws {TypeError} When a line is no such record.
 */
export function openPairFile(path: string): PairStore & Disposable {
  const file = openKeptLines(path);
  const pairs = new Map(file.records.map(({ value, where }) => {
    if (!isRecord(value)) {
      file[Symbol.dispose]();
      throw new TypeError(
        `Cannot read ${where} as it must have key and preference, as a cache writes them: ${
          shortly(value)
        }`,
      );
    }
    const { key, ...pair } = value;
    return [key, pair as CachedPair];
  }));
  return {
    get: (key) => pairs.get(key),
    set(key, pair) {
      pairs.set(key, pair);
      file.append({ key, ...pair } as unknown as Json);
    },
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}

function isRecord(value: unknown): value is CachedPair & { readonly key: string } {
  if (typeof value !== "object" || value === null) return false;
  const { key, preference, logits } = value as Record<string, unknown>;
  return typeof key === "string" && typeof preference === "number" && preference >= 0 &&
    preference <= 1 &&
    (logits === undefined ||
      Array.isArray(logits) && logits.length === 2 &&
        logits.every((logit) => typeof logit === "number"));
}
