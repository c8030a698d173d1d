import assert from "node:assert/strict";
import { winRatesAgainst } from "../../core/exploitability.ts";
import { hedge, hedgeEta } from "../../games/dynamics/hedge.ts";
import { kernelPayoff, KERNELS } from "../../games/kernel/antisymmetric.ts";
import { play } from "../../games/play.ts";
import { randomGame } from "../../games/random_games.ts";
import { loadWabt } from "../_deps.ts";

/** Of sums of products of which one factor sums to 1. */
const TOLERANCE = { float32: 3e-7, float64: 1e-15 } as const;
const SOURCES = {
  float32: "antisymmetric.wat",
  float64: "antisymmetric_float64.wat",
} as const;
const PRECISIONS = ["float32", "float64"] as const;

Deno.test("the kernels' bytes are those of their sources", async () => {
  const wabt = await loadWabt();
  const features = { simd: true, relaxed_simd: true };
  for (const precision of PRECISIONS) {
    const name = SOURCES[precision];
    const source = new URL(`../../games/kernel/${name}`, import.meta.url);
    const parsed = wabt.parseWat(name, await Deno.readTextFile(source), features);
    const { buffer } = parsed.toBinary({});
    assert.equal(btoa(String.fromCharCode(...buffer)), KERNELS[precision]);
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

Deno.test("hedge() in float32 comes as near to the equilibrium as in float64", () => {
  const game = randomGame(100, 1), rounds = 1000, eta = hedgeEta(100, rounds);
  const [half, full] = (["float32", "float64"] as const).map((precision) =>
    play(game, hedge(game, { eta, precision }), { rounds }).gaps[0]!.average
  );
  assert.ok(Math.abs(half! - full!) < 1e-5, `${half} and ${full}`);
});
