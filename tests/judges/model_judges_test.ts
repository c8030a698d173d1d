// Judges over models, on models made of a few lines.

import assert from "node:assert/strict";
import {
  generalPreferenceJudge,
  lengthPenalised,
  pairJudge,
  type PairModel,
  readJudge,
  rewardEnsemble,
  rewardJudge,
  skewScore,
} from "../../judges/mod.ts";
import { testOracle } from "./conformance.ts";

/** Likes long answers, and the left side: the sum over code points, modulo a prime, differs by order. */
const pairs: PairModel = {
  id: "lengths",
  logits: (_, texts, asked) =>
    Promise.resolve(asked.map(([i, j]) => Math.tanh(texts[i]!.length - texts[j]!.length) + 0.25)),
};
const lengths = {
  id: "lengths",
  rewards: (_: unknown, texts: readonly string[]) =>
    Promise.resolve(texts.map((text) => Math.log1p(text.length))),
};
/** A point of a circle by length. */
const turning = {
  id: "turning",
  embeddings: (_: unknown, texts: readonly string[]) =>
    Promise.resolve({
      vectors: texts.map(({ length }) => [Math.cos(length), Math.sin(length), 1, length % 2]),
      blockWeights: [1, 0.5],
    }),
};

testOracle("pairJudge()", { oracle: () => pairJudge(pairs, { temperature: 2 }) });
testOracle("rewardJudge()", {
  oracle: () =>
    rewardJudge(lengthPenalised(rewardEnsemble([{ model: lengths, weight: 2 }]), 0.001)),
});
testOracle("generalPreferenceJudge()", { oracle: () => generalPreferenceJudge(turning) });

Deno.test("pairJudge() asks for each pair of texts once, in both orders", async () => {
  const asked: string[] = [];
  const model: PairModel = {
    id: "asked",
    logits(_, texts, pairs) {
      for (const [i, j] of pairs) asked.push(`${texts[i]} ${texts[j]}`);
      return Promise.resolve(pairs.map(() => 0));
    },
  };
  const prompt = { id: "p", content: "?" };
  const responses = ["a", "b", "a"].map((text) => ({ text }));
  for await (const { preferences } of pairJudge(model).compare([{ prompt, responses }])) {
    assert.ok(preferences.every((preference) => preference === 0.5));
  }
  assert.deepEqual(asked.sort(), ["a a", "a b", "b a"]);
});

Deno.test("generalPreferenceJudge() can go round in circles", async () => {
  const model = {
    id: "circle",
    embeddings: () =>
      Promise.resolve({
        vectors: [0, 1, 2].map((
          i,
        ) => [Math.cos(2 * Math.PI * i / 3), Math.sin(2 * Math.PI * i / 3)]),
      }),
  };
  const responses = ["a", "b", "c"].map((text) => ({ text }));
  const oracle = generalPreferenceJudge(model, { tau: 1 });
  const prompt = { id: "p", content: "?" };
  for await (const { preferences } of oracle.compare([{ prompt, responses }])) {
    // sin(120°) = √3/2.
    const strength = 1 / (1 + Math.exp(-Math.sqrt(3) / 2));
    for (const [i, j] of [[0, 1], [1, 2], [2, 0]] as const) {
      assert.ok(Math.abs(preferences[3 * i + j]! - strength) < 1e-12);
    }
  }
  assert.throws(() => skewScore([1], [1]), RangeError);
});

Deno.test("readJudge() reads models with their paths and options", () => {
  assert.deepEqual(readJudge("reward:a/b.c|'x'@weights=2/1,penalty=.5*2 + length:3-4").length, 2);
  assert.deepEqual(readJudge("gpm:hf:owner/name@tau=1"), [{
    weight: 1,
    judge: { kind: "gpm", paths: ["hf:owner/name"], options: { tau: [1] } },
  }]);
  for (
    const [text, message] of [
      ["pair-rm", /":" and a folder, or a name on the Hugging Face hub after pair-rm/],
      ["pair-rm:", /a folder, or a name on the Hugging Face hub: the end/],
      ["pair-rm:a|b", /"\+" or the end: "\|b"/],
      ["reward:a|b@weights=1", /one weight for each of 2 models/],
      ["gpm:a@temperature=1", /an option, one of tau, normalize/],
    ] as const
  ) {
    assert.throws(() => readJudge(text), (error) => {
      assert.ok(error instanceof SyntaxError);
      assert.match(error.message, message);
      return true;
    });
  }
});
