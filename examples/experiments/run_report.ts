// deno-lint-ignore-file no-console -- a script that prints
/**
 * What a run of `sppo train` did to the answers on its held-out prompts, as Markdown tables.
 *
 *     deno run --allow-read --allow-ffi --allow-env --allow-sys \
 *       examples/experiments/run_report.ts RUN_DIR MODEL [--styles] [--scored N]
 *
 * Per iteration: win rates as the run recorded them; mean length; per-token log-likelihood of the
 * answers under the start (π_0) and under the policy that gave them; share of repeated 4-grams. With
 * `--styles`, for runs with the judge of styles.ts: shares of the styles, and the policy's
 * exploitability over them, per prompt and then averaged. `--scored` scores the first N prompts'
 * answers only.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import { countWords, meanExploitability, type Prompt, type Response } from "../../core/mod.ts";
import { LanguageModel, openCheckpoint } from "../../models/mod.ts";
import { styleGame, styleOf, STYLES } from "./styles.ts";

interface Held {
  readonly prompt_id: string;
  readonly prompt: Prompt["content"];
  readonly responses: readonly {
    readonly text: string;
    readonly token_ids: readonly number[];
    readonly log_prob: number;
    readonly finish_reason: "stop" | "length";
  }[];
}

interface WinRate {
  readonly win_rate: number;
  readonly standard_error: number;
}

interface Evaluation {
  readonly against_start?: WinRate;
  readonly against_previous?: WinRate;
}

const { values: flags, positionals: [run, modelPath] } = parseArgs({
  options: { styles: { type: "boolean", default: false }, scored: { type: "string" } },
  allowPositionals: true,
});
const withStyles = flags.styles;
const scored = flags.scored === undefined ? Infinity : Number(flags.scored);
if (run === undefined || modelPath === undefined) {
  console.error("Usage: run_report.ts RUN_DIR MODEL [--styles] [--scored N]");
  Deno.exit(2);
}

/** Share of a text's 4-grams of words that stood in it before. */
function repeatedFourGrams(text: string): number {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const seen = new Set<string>();
  let repeated = 0;
  for (let i = 0; i + 4 <= words.length; i++) {
    const gram = words.slice(i, i + 4).join(" ");
    if (seen.has(gram)) repeated++;
    seen.add(gram);
  }
  return words.length < 4 ? 0 : repeated / (words.length - 3);
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

async function readLines<T>(path: string): Promise<T[]> {
  return (await Deno.readTextFile(path)).split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}

const backend = await createOnnxBackend();
using open = await openCheckpointFiles(modelPath);
const model = await LanguageModel.load(await openCheckpoint(open.files), backend);
const start = await model.policy();

const rows: string[] = [];
const styles: string[] = [];
const game = styleGame();
for (let iteration = 0;; iteration++) {
  let held: Held[];
  try {
    held = await readLines<Held>(`${run}/iteration-${iteration}/held_out.jsonl`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) break;
    throw error;
  }
  const evaluation = JSON.parse(
    await Deno.readTextFile(`${run}/iteration-${iteration}/evaluation.json`),
  ) as Evaluation;
  const responses = held.flatMap((one) => one.responses);
  const scoredHeld = held.slice(0, scored);
  const scoredResponses = scoredHeld.flatMap((one) => one.responses);
  const tokens = scoredResponses.reduce((sum, { token_ids }) => sum + token_ids.length, 0);
  const own = scoredResponses.reduce((sum, { log_prob }) => sum + log_prob, 0) / tokens;
  let underStart = 0;
  const groups = scoredHeld.map(({ prompt_id, prompt, responses }) => ({
    prompt: { id: prompt_id, content: prompt },
    responses: responses.map(({ text, token_ids }): Response => ({ text, tokenIds: token_ids })),
  }));
  for await (const group of start.logProbs(groups)) {
    for (const logProbs of group) underStart += logProbs.reduce((sum, value) => sum + value, 0);
  }
  const percent = (rate: WinRate | undefined) =>
    rate === undefined
      ? ""
      : `${(100 * rate.win_rate).toFixed(1)} ± ${(100 * rate.standard_error).toFixed(1)}`;
  rows.push(
    `| ${iteration} | ${percent(evaluation.against_start)} | ` +
      `${percent(evaluation.against_previous)} | ` +
      `${mean(responses.map(({ text }) => countWords(text))).toFixed(1)} | ` +
      `${
        (100 * mean(responses.map(({ finish_reason }) => finish_reason === "stop" ? 1 : 0)))
          .toFixed(0)
      } | ` +
      `${(underStart / tokens).toFixed(3)} | ${own.toFixed(3)} | ` +
      `${(100 * mean(responses.map(({ text }) => repeatedFourGrams(text)))).toFixed(1)} |`,
  );
  if (withStyles) {
    const mixtures = held.map(({ responses }) => {
      const mixture = new Float64Array(game.size);
      for (const { text } of responses) mixture[styleOf(text)]! += 1 / responses.length;
      return mixture;
    });
    const shares = Array.from(
      { length: game.size },
      (_, style) => mean(mixtures.map((one) => one[style]!)),
    );
    const exploitability = meanExploitability(mixtures.map((mixture) => ({ game, mixture })));
    styles.push(
      `| ${iteration} | ${shares.map((share) => (100 * share).toFixed(1)).join(" | ")} | ` +
        `${exploitability.toFixed(3)} |`,
    );
  }
}
console.log(
  "| iteration | win rate against the start, % | against the previous, % | words | ended, % | " +
    "nats per token under the start | under itself | repeated 4-grams, % |\n|---|---|---|---|---|---|---|---|",
);
console.log(rows.join("\n"));
if (withStyles) {
  console.log(`\n| iteration | ${STYLES.join(", % | ")}, % | exploitability |`);
  console.log(`|---|${"---|".repeat(STYLES.length + 1)}`);
  console.log(styles.join("\n"));
}
await backend.dispose();
