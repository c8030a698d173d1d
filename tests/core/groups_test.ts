import assert from "node:assert/strict";
import { meanLength, summarizeWinRates, winRateAgainst } from "../../core/evaluate.ts";
import { exploitability, meanExploitability } from "../../core/exploitability.ts";
import { checkJudgement, judge } from "../../core/judgements.ts";
import { select } from "../../core/selection.ts";
import { countTriads } from "../../core/statistics.ts";
import { targets } from "../../core/targets.ts";
import { fc } from "../_deps.ts";
import { judgements } from "./_judgements.ts";
import { laterLetter } from "./_playground.ts";

const prompt = { id: "p", content: "?" };
const sampled = (...texts: string[]) => ({ prompt, responses: texts.map((text) => ({ text })) });

Deno.test("select() takes the first index when several are best or worst", () => {
  assert.deepEqual(select([0.5, 0.9, 0.1, 0.9, 0.1]).indexes, [1, 2]);
  assert.deepEqual(select([NaN, 0.2, 0.8]).indexes, [2, 1]);
  assert.deepEqual(select([0.4, NaN, 0.6], "all").indexes, [0, 2]);
  assert.deepEqual(select([0.5, 0.9, 0.1, 0.9, 0.1], "best").indexes, [1]);
});

Deno.test("select() selects nothing when win rates are equal or missing", () => {
  const tied = select([0.5, 0.5 + 1e-16, 0.5]);
  assert.deepEqual([tied.indexes, tied.tied, tied.dropped], [[], true, false]);
  const dropped = select([NaN, 0.5], "all");
  assert.deepEqual([dropped.indexes, dropped.tied, dropped.dropped], [[], false, true]);
  assert.deepEqual(select([0.5, 0.5], "best").indexes, []);
  assert.deepEqual(select([]).best, -1);
});

Deno.test("targets() equals the multiplicative-weights step when log Z is taken over all answers", () => {
  // Σ_k w_k exp(target_k) = 1: the next policy is normalised.
  fc.assert(fc.property(
    fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 8 }),
    fc.double({ min: 1e-3, max: 1000, noNaN: true }),
    (winRates, eta) => {
      const goals = targets(winRates, { eta, normalizer: "sample" });
      const mean = goals.reduce((sum, goal) => sum + Math.exp(goal), 0) / winRates.length;
      assert.ok(Math.abs(mean - 1) < 1e-9);
    },
  ));
});

Deno.test("targets() stays finite when eta is the paper's 1000", () => {
  assert.deepEqual([...targets([0.9, 0.1], { eta: 1000 })], [400, -400]);
  const [chosen, rejected] = targets([0.9, 0.1], { eta: 1000, normalizer: "sample" });
  assert.ok(Math.abs(chosen! - Math.log(2)) < 1e-9);
  assert.ok(Math.abs(rejected! - (Math.log(2) - 800)) < 1e-9);
});

Deno.test("targets() leaves dropped responses out of log Z", () => {
  const goals = targets([0.8, NaN, 0.2], {
    eta: 1,
    normalizer: "sample",
    weights: [0.5, 0.2, 0.5],
  });
  const logZ = Math.log((Math.exp(0.8) + Math.exp(0.2)) / 2);
  assert.ok(Math.abs(goals[0]! - (0.8 - logZ)) < 1e-12);
  assert.ok(Number.isNaN(goals[1]));
  assert.throws(() => targets([0.5], { eta: 0 }), RangeError);
});

Deno.test("countTriads() finds all triads cyclic in rock, paper, scissors, and none in an order", () => {
  const group = { prompt, responses: Array.from({ length: 5 }, () => ({ text: "" })) };
  const order = judge(group, (i, j) => i < j ? 0.9 : 0.1);
  assert.deepEqual(countTriads(order), { triads: 10, cyclic: 0 });
  const ties = judge(group, () => 0.5);
  assert.deepEqual(countTriads(ties), { triads: 10, cyclic: 0 });
  // Five in a ring, each beats the two after it: 5 of the 10 triads are cycles.
  const ring = judge(group, (i, j) => (j - i + 5) % 5 <= 2 ? 0.9 : 0.1);
  assert.deepEqual(countTriads(ring), { triads: 10, cyclic: 5 });
  const pairs = [[0, 1], [1, 2], [0, 2], [3, 4]] as const;
  assert.deepEqual(countTriads(judge({ ...group, pairs }, () => 0.7)), { triads: 1, cyclic: 0 });
});

Deno.test("checkJudgement() accepts what keeps the laws and refuses what breaks one", () => {
  fc.assert(fc.property(judgements, (judgement) => {
    const group = {
      prompt,
      responses: Array.from({ length: judgement.size }, () => ({ text: "" })),
    };
    assert.equal(checkJudgement(judgement, group, "j"), judgement);
    const wrong = { ...judgement, preferences: judgement.preferences.slice() };
    wrong.preferences[0] = 0.6;
    assert.throws(() => checkJudgement(wrong, group, "j"), RangeError);
    const short = { ...judgement, mask: judgement.mask.slice(1) };
    assert.throws(() => checkJudgement(short, group, "j"), TypeError);
    const lopsided = { ...judgement, mask: judgement.mask.slice() };
    lopsided.mask[1] = 1 - lopsided.mask[1]!;
    assert.throws(() => checkJudgement(lopsided, group, "j"), RangeError);
    const logits = judgement.preferences.map(() => NaN);
    const unequal = judgement.mask.reduce((a, b) => a + b) > judgement.size;
    if (unequal) {
      assert.throws(() => checkJudgement({ ...judgement, logits }, group, "j"), RangeError);
    }
  }));
});

Deno.test("judge() refuses pairs that do not name two responses", () => {
  for (const pair of [[0, 0], [0, 2], [-1, 0], [0, 0.5]] as const) {
    assert.throws(() => judge({ ...sampled("a", "b"), pairs: [pair] }, () => 0.5), RangeError);
  }
});

Deno.test("winRateAgainst() compares every response with every other's, clustered by prompt", async () => {
  // laterLetter: P = ½ + distance/10. First prompt: b and d against c: (0.4 + 0.6)/2 = 0.5; second: c
  // against a and b: (0.7 + 0.6)/2 = 0.65. Mean 0.575; sd √(2·0.075²) = 0.10607; error 0.075.
  const other = { id: "q", content: "?" };
  const ours = [sampled("b", "d"), { ...sampled("c"), prompt: other }];
  const theirs = [sampled("c"), { ...sampled("a", "b"), prompt: other }];
  const done: number[] = [];
  const result = await winRateAgainst(laterLetter, ours, theirs, {
    promptsPerBatch: 1,
    onProgress: (count) => done.push(count),
  });
  assert.ok(Math.abs(result.winRate! - 0.575) < 1e-12);
  assert.ok(Math.abs(result.standardError! - 0.075) < 1e-12);
  assert.deepEqual([result.prompts, result.comparisons, result.droppedPrompts], [2, 4, 0]);
  assert.deepEqual(done, [1, 2]);
  await assert.rejects(winRateAgainst(laterLetter, ours, theirs.slice(1)), RangeError);
  await assert.rejects(winRateAgainst(laterLetter, ours, theirs.toReversed()), RangeError);
});

Deno.test("summarizeWinRates() says nothing when there is nothing to say", () => {
  const summary = summarizeWinRates();
  summary.add({ comparisons: 0 });
  assert.deepEqual(summary.result(), { prompts: 0, droppedPrompts: 1, comparisons: 0 });
});

Deno.test("meanLength() counts code points, and tokens where all are known", () => {
  const responses = [{ text: "🙂 a", tokenIds: [1, 2] }, { text: "b", tokenIds: [3] }];
  assert.deepEqual(meanLength([{ prompt, responses }]), { words: 1.5, characters: 2, tokens: 1.5 });
  const weighted = { prompt, responses, weights: [1, 0] };
  assert.deepEqual(meanLength([weighted]), { words: 2, characters: 3, tokens: 2 });
  assert.equal(meanLength([]), undefined);
});

Deno.test("exploitability() is not negative, and 0 only for what cannot be beaten", () => {
  fc.assert(
    fc.property(judgements.filter(({ mask }) => mask.every((cell) => cell === 1)), (game) => {
      const uniform = Array.from({ length: game.size }, () => 1 / game.size);
      // p·(P p) = ½ for every p, so the best answer wins at least that.
      assert.ok(exploitability(game, uniform) >= -1e-12);
      assert.ok(exploitability(game, uniform) <= 0.5);
    }),
  );
  assert.throws(() => exploitability({ size: 1, preferences: [0.5] }, []), RangeError);
  assert.throws(() => meanExploitability([]), RangeError);
});
