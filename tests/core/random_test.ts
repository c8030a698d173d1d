import assert from "node:assert/strict";
import { fingerprint, hash128 } from "../../core/hash.ts";
import { deriveSeed, normal, randomStream, shuffle } from "../../core/random.ts";
import { fc } from "../_deps.ts";

const hex = (words: Uint32Array) =>
  [...words].map((word) => word.toString(16).padStart(8, "0")).join("");

Deno.test("hash128() equals the reference implementation", () => {
  // Published values of MurmurHash3_x86_128 with seed 0.
  assert.equal(
    hex(hash128("The quick brown fox jumps over the lazy dog")),
    "2f1583c3ecee2c675d7bf66ce5e91d2c",
  );
  assert.equal(hex(hash128("")), "00000000000000000000000000000000");
});

Deno.test("fingerprint() differs when values differ", () => {
  fc.assert(fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
    const same = JSON.stringify(a) === JSON.stringify(b);
    assert.equal(fingerprint(a as string) === fingerprint(b as string), same);
  }));
});

Deno.test("randomStream() is uniform, and independent between neighbouring keys", () => {
  const streams = 200, draws = 200, bins = 10;
  const counts = new Array<number>(bins).fill(0);
  let product = 0;
  for (let sample = 0; sample < streams; sample++) {
    const stream = randomStream(1, "prompt", sample),
      neighbour = randomStream(1, "prompt", sample + 1);
    for (let draw = 0; draw < draws; draw++) {
      const value = stream.next();
      assert.ok(value >= 0 && value < 1);
      counts[Math.floor(value * bins)]!++;
      product += (value - 0.5) * (neighbour.next() - 0.5);
    }
  }
  const expected = streams * draws / bins;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  // 99.99 % of χ² with 9 degrees of freedom.
  assert.ok(chiSquare < 33.7, `χ² ${chiSquare}`);
  // Covariance: mean 0, standard deviation (1/12)/√n; five of them.
  assert.ok(Math.abs(product / (streams * draws)) < 5 / 12 / Math.sqrt(streams * draws));
});

Deno.test("randomStream() tells keys apart that look alike", () => {
  const first = (...keys: (string | number)[]) => randomStream(0, ...keys).next();
  const values = [
    first("a", "b"),
    first("ab"),
    first("a,b"),
    first(1),
    first("1"),
    first(1, 0),
    first(),
  ];
  assert.equal(new Set(values).size, values.length);
  assert.notEqual(randomStream(1).next(), randomStream(0, 1).next());
});

Deno.test("deriveSeed() gives unsigned integers of 32 bits", () => {
  for (let t = 0; t < 100; t++) {
    const seed = deriveSeed(3, "responses", t);
    assert.ok(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32);
  }
});

Deno.test("shuffle() gives every order equally often", () => {
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 6000; seed++) {
    const order = shuffle(["a", "b", "c"], randomStream(seed)).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assert.equal(counts.size, 6);
  // 1000 expected, standard deviation 29; five of them.
  for (const count of counts.values()) assert.ok(Math.abs(count - 1000) < 145);
});

Deno.test("normal() has mean 0 and variance 1", () => {
  const stream = randomStream(2);
  const draws = Array.from({ length: 20000 }, () => normal(stream));
  const mean = draws.reduce((a, b) => a + b) / draws.length;
  const variance = draws.reduce((sum, draw) => sum + (draw - mean) ** 2, 0) / draws.length;
  assert.ok(Math.abs(mean) < 0.036 && Math.abs(variance - 1) < 0.05);
});
