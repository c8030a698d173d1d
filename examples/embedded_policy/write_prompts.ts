/**
 * Writes the domain's questions as prompt files, for the demo and for trying the embedded policy.
 *
 *     deno run --allow-write=examples/prompts examples/embedded_policy/write_prompts.ts
 *
 * @module
 */

import { domainPrompts } from "./prompts.ts";

const { train, heldOut } = domainPrompts();
const folder = new URL("../prompts/", import.meta.url);
const lines = (prompts: readonly string[]) =>
  prompts.map((prompt) => JSON.stringify({ prompt }) + "\n").join("");
await Deno.mkdir(folder, { recursive: true });
await Deno.writeTextFile(new URL("animals.jsonl", folder), lines(train));
await Deno.writeTextFile(new URL("animals_held_out.jsonl", folder), lines(heldOut));
