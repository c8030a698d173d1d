import assert from "node:assert/strict";
import { winRatesAgainst } from "../../core/exploitability.ts";
import { hedge, hedgeEta } from "../../games/dynamics/hedge.ts";
import { plainSoftmax } from "../../games/dynamics/iterates.ts";
import { kernelPayoff, KERNELS } from "../../games/kernel/antisymmetric.ts";
import { kernelSoftmax, SOFTMAX } from "../../games/kernel/softmax.ts";
import { play } from "../../games/play.ts";
import { randomGame } from "../../games/random_games.ts";
import { loadWabt } from "../_deps.ts";

/** Of sums of products of which one factor sums to 1. */
const TOLERANCE = { float32: 3e-7, float64: 1e-15 } as const;
/** Bytes by their sources. */
const SOURCES = {
  "antisymmetric.wat": KERNELS.float32,
  "antisymmetric_float64.wat": KERNELS.float64,
  "softmax.wat": SOFTMAX,
} as const;
const PRECISIONS = ["float32", "float64"] as const;

Deno.test("the kernels' bytes are those of their sources", async () => {
  const wabt = await loadWabt();
  const features = { simd: true, relaxed_simd: true };
  for (const [name, bytes] of Object.entries(SOURCES)) {
    const source = new URL(`../../games/kernel/${name}`, import.meta.url);
    const parsed = wabt.parseWat(name, await Deno.readTextFile(source), features);
    const { buffer } = parsed.toBinary({});
    assert.equal(btoa(String.fromCharCode(...buffer)), bytes);
  }
});

Deno.test("kernelPayoff() gives the win rates of games of any size", () => {
  for (const precision of PRECISIONS) {
    for (const size of [1, 2, 3, 4, 5, 8, 13, 64, 131]) {
      const game = randomGame(size, size);
      const weights = randomGame(size, 100 + size).preferences.slice(0, size).map((p) => p + 0.01);
      const total = weights.reduce((sum, w) => sum + w, 0);
      const mixture = weights.map((w) => w / total), winRates = new Float64Array(size);
      const payoff = kernelPayoff(game, precision);
      for (let again = 0; again < 2; again++) {
        payoff(mixture, winRates);
        for (const [i, rate] of winRatesAgainst(game, mixture).entries()) {
          assert.ok(
            Math.abs(rate - winRates[i]!) < TOLERANCE[precision],
            `${rate} and ${winRates[i]} of ${size} in ${precision}`,
          );
        }
      }
    }
  }
});

Deno.test("kernelSoftmax() has the exponentials of Math.exp, within two units in the last place", () => {
  const size = 5000, logWeights = new Float64Array(size), mixture = new Float64Array(size);
  for (const width of [1e-3, 1, 40, 707]) {
    for (let i = 1; i < size; i++) logWeights[i] = -width * i / size;
    kernelSoftmax(logWeights, mixture);
    for (let i = 1; i < size; i++) {
      // Of two quotients by the same sum: each is rounded, and so is theirs.
      const ratio = mixture[i]! / mixture[0]!, exact = Math.exp(logWeights[i]!);
      assert.ok(
        Math.abs(ratio - exact) <= 3 * Number.EPSILON * exact,
        `exp(${logWeights[i]}) is ${exact}: ${ratio}`,
      );
    }
  }
});

Deno.test("kernelSoftmax() is the softmax of JavaScript at any size and at the ends", () => {
  // Sizes that shrink: what a larger mixture left behind must not count.
  for (const size of [20000, 131, 64, 5, 2, 1]) {
    const logWeights = randomGame(Math.max(size % 200, 2), size).preferences;
    const given = Float64Array.from(
      { length: size },
      (_, i) =>
        i % 7 === 3 ? -Infinity : i % 11 === 5 ? -800 : 5 * logWeights[i % logWeights.length]!,
    );
    const mixture = new Float64Array(size), expected = new Float64Array(size);
    kernelSoftmax(given, mixture);
    plainSoftmax(given, expected);
    for (const [i, p] of expected.entries()) {
      // Two orders of the sum.
      assert.ok(
        Math.abs(mixture[i]! - p) <= 2 * Math.max(size, 4) * Number.EPSILON * p,
        `${mixture[i]} and ${p} of ${size}`,
      );
    }
  }
  const nothing = new Float64Array(3);
  kernelSoftmax(new Float64Array(3).fill(NaN), nothing);
  assert.ok(nothing.every(Number.isNaN));
});

Deno.test("hedge() in float32 comes as near to the equilibrium as in float64", () => {
  const game = randomGame(100, 1), rounds = 1000, eta = hedgeEta(100, rounds);
  const [half, full] = (["float32", "float64"] as const).map((precision) =>
    play(game, hedge(game, { eta, precision }), { rounds }).gaps[0]!.average
  );
  assert.ok(Math.abs(half! - full!) < 1e-5, `${half} and ${full}`);
});
