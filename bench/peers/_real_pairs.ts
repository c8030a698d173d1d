/**
 * Pairs of real answers: problems of GSM8K with a right solution and a wrong one, each by one of four
 * models (`eval/gsm8k_example_model_solutions.jsonl` of the shared data).
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { TrainingGroup } from "../../core/mod.ts";

/** A line of the file; each model is a field of its own beside these. */
interface Problem {
  readonly question: string;
  readonly ground_truth: string;
}

interface Solution {
  readonly is_correct: boolean;
  readonly solution: string;
}

const MODELS = ["6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"];

/** Folder of the shared data. */
const SHARED = Deno.env.get("SPPO_SHARED") ??
  fileURLToPath(new URL("../../../shared", import.meta.url));

/**
 * The first so many pairs whose prompts have a number of tokens in a range. The chosen response wins
 * always and the other never, and the losses of both are added, as the hard variant of the loss has it.
 *
 * @param promptTokens Tokens of a prompt's text, ready for an answer.
 * @throws {RangeError} When there are fewer.
 */
export async function realPairs(
  { pairs, eta, range: [least, most], promptTokens }: {
    readonly pairs: number;
    readonly eta: number;
    readonly range: readonly [number, number];
    readonly promptTokens: (prompt: TrainingGroup["prompt"]) => number;
  },
): Promise<TrainingGroup[]> {
  const text = await Deno.readTextFile(`${SHARED}/data/eval/gsm8k_example_model_solutions.jsonl`);
  const groups: TrainingGroup[] = [];
  for (const [index, line] of text.trim().split("\n").entries()) {
    const problem = JSON.parse(line) as Problem & Readonly<Record<string, Solution>>;
    const solutions = MODELS.map((model) => problem[model]!);
    const chosen = solutions.find((one) => one.is_correct);
    const rejected = solutions.find((one) => !one.is_correct);
    if (!chosen || !rejected) continue;
    const prompt = { id: `gsm8k ${index}`, content: problem.question };
    const tokens = promptTokens(prompt);
    if (tokens < least || tokens > most) continue;
    const response = ({ solution }: Solution, winRate: number) => ({
      response: { text: solution, finishReason: "stop" as const },
      target: eta * (winRate - 0.5),
      weight: 1,
      winRate,
    });
    groups.push({ prompt, responses: [response(chosen, 1), response(rejected, 0)] });
    if (groups.length === pairs) return groups;
  }
  throw new RangeError(
    `Cannot compare as there must be ${pairs} pairs with prompts of ${least} to ${most} tokens: ${groups.length}`,
  );
}
