/**
 * The demo: three iterations of self-play on the embedded policy, with a judge that likes short
 * answers, then answers before and after.
 *
 *     deno task demo
 *
 * @module
 */

import { main } from "../cli/main.ts";

const PROMPTS = new URL("prompts/", import.meta.url).pathname;
const JUDGE = "length:5-10@sharpness=12";
const SHOWN = 6;

/** A folder that is not there yet, so that each demo starts anew. */
async function freshFolder(): Promise<string> {
  for (let n = 1;; n++) {
    const folder = `runs/demo-${n}`;
    try {
      await Deno.lstat(folder);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return folder;
      throw error;
    }
  }
}

interface Answers {
  readonly prompt: string;
  readonly responses: readonly { readonly text: string }[];
}

async function answers(path: string): Promise<Answers[]> {
  const lines = (await Deno.readTextFile(path)).split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Answers);
}

const print = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

const out = await freshFolder();
print(`Self-play on the embedded policy; the judge prefers answers of 5 to 10 words (${JUDGE}).\n`);
// deno-fmt-ignore
const code = await main([
  "train",
  "--model", "embedded",
  "--prompts", `${PROMPTS}animals.jsonl`,
  "--held-out", `${PROMPTS}animals_held_out.jsonl`,
  "--judge", JUDGE,
  "--out", out,
  "--iterations", "3",
  "--samples", "8",
  "--eval-samples", "8",
  "--max-tokens", "64",
  "--trainable", "all",
  "--learning-rate", "3e-4",
  "--epochs", "2",
  "--batch", "16",
  "--eta", "10",
]);
if (code !== 0) Deno.exit(code);

const before = await answers(`${out}/iteration-0/held_out.jsonl`);
const after = await answers(`${out}/iteration-3/held_out.jsonl`);
print("\nHeld-out questions, before and after:");
for (const [index, { prompt, responses }] of before.slice(0, SHOWN).entries()) {
  print(`\n  ${prompt}`);
  print(`    before  ${responses[0]!.text}`);
  print(`    after   ${after[index]!.responses[0]!.text}`);
}
print(`\nAll of it is in ${out}. The same on your own model: deno task sppo help train`);
