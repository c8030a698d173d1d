// Judges over other judges.

import assert from "node:assert/strict";
import { judge } from "../../core/judgements.ts";
import type { ComparisonGroup, Judgement, PreferenceOracle } from "../../core/oracle.ts";
import { randomStream } from "../../core/random.ts";
import {
  agreement,
  cachedJudge,
  type CachedPair,
  fitTemperature,
  type JudgedPair,
  lengthJudge,
  lexiconJudge,
  noisyJudge,
  orderSwapJudge,
  pairJudge,
  panelJudge,
  parseJudge,
  temperedJudge,
} from "../../judges/mod.ts";
import { testOracle } from "./conformance.ts";

const length = () => lengthJudge({ min: 30, max: 60 });
const cycle = () => parseJudge("cycle:json,starts:a,length:5-@noise=0.5");
/** Likes long texts, and what is shown first; breaks the law of 1 − P under an exchange. */
const biased = (): PreferenceOracle => ({
  id: "biased",
  async *compare(groups, { signal } = {}) {
    for (const group of groups) {
      signal?.throwIfAborted();
      const size = (i: number) => group.responses[i]!.text.length;
      const p = judge(group, (i, j) => 1 / (1 + Math.exp(-1 - Math.tanh(size(i) - size(j)) * 2)));
      yield { ...p, cost: { requests: 1 } };
    }
  },
});

testOracle("cachedJudge()", { oracle: () => cachedJudge(cycle()) });
testOracle("cachedJudge() over a model", {
  oracle: () =>
    cachedJudge(pairJudge({
      id: "first",
      logits: (_, texts, asked) =>
        Promise.resolve(asked.map(([i]) => Math.log1p(texts[i]!.length))),
    })),
});
testOracle("orderSwapJudge()", { oracle: () => orderSwapJudge(cycle()) });
testOracle("orderSwapJudge() of a judge that sees the order", {
  oracle: () => orderSwapJudge(biased()),
});
testOracle("panelJudge() of a majority", {
  oracle: () => panelJudge([length(), cycle(), lexiconJudge({ phrases: ["a"] })]),
});
testOracle("panelJudge() of shares", {
  oracle: () => panelJudge([length(), cycle()], { vote: "share" }),
});
testOracle("noisyJudge()", { oracle: () => noisyJudge(cycle(), { noise: 1, flip: 0.3, seed: 2 }) });
testOracle("temperedJudge()", { oracle: () => temperedJudge(cycle(), 3) });
testOracle("Wrappers in each other", {
  oracle: () =>
    cachedJudge(panelJudge([orderSwapJudge(biased()), noisyJudge(length(), { flip: 0.5 })])),
});

const group = (...texts: readonly string[]): ComparisonGroup => ({
  prompt: { id: "p", content: "?" },
  responses: texts.map((text) => ({ text })),
});

async function judged(
  oracle: PreferenceOracle,
  ...groups: readonly ComparisonGroup[]
): Promise<Judgement[]> {
  return await Array.fromAsync(oracle.compare(groups));
}

Deno.test("orderSwapJudge() takes the mean of both orders and says how they differ", async () => {
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const oracle = orderSwapJudge(biased());
  // Length is worth 2 at most, the place 1: a length of 5 more outweighs it, the same length does not.
  const [judgement] = await judged(oracle, group("a", "b", "longer"));
  assert.equal(judgement!.preferences[1], 0.5);
  assert.ok(Math.abs(judgement!.preferences[6]! - (sigmoid(3) + sigmoid(1)) / 2) < 1e-3);
  assert.deepEqual(judgement!.cost, { requests: 2 });
  const { pairs, inconsistent, first } = oracle.report();
  assert.deepEqual([pairs, inconsistent], [3, 1]);
  assert.ok(first > 0.5);
  assert.deepEqual(judgement!.counts, {
    pairs: 3,
    first_place: first * 3,
    order_conflicts: 1,
  });
  const fair = orderSwapJudge(length());
  await judged(fair, group("a", "b", "longer than these"));
  const { inconsistent: none, difference, first: half } = fair.report();
  assert.ok(none === 0 && difference < 1e-15 && Math.abs(half - 0.5) < 1e-15);
});

Deno.test("cachedJudge() asks for each pair once, and keeps logits", async () => {
  const asked: string[] = [];
  const model = pairJudge({
    id: "logits",
    logits(_, texts, pairs) {
      for (const [i, j] of pairs) asked.push(`${texts[i]}${texts[j]}`);
      return Promise.resolve(pairs.map(([i, j]) => texts[i]!.charCodeAt(0) + 3 * j));
    },
  });
  const store = new Map<string, CachedPair>();
  const [whole] = await judged(model, group("a", "b", "c"));
  asked.length = 0;
  const [first, second, third] = await judged(
    cachedJudge(model, store),
    group("a", "b", "c"),
    group("c", "a"),
    group("c", "d"),
  );
  assert.deepEqual(asked.toSorted(), ["ab", "ac", "ba", "bc", "ca", "cb", "cd", "dc"]);
  assert.deepEqual(first, whole);
  assert.deepEqual([...second!.logits!], [0, whole!.logits![6], whole!.logits![2], 0]);
  assert.equal(second!.preferences[1], whole!.preferences[6]);
  asked.length = 0;
  assert.deepEqual(await judged(cachedJudge(model, store), group("c", "d")), [third]);
  assert.deepEqual(asked, []);
  // Another prompt is another question, and so is another judge.
  await judged(cachedJudge(model, store), {
    ...group("c", "d"),
    prompt: { id: "q", content: "?" },
  });
  await judged(cachedJudge({ ...model, id: "other" }, store), group("c", "d"));
  assert.equal(asked.length, 4);
});

Deno.test("cachedJudge() tells lone surrogates apart", async () => {
  const judgements = await judged(
    cachedJudge({
      id: "codes",
      async *compare(groups) {
        for (const each of groups) {
          yield judge(each, (i) => each.responses[i]!.text === "\ud800" ? 0.9 : 0.6);
        }
      },
    }),
    group("\ud800", "x"),
    group("\ud801", "x"),
  );
  assert.deepEqual(judgements.map(({ preferences }) => preferences[1]), [0.9, 0.6]);
});

Deno.test("panelJudge() of transitive judges can go round in circles", async () => {
  const ranks = (order: string): PreferenceOracle => ({
    id: order,
    async *compare(groups) {
      for (const each of groups) {
        const place = (i: number) => order.indexOf(each.responses[i]!.text);
        yield judge(each, (i, j) => place(i) < place(j) ? 1 : 0);
      }
    },
  });
  const judges = ["abc", "bca", "cab"].map(ranks);
  const [majority] = await judged(panelJudge(judges), group("a", "b", "c"));
  assert.deepEqual([...majority!.preferences], [0.5, 1, 0, 0, 0.5, 1, 1, 0, 0.5]);
  const [agreed] = await judged(panelJudge(judges.slice(1)), group("a", "c"));
  assert.equal(agreed!.preferences[1], 0);
  const [even] = await judged(panelJudge(judges.slice(0, 2)), group("a", "c"));
  assert.equal(even!.preferences[1], 0.5);
});

Deno.test("panelJudge() leaves out who did not compare", async () => {
  const none: PreferenceOracle = {
    id: "none",
    compare: (groups) => length().compare(groups.map((each) => ({ ...each, pairs: [] }))),
  };
  const asked = group("a", "longer than that");
  const [some] = await judged(panelJudge([length(), none]), asked);
  assert.equal(some!.preferences[1], 0);
  assert.deepEqual([...(await judged(panelJudge([none]), asked))[0]!.mask], [1, 0, 0, 1]);
});

Deno.test("noisyJudge() turns as many pairs round as it says, and moves logits by its noise", async () => {
  const sure: PreferenceOracle = {
    id: "sure",
    async *compare(groups) {
      for (const each of groups) {
        yield judge(each, (i, j) => each.responses[i]!.text < each.responses[j]!.text ? 0.9 : 0.1);
      }
    },
  };
  const texts = Array.from({ length: 64 }, (_, index) => String(index).padStart(2, "0"));
  const upper = (judgement: Judgement) =>
    texts.flatMap((_, i) =>
      texts.slice(i + 1).map((_, j) => judgement.preferences[i * 64 + i + 1 + j]!)
    );
  const [flipped] = await judged(noisyJudge(sure, { flip: 0.2 }), group(...texts));
  const turned = upper(flipped!).filter((p) => p < 0.5).length / 2016;
  assert.ok(Math.abs(turned - 0.2) < 4 * Math.sqrt(0.16 / 2016), `${turned}`);
  const [noisy] = await judged(noisyJudge(sure, { noise: 0.5 }), group(...texts));
  const moves = upper(noisy!).map((p) => Math.log(p / (1 - p)) - Math.log(9));
  const mean = moves.reduce((a, b) => a + b) / 2016;
  const deviation = Math.sqrt(moves.reduce((sum, move) => sum + move ** 2, 0) / 2016);
  assert.ok(Math.abs(mean) < 0.05 && Math.abs(deviation - 0.5) < 0.04, `${mean} ${deviation}`);
});

Deno.test("fitTemperature() finds the temperature that labels were drawn at", () => {
  const stream = randomStream(3, "labels");
  const pairs: JudgedPair[] = Array.from({ length: 20000 }, () => {
    const z = 6 * stream.next() - 3;
    const preference = 1 / (1 + Math.exp(-2.5 * z));
    return { preference, label: stream.next() < 1 / (1 + Math.exp(-z)) ? 1 : 0 };
  });
  const temperature = fitTemperature(pairs);
  assert.ok(Math.abs(temperature - 2.5) < 0.1, `${temperature}`);
  const at = (value: number) =>
    agreement(pairs.map(({ preference, label }) => ({
      preference: 1 / (1 + ((1 - preference) / preference) ** (1 / value)),
      label,
    })));
  for (const other of [temperature * 0.98, temperature * 1.02, 1]) {
    assert.ok(at(other).logLoss > at(temperature).logLoss);
  }
  assert.equal(at(temperature).accuracy, agreement(pairs).accuracy);
});

Deno.test("Wrappers refuse what they cannot be made of", () => {
  const wrong = [
    () => panelJudge([]),
    () => noisyJudge(length(), { noise: -1 }),
    () => noisyJudge(length(), { flip: 1.1 }),
    () => temperedJudge(length(), 0),
    () => fitTemperature([]),
    () => fitTemperature([{ preference: 0.9, label: 1 }]),
    () => fitTemperature([{ preference: 0.9, label: 0 }, { preference: 0.9, label: 0 }]),
    () => fitTemperature([{ preference: 0.5, label: 1 }]),
  ];
  for (const make of wrong) assert.throws(make, { name: "RangeError", message: /^Cannot / });
});
