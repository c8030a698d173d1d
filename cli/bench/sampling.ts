/**
 * What choosing a token costs the host, over SmolLM2's vocabulary. Logits fall with rank as those of a
 * language model do: p ∝ rank^−1.5, in random order.
 *
 * @module
 */

import { randomStream, shuffle } from "../../core/mod.ts";
import { blockLogits, type ChoiceOptions, chooseToken } from "../../models/mod.ts";
import type { HostCase } from "./case.ts";

const VOCABULARY = 49152;
/** Tokens of a run: one takes some microseconds. */
const TOKENS = 100;

const OPTIONS: Readonly<Record<string, ChoiceOptions>> = {
  "greedy": { temperature: 0, topP: 1, topK: 0, minP: 0 },
  "temperature 1": { temperature: 1, topP: 1, topK: 0, minP: 0 },
  "temperature 0.7, top-p 0.9": { temperature: 0.7, topP: 0.9, topK: 0, minP: 0 },
  "temperature 1, top-k 50": { temperature: 1, topP: 1, topK: 50, minP: 0 },
};

/** A hundred tokens chosen, by each kind of options. No backend has a part in it. */
export const samplingCases: readonly HostCase[] = Object.entries(OPTIONS).map(
  ([name, options]) => ({
    name: `${TOKENS} tokens of ${VOCABULARY}, ${name}`,
    flops: 0,
    bytes: 0,
    tokens: TOKENS,
    open() {
      const ranks = shuffle(
        Array.from({ length: VOCABULARY }, (_, index) => index + 1),
        randomStream(0, "ranks"),
      );
      const values = Float32Array.from(ranks, (rank) => -1.5 * Math.log(rank));
      const logits = blockLogits(values, options.temperature);
      const random = randomStream(0, name);
      return Promise.resolve({
        start: { loadMs: 0, compileMs: 0 },
        run() {
          for (let token = 0; token < TOKENS; token++) chooseToken(logits, options, random.next());
          return Promise.resolve();
        },
        dispose: () => Promise.resolve(),
      });
    },
  }),
);
