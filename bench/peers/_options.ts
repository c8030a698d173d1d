/**
 * The options that the comparisons share.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { standardError } from "../../cli/progress.ts";

/** The options of one comparison. */
export interface PeerOptions {
  readonly python: string;
  readonly model: string;
  readonly threads: number;
  readonly rounds: number;
  readonly warmups: number;
  readonly json: string | undefined;
  readonly markdown: string | undefined;
  /** The comparison's own: texts by name. */
  readonly own: Readonly<Record<string, string | undefined>>;
  /** The comparison's own flags without a value. */
  readonly flags: ReadonlySet<string>;
}

/**
 * Reads `Deno.args`.
 *
 * @param own Names of the comparison's own options, with a value and without.
 * @throws {TypeError} When an option is unknown or `--model` is missing.
 * @throws {RangeError} When a number is not whole or too small.
 */
export function peerOptions(
  own: { readonly values?: readonly string[]; readonly flags?: readonly string[] } = {},
): PeerOptions {
  const common = ["python", "model", "threads", "rounds", "warmups", "json", "markdown"];
  const names = [...common, ...own.values ?? []];
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      ...Object.fromEntries(names.map((name) => [name, { type: "string" as const }])),
      ...Object.fromEntries((own.flags ?? []).map((name) => [name, { type: "boolean" as const }])),
    },
  });
  const text = (name: string) => {
    const value = values[name];
    return typeof value === "string" ? value : undefined;
  };
  const model = text("model");
  if (model === undefined) {
    throw new TypeError(
      "Cannot compare as --model must name the checkpoint both sides load: missing",
    );
  }
  return {
    python: text("python") ?? "python3",
    model,
    threads: wholeNumber("threads", text("threads") ?? "2", 1),
    rounds: wholeNumber("rounds", text("rounds") ?? "5", 1),
    // The first two runs of both sides are slower than later ones.
    warmups: wholeNumber("warmups", text("warmups") ?? "2", 2),
    json: text("json"),
    markdown: text("markdown"),
    own: Object.fromEntries((own.values ?? []).map((name) => [name, text(name)])),
    flags: new Set((own.flags ?? []).filter((name) => values[name] === true)),
  };
}

/** A whole number. @throws {RangeError} When it is not, or below `least`. */
export function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) {
    throw new RangeError(
      `Cannot compare as --${name} must be a whole number from ${least} on: ${text}`,
    );
  }
  return value;
}

/** Runs a comparison; an error is one line, and the exit code 1. */
export async function runComparison(compare: () => Promise<void>): Promise<void> {
  try {
    await compare();
  } catch (error) {
    standardError.write(`${error instanceof Error ? error.message : error}\n`);
    Deno.exitCode = 1;
  }
}

/** Says on standard error what is done now. */
export function say(text: string): void {
  standardError.write(`${text}\n`);
}
