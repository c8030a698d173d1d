/**
 * The folder of a training run.
 *
 * ```
 * config.json          the options, resolved; can be given to --config
 * run.json             what was computed with what: versions, digests of model, prompts and judge
 * metrics.jsonl        a line per optimizer step, then per iteration
 * iteration-N/         responses.jsonl  preferences.jsonl  pairs.jsonl  adapter/ (or model/)
 *                      held_out.jsonl  evaluation.json (iteration-0: of the start)
 * journal/             what the run continues from
 * .lock                held while a run uses the folder
 * ```
 *
 * Two runs with the same options on the same machine end with the same bytes, but for `.lock` and the
 * fields of metrics.jsonl that measure time and memory ({@linkcode MEASURED_METRICS}).
 *
 * @module
 */

import { join } from "node:path";
import { fileError, oneLine, shortly } from "./errors.ts";
import type { Journal } from "../core/journal.ts";
import { fileJournal } from "./file_journal.ts";
import { LOCK_FILE, lockFolder } from "./folder_lock.ts";
import { configKey, flagName, type OptionTable, type OptionValue } from "./options/spec.ts";
import { openWhole, type WholeFile, writeWhole } from "./whole_file.ts";

/** Metrics that depend on the machine's mood. */
export const MEASURED_METRICS: readonly string[] = [
  "seconds",
  "tokens_per_second",
  "peak_memory_bytes",
];

/** What a run was made with, beside its options: names and their values. */
export type RunFacts = Readonly<Record<string, string | number>>;

/** A folder that this process holds. */
export interface RunFolder {
  readonly path: string;
  /** Options of the run that was begun here, by key of the configuration file. */
  readonly config: Readonly<Record<string, unknown>> | undefined;
  /** Facts of the run that was begun here. */
  readonly facts: RunFacts | undefined;
  /** What the run continues from. */
  readonly journal: Journal;
  /** Metrics, each line under a key of its own. */
  readonly metrics: Journal;
  /** Writes a file whole, or not at all. */
  write(name: string, content: string | Uint8Array): Promise<void>;
  /** Begins a file that is there once it is committed. */
  begin(name: string): Promise<WholeFile>;
  exists(name: string): Promise<boolean>;
  [Symbol.dispose](): void;
}

/**
 * Opens a run's folder, which is made when it is not there.
 *
 * @throws {Error} When another process holds it, or it holds something that is not a run's.
 */
export async function openRunFolder(path: string): Promise<RunFolder> {
  await refuseForeign(path);
  const lock = await lockFolder(path);
  try {
    const config = await readJson(join(path, "config.json"));
    const facts = await readJson(join(path, "run.json"));
    let begun = config !== undefined;
    const journal = fileJournal(join(path, "journal"));
    const metrics = fileJournal(path);
    return {
      path,
      config,
      facts: facts as RunFacts | undefined,
      journal,
      metrics,
      async write(name, content) {
        begun = true;
        const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
        await writeWhole(join(path, name), bytes);
      },
      begin: async (name) => await openWhole(join(path, name)),
      async exists(name) {
        return await Deno.stat(join(path, name)).then(() => true, () => false);
      },
      [Symbol.dispose]() {
        lock.release(!begun);
      },
    };
  } catch (error) {
    lock.release(false);
    throw error;
  }
}

/** A folder with other things in it is not filled with a run's files. */
async function refuseForeign(path: string): Promise<void> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(path)) names.push(entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw fileError(error, `use ${path}`);
  }
  const ours = [LOCK_FILE, "run.json", "run.json.tmp"]; // what a run writes first
  if (names.some((name) => !ours.includes(name)) && !names.includes("run.json")) {
    throw new Error(
      `Cannot use ${path} as it must be new, empty or a run's folder: it holds ${
        names.sort().slice(0, 3).join(", ")
      }`,
    );
  }
}

async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw fileError(error, `read ${path}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`Cannot read ${path} as it must be JSON: ${oneLine(error)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`Cannot read ${path} as it must hold a JSON object: ${shortly(value)}`);
  }
  return value as Record<string, unknown>;
}

/**
 * Options in which a run differs from the one begun in its folder, as `--samples 4 (was 5)`. Options
 * that name a path are not compared here: their content is, by {@linkcode factDifferences}.
 */
export function configDifferences(
  table: OptionTable,
  recorded: Readonly<Record<string, unknown>>,
  config: Readonly<Record<string, OptionValue>>,
): string[] {
  return Object.entries(table).flatMap(([key, spec]) => {
    const { resume = "same" } = spec;
    const [before, now] = [recorded[configKey(key)], config[configKey(key)]];
    const differs = resume === "same"
      ? JSON.stringify(before) !== JSON.stringify(now)
      : resume === "more" && Number(now) < Number(before);
    return differs ? [`${flagName(key)} ${now ?? "not given"} (was ${before ?? "not given"})`] : [];
  });
}

/** Facts in which a run differs from the one begun in its folder. */
export function factDifferences(recorded: RunFacts, facts: RunFacts): string[] {
  return Object.keys({ ...recorded, ...facts }).flatMap((name) =>
    recorded[name] === facts[name] ? [] : [
      `${name.replaceAll("_", " ")} ${facts[name] ?? "absent"} (was ${recorded[name] ?? "absent"})`,
    ]
  );
}

/** @throws {RangeError} When there are differences, listing them. */
export function refuseDifferences(path: string, differences: readonly string[]): void {
  if (differences.length === 0) return;
  throw new RangeError(
    `Cannot continue ${path} as its settings must stay: ${
      differences.join(", ")
    }; take another --out`,
  );
}
