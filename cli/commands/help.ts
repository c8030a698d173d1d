/**
 * Help texts.
 *
 * @module
 */

import { optionsHelp, withText } from "../options/help.ts";
import type { Command } from "./command.ts";

/** What `sppo help` prints. */
export function generalHelp(commands: readonly Command[]): string {
  return `sppo aligns a language model by playing it against itself (Self-Play Preference Optimization).

Usage: sppo COMMAND [OPTIONS]

Commands:
${commands.map(({ name, summary }) => `  ${name.padEnd(12)}${summary}`).join("\n")}
  help        this text, or a command's: sppo help train

Options:
  --help, -h      help
  --version, -V   version

Exit codes: 0 done, 1 the work failed, 2 it could not start, 130 interrupted.`;
}

/** What `sppo help COMMAND` prints. */
export async function commandHelp(command: Command): Promise<string> {
  const epilogue = await command.epilogue?.();
  return [
    `Usage: sppo ${command.name}${positionalWord(command)} [OPTIONS]`,
    command.description,
    optionsHelp(command.options),
    `Also:\n  ${withText("--help", "this text")}`,
    ...(epilogue ? [epilogue] : []),
  ].join("\n\n");
}

/** What stands for the positional option in the usage line. */
function positionalWord({ options }: Command): string {
  const spec = Object.values(options).find(({ positional }) => positional);
  if (spec === undefined) return "";
  const word = spec.type === "text" || spec.type === "list" ? spec.value : "VALUE";
  return ` ${word}${spec.type === "list" ? "..." : ""}`;
}
