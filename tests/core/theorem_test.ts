/** The theorem, on the loop that trains language models. */

import assert from "node:assert/strict";
import { selfPlay } from "../../core/self_play.ts";
import { averagedIterate, tabularPolicy } from "../../core/tabular.ts";
import { gradientDescent, multiplicativeWeights } from "../../core/tabular_trainers.ts";
import { matrixGame } from "../../games/matrix_game.ts";

/**
 * Win probabilities between ten soccer agents; no one of them beats all others.
 * Source: google-deepmind/open_spiel, `soccer.txt`, Apache-2.0.
 */
// deno-fmt-ignore
const soccer = matrixGame([
  [0.5, 0.43674757, 0.69055965, 0.49474962, 0.3813061, 0.586681085, 0.56436432, 0.48772534, 0.25441076500000004, 0.42663501],
  [0.56325243, 0.5, 0.61653773, 0.519036785, 0.513208415, 0.52942693, 0.603194155, 0.42515021, 0.55859358, 0.36845996000000003],
  [0.30944035000000003, 0.38346227, 0.5, 0.37625489, 0.378278785, 0.31441494999999997, 0.394036705, 0.226117615, 0.41710054, 0.18192025],
  [0.50525038, 0.480963215, 0.62374511, 0.5, 0.49604514, 0.513115545, 0.5810390599999999, 0.388281025, 0.551687915, 0.341903285],
  [0.6186939, 0.486791585, 0.621721215, 0.50395486, 0.5, 0.60132595, 0.662094315, 0.509675445, 0.541264515, 0.443436],
  [0.413318915, 0.47057307, 0.68558505, 0.486884455, 0.39867405, 0.5, 0.528297595, 0.314835205, 0.236357765, 0.395189255],
  [0.43563567999999997, 0.396805845, 0.605963295, 0.41896094, 0.337905685, 0.471702405, 0.5, 0.32365309, 0.19109873, 0.36385334999999996],
  [0.51227466, 0.57484979, 0.7738823850000001, 0.611718975, 0.490324555, 0.6851647949999999, 0.67634691, 0.5, 0.3202539, 0.413678475],
  [0.745589235, 0.44140642, 0.58289946, 0.44831208499999997, 0.458735485, 0.7636422350000001, 0.80890127, 0.6797461, 0.5, 0.70745561],
  [0.57336499, 0.63154004, 0.81807975, 0.658096715, 0.5565640000000001, 0.604810745, 0.63614665, 0.586321525, 0.29254439, 0.5],
]);

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
