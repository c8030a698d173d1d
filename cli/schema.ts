/**
 * Writes `docs/config.schema.json` from the tables of options: `deno task schema`.
 *
 * @module
 */

import type { Json } from "../core/journal.ts";
import { configSchema } from "./options/schema.ts";
import { tables } from "./options/tables.ts";

/** The schema of configuration files: `train`'s at the root, each command's under `$defs`. */
export function fullSchema(): Json {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Configuration of sppo",
    description: "What `sppo train --config FILE` takes; the other commands' under $defs",
    $ref: "#/$defs/train",
    $defs: Object.fromEntries(
      Object.entries(tables).map(([name, table]) => [name, configSchema(table)]),
    ),
  };
}

/** Where it stands. */
export const SCHEMA_FILE: URL = new URL("../docs/config.schema.json", import.meta.url);

if (import.meta.main) {
  await Deno.writeTextFile(SCHEMA_FILE, `${JSON.stringify(fullSchema(), null, 2)}\n`);
}
