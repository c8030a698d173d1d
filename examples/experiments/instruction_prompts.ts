// deno-lint-ignore-file no-console -- a script that prints
/**
 * The prompts of the experiments with a real instruction model: 150 AlpacaEval instructions to train
 * on, the 80 Vicuna questions held out. AlpacaEval's own copies of the Vicuna questions are left out
 * of the first.
 *
 *     deno run --allow-read --allow-write --allow-env=SPPO_SHARED \
 *       examples/experiments/instruction_prompts.ts OUT_DIR
 *
 * Writes `train.jsonl` and `held_out.jsonl`.
 *
 * @module
 */

import { randomStream, shuffle } from "../../core/mod.ts";

const TRAIN = 150;
/** Long instructions carry long texts of their own; the experiments are about short answers. */
const MAX_CHARACTERS = 300;

const shared = Deno.env.get("SPPO_SHARED") ?? new URL("../../../shared", import.meta.url).pathname;
const [out] = Deno.args;
if (out === undefined) {
  console.error("Usage: instruction_prompts.ts OUT_DIR");
  Deno.exit(2);
}

const vicuna = (await Deno.readTextFile(`${shared}/data/pairwise/gpt4_vicuna_8x8.jsonl`))
  .split("\n").filter((line) => line !== "")
  .map((line) => (JSON.parse(line) as { prompt: string }).prompt);
const alpaca = JSON.parse(
  await Deno.readTextFile(`${shared}/data/alpacaeval/annotations_alpaca-7b.json`),
) as { instruction: string; dataset: string }[];
const instructions = alpaca
  .filter(({ dataset, instruction }) =>
    dataset !== "vicuna" && instruction.length <= MAX_CHARACTERS
  )
  .map(({ instruction }) => instruction)
  .filter((instruction) => !vicuna.includes(instruction));
const train = shuffle(instructions, randomStream(0, "alpaca")).slice(0, TRAIN);

const lines = (prompts: readonly string[], name: string) =>
  prompts.map((prompt, index) => JSON.stringify({ prompt_id: `${name}-${index}`, prompt }) + "\n")
    .join("");
await Deno.mkdir(out, { recursive: true });
await Deno.writeTextFile(`${out}/train.jsonl`, lines(train, "alpaca"));
await Deno.writeTextFile(`${out}/held_out.jsonl`, lines(vicuna, "vicuna"));
