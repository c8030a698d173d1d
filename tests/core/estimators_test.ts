import assert from "node:assert/strict";
import { estimatePreferences, estimateWinRates, sigmoid } from "../../core/estimators.ts";
import { fc } from "../_deps.ts";
import { fromLogits, judgements } from "./_judgements.ts";

/** Rounding of means of a few float64 numbers. */
const ROUNDING = 1e-12;

const close = (actual: ArrayLike<number>, expected: readonly number[]) => {
  assert.equal(actual.length, expected.length);
  for (const [k, value] of expected.entries()) {
    assert.ok(Math.abs(actual[k]! - value) < ROUNDING, `${actual[k]} at ${k}, not ${value}`);
  }
};

Deno.test("estimatePreferences() is ½ everywhere by scores when logits are a three-cycle, not by matrix", () => {
  // y1 ≻ y2 ≻ y3 ≻ y1 with equal margins: s_i = (1/3)(0 + 1 − 1) = 0 for all.
  const cycle = fromLogits([[0, 1, 0], [0, 0, 1], [1, 0, 0]]);
  close(estimatePreferences(cycle, { estimator: "scores" }), new Array(9).fill(0.5));
  const up = sigmoid(1), down = sigmoid(-1);
  close(estimatePreferences(cycle), [0.5, up, down, down, 0.5, up, up, down, 0.5]);
  close(estimateWinRates(cycle, { estimator: "scores" }).winRates, [0.5, 0.5, 0.5]);
  // Plain means of the cycle's rows are ½ too, (½ + σ(1) + σ(−1))/3; against an uneven mixture the
  // table still tells responses apart: with weights (½, ½, 0)
  // P̂_1 = ½·½ + ½·σ(1), P̂_2 = ½·σ(−1) + ½·½, P̂_3 = ½·σ(1) + ½·σ(−1) = ½.
  close(estimateWinRates(cycle, { weights: [0.5, 0.5, 0] }).winRates, [
    0.25 + 0.5 * up,
    0.25 + 0.5 * down,
    0.5,
  ]);
});

Deno.test("estimateWinRates() is ½ everywhere by scores when logits are cycles, and not by matrix", () => {
  // Twice y1 ≻ y2 ≻ y3 ≻ y1 and once y1 ≻ y2 ≻ y4 ≻ y1, differences of logits added up:
  // D = [[0, 3, −2, −1], [−3, 0, 2, 1], [2, −2, 0, 0], [1, −1, 0, 0]]; every row sums to 0.
  const cycles = fromLogits([[0, 3, 0, 0], [0, 0, 2, 1], [2, 0, 0, 0], [1, 0, 0, 0]]);
  close(estimateWinRates(cycles, { estimator: "scores" }).winRates, [0.5, 0.5, 0.5, 0.5]);
  const { winRates } = estimateWinRates(cycles);
  close(winRates, [
    (0.5 + sigmoid(3) + sigmoid(-2) + sigmoid(-1)) / 4,
    (0.5 + sigmoid(-3) + sigmoid(2) + sigmoid(1)) / 4,
    0.5,
    0.5,
  ]);
  assert.ok(winRates[0]! < 0.47 && winRates[1]! > 0.53);
});

Deno.test("estimateWinRates() equals the released code when it takes scores", () => {
  // compute_prob.py on three responses, L = [[0, 2, 1], [−1, 0, 0.5], [0, 1, 0]]:
  // D = L − Lᵀ = [[0, 3, 1], [−3, 0, −0.5], [−1, 0.5, 0]]; s = (4/3, −3.5/3, −0.5/3).
  const judgement = fromLogits([[0, 2, 1], [-1, 0, 0.5], [0, 1, 0]]);
  const s = [4 / 3, -3.5 / 3, -0.5 / 3];
  const expected = s.map((a) =>
    s.map((b) => 1 / (1 + Math.exp(b - a))).reduce((x, y) => x + y) / 3
  );
  close(estimateWinRates(judgement, { estimator: "scores" }).winRates, expected);
});

Deno.test("estimateWinRates() gives the same by both estimators when logits are additive", () => {
  fc.assert(fc.property(
    fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: 2, maxLength: 6 }),
    (rewards) => {
      const judgement = fromLogits(rewards.map((a) => rewards.map((b) => a - b)));
      const matrix = estimateWinRates(judgement).winRates;
      close(estimateWinRates(judgement, { estimator: "scores" }).winRates, [...matrix]);
    },
  ));
});

Deno.test("estimateWinRates() divides logits by the temperature", () => {
  const judgement = fromLogits([[0, 1], [-1, 0]]);
  const { winRates } = estimateWinRates(judgement, { preferenceTemperature: 2 });
  close(winRates, [(0.5 + sigmoid(1)) / 2, (0.5 + sigmoid(-1)) / 2]);
});

Deno.test("estimateWinRates() leaves masked cells out, and drops a response without any", () => {
  const judgement = {
    size: 3,
    preferences: Float64Array.of(0.5, 0.9, NaN, 0.1, 0.5, NaN, NaN, NaN, 0.5),
    mask: Uint8Array.of(1, 1, 0, 1, 1, 0, 0, 0, 1),
  };
  const include = estimateWinRates(judgement);
  close(include.winRates.slice(0, 2), [0.7, 0.3]);
  assert.ok(Number.isNaN(include.winRates[2]));
  assert.equal(include.dropped, 1);
  const exclude = estimateWinRates(judgement, { selfTerm: "exclude" });
  close(exclude.winRates.slice(0, 2), [0.9, 0.1]);
  assert.equal(exclude.dropped, 1);
});

Deno.test("estimateWinRates() averages to ½ when every cell is there", () => {
  fc.assert(
    fc.property(judgements, fc.constantFrom("include", "exclude"), (judgement, selfTerm) => {
      const { winRates, dropped } = estimateWinRates(judgement, { selfTerm });
      assert.equal(winRates.filter(Number.isNaN).length, dropped);
      for (const rate of winRates) assert.ok(Number.isNaN(rate) || (rate >= 0 && rate <= 1));
      if (judgement.mask.every((cell) => cell === 1)) {
        close([winRates.reduce((a, b) => a + b) / judgement.size], [0.5]);
      }
    }),
  );
});

Deno.test("estimateWinRates() gives the same by equal weights as without", () => {
  fc.assert(fc.property(judgements, (judgement) => {
    const weights = Array.from({ length: judgement.size }, () => 1 / judgement.size);
    const weighted = estimateWinRates(judgement, { weights });
    const plain = estimateWinRates(judgement);
    assert.equal(weighted.dropped, plain.dropped);
    for (const [k, rate] of plain.winRates.entries()) {
      if (!Number.isNaN(rate)) close([weighted.winRates[k]!], [rate]);
    }
  }));
});

Deno.test("estimateWinRates() follows the responses when they are given in another order", () => {
  fc.assert(fc.property(judgements, (judgement) => {
    const { size } = judgement;
    const turned = {
      size,
      preferences: judgement.preferences.slice(),
      mask: judgement.mask.slice(),
    };
    turned.preferences.reverse();
    turned.mask.reverse();
    const plain = [...estimateWinRates(judgement).winRates].reverse();
    for (const [k, rate] of estimateWinRates(turned).winRates.entries()) {
      if (Number.isNaN(rate)) assert.ok(Number.isNaN(plain[k]));
      else close([rate], [plain[k]!]);
    }
  }));
});

Deno.test("estimateWinRates() refuses judgements without logits when it needs them", () => {
  const judgement = { size: 1, preferences: Float64Array.of(0.5), mask: Uint8Array.of(1) };
  for (const options of [{ estimator: "scores" }, { preferenceTemperature: 2 }] as const) {
    assert.throws(() => estimateWinRates(judgement, options), {
      name: "TypeError",
      message: /as the judge must give logits/,
    });
  }
  assert.throws(() => estimateWinRates(judgement, { preferenceTemperature: 0 }), RangeError);
  assert.throws(() => estimateWinRates(judgement, { weights: [0.5, 0.5] }), RangeError);
  assert.throws(() => estimateWinRates(judgement, { weights: [-1] }), RangeError);
});
