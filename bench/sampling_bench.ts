/**
 * What does choosing a token cost the host, over SmolLM2's vocabulary? Logits fall with rank as those of
 * a language model do: p ∝ rank^−1.5, in random order.
 *
 * @module
 */

import { randomStream, shuffle } from "../core/mod.ts";
import { blockLogits, type ChoiceOptions, chooseToken } from "../models/mod.ts";

const VOCABULARY = 49152;
const OPTIONS: Readonly<Record<string, ChoiceOptions>> = {
  "greedy": { temperature: 0, topP: 1, topK: 0, minP: 0 },
  "temperature 1": { temperature: 1, topP: 1, topK: 0, minP: 0 },
  "temperature 0.7, top-p 0.9": { temperature: 0.7, topP: 0.9, topK: 0, minP: 0 },
  "temperature 1, top-k 50": { temperature: 1, topP: 1, topK: 50, minP: 0 },
};

const ranks = shuffle(
  Array.from({ length: VOCABULARY }, (_, index) => index + 1),
  randomStream(0, "ranks"),
);
const values = Float32Array.from(ranks, (rank) => -1.5 * Math.log(rank));

for (const [name, options] of Object.entries(OPTIONS)) {
  const { temperature } = options;
  const logits = blockLogits(values, temperature);
  const random = randomStream(0, name);
  Deno.bench({
    name,
    group: "choosing a token of 49152",
    baseline: temperature === 0,
    fn() {
      chooseToken(logits, options, random.next());
    },
  });
}
