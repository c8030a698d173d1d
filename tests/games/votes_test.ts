import assert from "node:assert/strict";
import { sigmoid } from "../../core/estimators.ts";
import { randomStream } from "../../core/random.ts";
import { cyclicTriads, signTest, testTransitivity, testTriads } from "../../games/triads.ts";
import { gameOfVotes, poolVotes, voteCounter } from "../../games/votes.ts";

/** Votes drawn from given preferences. */
function drawn(preferences: readonly (readonly number[])[], each: number, seed: number) {
  const votes = voteCounter(preferences.length), stream = randomStream(seed, "drawn");
  for (let i = 0; i < preferences.length; i++) {
    for (let j = i + 1; j < preferences.length; j++) {
      for (let n = 0; n < each; n++) {
        votes.add(i, j, stream.next() < preferences[i]![j]! ? "first" : "second");
      }
    }
  }
  return votes;
}

/** Scores 0, .4, .8 …: transitive, with preferences near enough to ½ that noise makes cycles. */
const transitive = Array.from(
  { length: 7 },
  (_, i) => Array.from({ length: 7 }, (_, j) => sigmoid(0.4 * (i - j))),
);

Deno.test("signTest() sums the binomial distribution", () => {
  assert.ok(Math.abs(signTest(3, 1) - (4 + 1) / 16) < 1e-15);
  assert.ok(Math.abs(signTest(0, 5) - 1) < 1e-15);
  // Symmetric: P(X ≥ 600) = ½ (1 − P(400 < X < 600)); the normal approximation with continuity.
  assert.ok(Math.abs(signTest(530, 470) - 0.0310) < 5e-4);
  assert.ok(signTest(2000, 0) >= 0);
  assert.throws(() => signTest(0.5, 1), RangeError);
});

Deno.test("testTriads() names a cycle that is there, and none that is not", () => {
  const cycle = [[0.5, 0.9, 0.3, 0.9], [0.1, 0.5, 0.6, 0.9], [0.7, 0.4, 0.5, 0.9], [0.1, 0.1, 0.1]];
  const [surest, ...others] = testTriads(drawn(cycle, 400, 1));
  assert.deepEqual(surest!.cycle, [0, 1, 2]);
  assert.ok(surest!.adjusted < 0.01, `${surest!.adjusted}`);
  assert.equal(others.length, 0);
  let found = 0, named = 0;
  for (let seed = 0; seed < 40; seed++) {
    const tested = testTriads(drawn(transitive, 9, seed));
    found += tested.length;
    named += tested.filter(({ adjusted }) => adjusted < 0.05).length;
  }
  assert.ok(found > 40 && named <= 2, `${found} found, ${named} named`);
});

Deno.test("testTransitivity() tells a cycle from noise", () => {
  let small = 0;
  for (let seed = 0; seed < 30; seed++) {
    if (testTransitivity(drawn(transitive, 9, seed), { draws: 100, seed }).p < 0.1) small++;
  }
  // Under the null a tenth of the p-values, 3 of 30, are below .1; 9 or more have a chance of .002.
  assert.ok(small < 9, `${small} of 30`);
  const wheel = Array.from(
    { length: 7 },
    (_, i) =>
      Array.from({ length: 7 }, (_, j) => i === j ? 0.5 : (j - i + 7) % 7 <= 3 ? 0.75 : 0.25),
  );
  const { cyclic, expected, p } = testTransitivity(drawn(wheel, 30, 0), { draws: 200 });
  assert.ok(p < 0.01 && cyclic > expected, `${cyclic}, ${expected}, ${p}`);
});

Deno.test("poolVotes() adds tables; gameOfVotes() refuses pairs without votes", () => {
  const votes = voteCounter(3);
  votes.add(0, 1, "first");
  votes.add(2, 1, "tie");
  assert.throws(() => gameOfVotes(votes), /none between 0 and 2; give a prior/);
  const pooled = poolVotes([votes, votes]);
  assert.equal(pooled.wins[1], 2);
  assert.equal(pooled.ties[5], 2);
  // (2 + 1)/(2 + 2), and ½ where only the prior speaks.
  assert.deepEqual(Array.from(gameOfVotes(pooled, 1).preferences).slice(0, 3), [0.5, 0.75, 0.5]);
  assert.throws(() => poolVotes([]), RangeError);
  assert.throws(() => votes.add(1, 1, "tie"), RangeError);
  assert.equal(cyclicTriads(gameOfVotes(pooled, 1)).length, 0);
});
