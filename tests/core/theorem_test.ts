/** The theorem, on the loop that trains language models. */

import assert from "node:assert/strict";
import { selfPlay } from "../../core/self_play.ts";
import { averagedIterate, tabularPolicy } from "../../core/tabular.ts";
import { gradientDescent, multiplicativeWeights } from "../../core/tabular_trainers.ts";
import { soccer } from "../games/_games.ts";

const T = 16384;
const prompts = [{ id: "match", content: "Who plays?" }];
const sampling = { samples: 10, temperature: 1, topP: 1, maxTokens: 1 };

async function play(
  options: { iterations: number; eta: number; trainer: ReturnType<typeof multiplicativeWeights> },
) {
  const policy = tabularPolicy({ answers: { match: soccer.answers }, exhaustive: true });
  const average = averagedIterate();
  average.add(policy);
  const run = selfPlay({
    policy,
    oracle: soccer.oracle,
    prompts,
    promptsPerIteration: "repeat",
    sampling,
    selection: "all",
    ...options,
  });
  let next = await run.next();
  for (; !next.done; next = await run.next()) {
    // The average is over π_0 … π_{T−1}, those that were played.
    if (next.value.type === "policy" && next.value.iteration < options.iterations) {
      average.add(next.value.policy);
    }
  }
  return { average, policy: next.value.policy };
}

Deno.test("selfPlay() averages to a von Neumann winner when eta is 4/√T", async () => {
  const { average, policy } = await play({
    iterations: T,
    eta: 4 / Math.sqrt(T),
    trainer: multiplicativeWeights(),
  });
  assert.equal(average.count, T);
  const mixture = average.probabilities("match");
  assert.ok(soccer.gap(mixture) < 0.005, `gap ${soccer.gap(mixture)}`);
  // Last iterates circle around the equilibrium, and do not come to it.
  assert.ok(soccer.gap(policy.probabilities("match")) > soccer.gap(mixture));
});

Deno.test("selfPlay() fits the exact step by gradient descent on the loss", async () => {
  const closed = await play({ iterations: 3, eta: 1, trainer: multiplicativeWeights() });
  const descended = await play({
    iterations: 3,
    eta: 1,
    trainer: gradientDescent({ steps: 400, learningRate: 2 }),
  });
  const exact = closed.policy.probabilities("match");
  const fitted = descended.policy.probabilities("match");
  // The square loss with the normaliser η/2 has the exact step as its minimum up to log Z − η/2,
  // second order in η·(P̂ − ½) ≤ 0.2.
  const tolerance = 5e-3;
  for (const [index, p] of exact.entries()) assert.ok(Math.abs(p - fitted[index]!) < tolerance);
});
