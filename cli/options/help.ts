/**
 * Help text from tables of options.
 *
 * @module
 */

import { flagName, type OptionSpec, type OptionTable } from "./spec.ts";

const COLUMN = 34;

/** The options of a table, by group, a line each. */
export function optionsHelp(table: OptionTable): string {
  const groups = new Map<string, string[]>();
  for (const [key, spec] of Object.entries(table)) {
    const lines = groups.get(spec.group) ?? [];
    groups.set(spec.group, lines);
    lines.push(`  ${withText(`${flagName(key)}${placeholder(spec)}`, details(spec))}`);
  }
  return [...groups].map(([name, lines]) => `${name}:\n${lines.join("\n")}`).join("\n\n");
}

/** A name padded to the column of the texts. */
export function withText(name: string, text: string): string {
  return name.length < COLUMN ? `${name.padEnd(COLUMN)}${text}` : `${name}  ${text}`;
}

function placeholder(spec: OptionSpec): string {
  switch (spec.type) {
    case "text":
    case "list":
      return ` ${spec.value}`;
    case "number":
      return " X";
    case "integer":
      return " N";
    case "size":
      return " SIZE";
    case "choice":
      return ` ${spec.value ?? spec.choices.join("|")}`;
    case "switch":
      return "";
    default:
      return spec satisfies never;
  }
}

function details(spec: OptionSpec): string {
  if (spec.required) return `${spec.help} (required)`;
  if (spec.type === "switch" || spec.default === undefined) return spec.help;
  return `${spec.help} (default ${spec.default})`;
}
