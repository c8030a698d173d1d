import assert from "node:assert/strict";
import type { PreferenceOracle } from "../../core/oracle.ts";
import { matrixGame } from "../../games/matrix_game.ts";
import { cyclicJudge } from "../../judges/cyclic_judge.ts";
import { featureJudge, jsonJudge, lengthJudge, lexiconJudge } from "../../judges/feature_judge.ts";
import { regexJudge } from "../../judges/feature_judge.ts";
import {
  endsFeature,
  lengthFeature,
  lexiconFeature,
  lexicons,
  regexFeature,
  startsFeature,
} from "../../judges/features.ts";
import { mixtureJudge } from "../../judges/mixture_judge.ts";
import { parseJudge } from "../../judges/short_form/read_judge.ts";
import { fc } from "../_deps.ts";
import { testOracle } from "./conformance.ts";

const features = [lengthFeature({ max: 3 }), lexiconFeature({ phrases: lexicons.example }), {
  ...regexFeature(/\p{L}/u),
}];
const mixture = () =>
  mixtureJudge([
    { oracle: lengthJudge({ min: 30, max: 60 }), weight: 0.7 },
    { oracle: lexiconJudge({ phrases: lexicons.example }), weight: 0.3 },
  ]);

testOracle("lengthJudge()", { oracle: () => lengthJudge({ min: 30, max: 60 }) });
testOracle("lengthJudge() of characters", {
  oracle: () => lengthJudge({ min: 5, unit: "characters", cap: 1, sharpness: 50 }),
});
testOracle("lexiconJudge()", { oracle: () => lexiconJudge({ phrases: lexicons.example }) });
testOracle("regexJudge()", { oracle: () => regexJudge({ pattern: /\bword\b|^A/i }) });
testOracle("jsonJudge()", { oracle: () => jsonJudge() });
testOracle("jsonJudge() with noise", { oracle: () => jsonJudge({ noise: 2, seed: 4 }) });
testOracle("featureJudge() of starts", { oracle: () => featureJudge(startsFeature("a")) });
testOracle("cyclicJudge()", { oracle: () => cyclicJudge({ features }) });
testOracle("cyclicJudge() uneven, with noise", {
  oracle: () => cyclicJudge({ features, strengths: [0.9, 0.6, 0.7], noise: 0.5 }),
});
testOracle("mixtureJudge()", { oracle: mixture });
testOracle("parseJudge()", {
  oracle: () =>
    parseJudge("0.7*length:30-60 + 0.3*example@noise=1 + cycle:json,starts:a,length:5-"),
});
testOracle("matrixGame().oracle", {
  oracle: () =>
    matrixGame([[0.5, 0.2, 0.9, 0.4], [0.8, 0.5, 0.3, 1], [0.1, 0.7, 0.5, 0], [0.6, 0, 1, 0.5]])
      .oracle,
  texts: ["0", "1", "2", "3"],
});

async function preference(oracle: PreferenceOracle, left: string, right: string, id = "p") {
  const responses = [{ text: left }, { text: right }];
  for await (const judgement of oracle.compare([{ prompt: { id, content: "?" }, responses }])) {
    return judgement.preferences[1]!;
  }
  throw new Error("nothing was judged");
}

const words = (count: number) => Array.from({ length: count }, () => "word").join(" ");

Deno.test("lengthJudge() takes σ of sharpness times the difference, inside its cap", async () => {
  // Scores 15/30 = ½ and 1: logit 3; P = ½ + 0.9·(σ(3) − ½).
  const p = await preference(lengthJudge({ min: 30, max: 60 }), words(40), words(15));
  assert.ok(Math.abs(p - (0.5 + 0.9 * (1 / (1 + Math.exp(-3)) - 0.5))) < 1e-12);
  // Twice the window scores as half of it.
  assert.equal(await preference(lengthJudge({ min: 30, max: 60 }), words(120), words(15)), 0.5);
  const sharp = lengthJudge({ min: 30, max: 60, sharpness: 1e9 });
  assert.ok(Math.abs(await preference(sharp, words(30), "") - 0.95) < 1e-12);
  const plain = lengthJudge({ min: 30, max: 60, sharpness: 2, cap: 1 });
  assert.ok(
    Math.abs(await preference(plain, words(60), words(15)) - 1 / (1 + Math.exp(-1))) < 1e-12,
  );
});

Deno.test("The mixture of the length window and the lexicon stays below 0.95", async () => {
  const best = `For example ${words(40)}`;
  const p = await preference(mixture(), best, "");
  assert.ok(p > 0.94 && p < 0.95, String(p));
  // The window alone is worth 0.7, the example 0.3 of what they are on their own.
  const example = await preference(mixture(), best, words(42));
  assert.ok(Math.abs(example - (0.7 * 0.5 + 0.3 * p)) < 1e-12);
});

Deno.test("lexiconFeature() matches whole words, any case and any white space", () => {
  const { score } = lexiconFeature({ phrases: ["e.g.", "for example", "c++", "übung"] });
  for (const text of ["E.G. this", "FOR\n  EXAMPLE", "use C++ now", "Die ÜBUNG."]) {
    assert.equal(score(text), 1, text);
  }
  for (const text of ["for examples", "therefore, example", "eXgX", "Übungen", ""]) {
    assert.equal(score(text), 0, text);
  }
  assert.equal(lexiconFeature({ phrases: ["a"], count: 4 }).score("a A b a"), 0.75);
});

Deno.test("Features refuse what they cannot look for", () => {
  const wrong = [
    () => lengthFeature({}),
    () => lengthFeature({ min: 5, max: 4 }),
    () => lengthFeature({ min: 1.5 }),
    () => lengthFeature({ min: -1 }),
    () => lengthFeature({ max: 0 }),
    () => lengthFeature({ min: NaN }),
    () => lexiconFeature({ phrases: [] }),
    () => lexiconFeature({ phrases: [" "] }),
    () => lexiconFeature({ phrases: ["a"], count: 0 }),
    () => regexFeature(/a/g),
    () => regexFeature(/a/y),
    () => startsFeature(""),
    () => endsFeature(""),
    () => jsonJudge({ sharpness: 0 }),
    () => jsonJudge({ cap: 0.5 }),
    () => jsonJudge({ cap: 1.1 }),
    () => jsonJudge({ noise: -1 }),
    () => jsonJudge({ noise: NaN }),
    () => jsonJudge({ seed: 0.5 }),
    () => cyclicJudge({ features: features.slice(1) }),
    () => cyclicJudge({ features, strengths: [0.9, 0.9] }),
    () => cyclicJudge({ features, strengths: [0.9, 0.9, 0.5] }),
    () => cyclicJudge({ features, none: 1 }),
    () => mixtureJudge([]),
    () => mixtureJudge([{ oracle: jsonJudge(), weight: 0 }]),
    () => mixtureJudge([{ oracle: jsonJudge(), weight: NaN }]),
  ];
  for (const make of wrong) assert.throws(make, { name: "RangeError", message: /^Cannot / });
});

Deno.test("Noise is drawn anew for each pair, prompt and seed", async () => {
  const noisy = (seed: number) => jsonJudge({ noise: 1, seed });
  const values = [
    await preference(noisy(0), "a", "b"),
    await preference(noisy(0), "a", "c"),
    await preference(noisy(0), "a", "b", "q"),
    await preference(noisy(1), "a", "b"),
  ];
  assert.equal(new Set(values).size, 4);
  assert.ok(!values.includes(0.5));
});

Deno.test("cyclicJudge() classifies by the first feature that holds", async () => {
  const oracle = cyclicJudge({
    features: [startsFeature("a"), endsFeature("b"), lengthFeature({ min: 5 })],
    strengths: [0.9, 0.6, 0.7],
    none: 0.8,
  });
  const long = words(5);
  assert.equal(await preference(oracle, "a b", "b"), 0.9);
  assert.equal(await preference(oracle, "b", long), 0.6);
  assert.ok(Math.abs(await preference(oracle, "a b", long) - 0.3) < 1e-12);
  assert.equal(await preference(oracle, "b", `${long} b`), 0.5);
  assert.equal(await preference(oracle, long, "no"), 0.8);
  assert.equal(await preference(oracle, "no", "none"), 0.5);
});

Deno.test("cyclicJudge() is ½ between classes apart when there are four", async () => {
  const oracle = cyclicJudge({ features: ["a", "b", "c", "d"].map(startsFeature), sharpness: 2 });
  assert.equal(await preference(oracle, "a", "c"), 0.5);
  const beside = 0.5 + 0.9 * (1 / (1 + Math.exp(-2)) - 0.5);
  assert.ok(Math.abs(await preference(oracle, "d", "a") - beside) < 1e-12);
});

Deno.test("Scripted judges stay inside their cap, whatever they read", async () => {
  await fc.assert(fc.asyncProperty(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.double({ min: 0.51, max: 1, noNaN: true }),
    fc.double({ min: 0.01, max: 100, noNaN: true }),
    async (left, right, cap, sharpness) => {
      const p = await preference(lengthJudge({ min: 2, max: 4, cap, sharpness }), left, right);
      assert.ok(p >= 1 - cap - 1e-12 && p <= cap + 1e-12);
    },
  ));
});
