/**
 * What judges cost: seconds of processor time, and of waiting, for a pair.
 *
 *     deno run -A bench/judge_costs.ts [--prompts N] [--threads N] JUDGE …
 *
 * Each JUDGE, in the short form, compares 5 answers to each of N prompts of the shared GPT-4 verdicts
 * (10 pairs a prompt, 250 words an answer on average), after one prompt to warm up. Judges that compare with a
 * reference get the prompt's sixth answer. Prints a Markdown table.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { loadJudge } from "../cli/judges/load_judge.ts";
import { sharedPath } from "../tests/_shared.ts";

const { values: { prompts: count, threads }, positionals } = parseArgs({
  options: {
    prompts: { type: "string", default: "4" },
    threads: { type: "string", default: "1" },
  },
  allowPositionals: true,
});
const path = sharedPath("data/pairwise/gpt4_vicuna_8x8.jsonl");
if (path === undefined) throw new Error("Cannot measure as SPPO_SHARED must have the verdicts");

const groups = (await Deno.readTextFile(path)).trim().split("\n").slice(0, Number(count) + 1)
  .map((line, at) => {
    const { prompt, responses } = JSON.parse(line) as { prompt: string; responses: string[] };
    const reference = responses[5]!;
    return {
      prompt: {
        id: `${at}`,
        content: prompt,
        fields: {
          answer: `${reference}\n#### 7`,
          reference,
          schema: { type: "object", required: ["a"] },
          checks: ["length:50-150", "not:refusal", "not:repetition", "contains:the"],
        },
      },
      responses: responses.slice(0, 5).map((text) => ({ text })),
    };
  });
const [first, ...others] = groups;
const pairs = 10 * others.length;

function row(cells: readonly string[]): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`| ${cells.join(" | ")} |\n`));
}
const signal = new AbortController().signal;
const progress = { update() {}, finish() {}, line() {} };

row(["judge", "processor time a pair", "waiting a pair"]);
row(["---", "---", "---"]);
for (const judge of positionals) {
  await using resources = new AsyncDisposableStack();
  const context = { resources, signal, progress, interrupt() {} };
  const oracle = await loadJudge(judge, { backend: "onnx", threads: Number(threads) }, context);
  await Array.fromAsync(oracle.compare([first!]));
  const start = performance.now(), before = process.cpuUsage();
  await Array.fromAsync(oracle.compare(others));
  const { user, system } = process.cpuUsage(before);
  const inUnits = (seconds: number) =>
    seconds < 1e-3
      ? `${(1e6 * seconds).toPrecision(2)} µs`
      : seconds < 1
      ? `${(1e3 * seconds).toPrecision(2)} ms`
      : `${seconds.toPrecision(2)} s`;
  row([
    `\`${judge}\``,
    inUnits((user + system) / 1e6 / pairs),
    inUnits((performance.now() - start) / 1e3 / pairs),
  ]);
}
