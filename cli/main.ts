#!/usr/bin/env -S deno run
/**
 * The command line: `sppo train | generate | score | judge | game | export | info | bench | help`.
 *
 * Exit codes: 0 done, 1 the work failed, 2 it could not start (bad usage or input), 130 interrupted.
 *
 * @module
 */

import { fileError, fullStory, oneLine } from "./errors.ts";
import { commands } from "./commands/mod.ts";
import type { Command, Work } from "./commands/command.ts";
import { commandHelp, generalHelp } from "./commands/help.ts";
import { editDistance, parseConfig, parseFlags } from "./options/parse.ts";
import type { OptionTable } from "./options/spec.ts";
import { progressOn, standardError } from "./progress.ts";
import { VERSION } from "./version.ts";

/**
 * Runs a command.
 *
 * @param args What follows `sppo`.
 * @returns The exit code.
 */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || (name === "help" && !rest[0])) {
    print(generalHelp(commands));
    return name === undefined ? 2 : 0;
  }
  if (name === "--version" || name === "-V" || name === "version") {
    print(`sppo ${VERSION} (deno ${Deno.version.deno})`);
    return 0;
  }
  const words = name === "help" ? rest : args;
  // A command may have two words: judge train.
  const named = (count: number) => {
    const asked = words.slice(0, count).join(" ");
    return commands.find((each) => each.name === asked);
  };
  const command = named(2) ?? named(1);
  if (command === undefined) return complain("sppo", unknownCommand(words[0] ?? ""), false, 2);
  const flags = words.slice(command.name.split(" ").length);
  if (name === "help" || flags.includes("--help") || flags.includes("-h")) {
    print(await commandHelp(command));
    return 0;
  }
  return await runCommand(command, flags);
}

async function runCommand(command: Command<OptionTable>, args: readonly string[]): Promise<number> {
  const verbose = args.includes("--verbose");
  const title = `sppo ${command.name}`;
  const progress = progressOn(standardError);
  const interruption = listenForInterruption(() =>
    progress.line("Stopping; once more to quit now")
  );
  let work: Work | undefined;
  try {
    const flags = parseFlags(command.options, args);
    const { config } = flags as { config?: string };
    const layers = config === undefined
      ? [flags]
      : [flags, parseConfig(command.options, await readConfig(config), config)];
    await using resources = new AsyncDisposableStack();
    work = await command.prepare({
      layers,
      progress,
      signal: interruption.signal,
      interrupt: interruption.interrupt,
      resources,
      print,
    });
    await work.run();
    progress.finish();
    return 0;
  } catch (error) {
    progress.finish();
    if (interruption.signal.aborted) {
      const kept = work?.kept?.() ?? "nothing was begun";
      standardError.write(`${title}: interrupted; ${kept}\n`);
      return 130;
    }
    return complain(title, error, verbose, work === undefined ? 2 : 1);
  } finally {
    interruption.end();
  }
}

function complain(title: string, error: unknown, verbose: boolean, code: number): number {
  standardError.write(`${title}: ${oneLine(error)}\n`);
  if (verbose) standardError.write(`${fullStory(error)}\n`);
  return code;
}

function unknownCommand(name: string): TypeError {
  const near =
    commands.map((command) => ({ ...command, distance: editDistance(command.name, name) }))
      .sort((a, b) => a.distance - b.distance)[0];
  const remedy = near !== undefined && near.distance <= 2 ? `did you mean ${near.name}?` : "";
  return new TypeError(
    `Cannot run ${name} as there is no such command (${remedy || "see sppo help"})`,
  );
}

async function readConfig(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw fileError(error, `read ${path}`);
  }
  try {
    return JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (error) {
    throw new SyntaxError(`Cannot read ${path} as it must be JSON: ${oneLine(error)}`);
  }
}

interface Interruption {
  readonly signal: AbortSignal;
  /** Asks the work to stop. */
  interrupt(): void;
  end(): void;
}

/** The first Ctrl-C asks the work to stop, the second ends the process. */
function listenForInterruption(told: () => void): Interruption {
  const controller = new AbortController();
  const interrupt = () => controller.abort(new DOMException("Interrupted", "AbortError"));
  const stop = () => {
    if (controller.signal.aborted) Deno.exit(130);
    interrupt();
    told();
  };
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, stop);
  return {
    signal: controller.signal,
    interrupt,
    end: () => signals.forEach((signal) => Deno.removeSignalListener(signal, stop)),
  };
}

function print(text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}

if (import.meta.main) {
  // A write past `ulimit -f` sends this signal, which would end the process; the write then fails.
  if (Deno.build.os === "linux") Deno.addSignalListener("SIGXFSZ", () => {});
  Deno.exit(await main(Deno.args));
}
