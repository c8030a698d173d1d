/**
 * What does an iteration of the loop itself cost, where policy, judge and trainer cost next to nothing?
 * Tables on a matrix game with ten answers, 100 iterations a run.
 *
 * @module
 */

import { multiplicativeWeights, randomStream, selfPlay, tabularPolicy } from "../core/mod.ts";
import { matrixGame } from "../games/mod.ts";

const ANSWERS = 10;
const ITERATIONS = 100;

const random = randomStream(0, "payoffs");
const payoffs = Array.from({ length: ANSWERS }, () => Array<number>(ANSWERS).fill(0.5));
for (let i = 0; i < ANSWERS; i++) {
  for (let j = 0; j < i; j++) {
    payoffs[i]![j] = random.next();
    payoffs[j]![i] = 1 - payoffs[i]![j]!;
  }
}
const game = matrixGame(payoffs);

/** @param prompts Each has the game of its own. */
async function play(prompts: number, exhaustive: boolean): Promise<void> {
  const ids = Array.from({ length: prompts }, (_, index) => `p${index}`);
  const run = selfPlay({
    policy: tabularPolicy({
      answers: Object.fromEntries(ids.map((id) => [id, game.answers])),
      exhaustive,
    }),
    oracle: game.oracle,
    trainer: multiplicativeWeights(),
    prompts: ids.map((id) => ({ id, content: "Who plays?" })),
    promptsPerIteration: "repeat",
    iterations: ITERATIONS,
    sampling: { samples: 5, temperature: 1, topP: 1, maxTokens: 1 },
    selection: "all",
    eta: 0.1,
  });
  for (let next = await run.next(); !next.done;) next = await run.next();
}

const CASES = [
  { name: "1 prompt, every answer", prompts: 1, exhaustive: true },
  { name: "1 prompt, 5 samples", prompts: 1, exhaustive: false },
  { name: "16 prompts, 5 samples", prompts: 16, exhaustive: false },
];
for (const { name, prompts, exhaustive } of CASES) {
  Deno.bench({
    name,
    group: `${ITERATIONS} iterations`,
    baseline: exhaustive,
    warmup: 2,
    n: 10,
    async fn() { // Deno.bench waits for async functions only
      await play(prompts, exhaustive);
    },
  });
}
