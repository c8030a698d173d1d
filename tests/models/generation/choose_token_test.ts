import assert from "node:assert/strict";
import { randomStream } from "../../../core/random.ts";
import { blockLogits, type ChoiceOptions, chooseToken, type Logits } from "../../../models/mod.ts";
import { fc } from "../../_deps.ts";
import { assertFits } from "../_chi_square.ts";

const ALL: ChoiceOptions = { temperature: 1, topP: 1, topK: 0, minP: 0 };

/** Logits as the decode program sums them up. */
function logitsOf(values: ArrayLike<number>, temperature: number): Logits {
  return blockLogits(Float32Array.from(values), temperature);
}

/**
 * The distribution after temperature, top-k, top-p and min-p in the plainest way: softmax, sort, set to
 * zero, softmax again. Tokens equally likely stay in the order of their ids.
 */
function reference(values: Float32Array, options: ChoiceOptions): number[] {
  const { temperature, topP, topK, minP } = options;
  const order = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
  const softmax = (ids: readonly number[]): number[] => {
    const weights = ids.map((id) => Math.exp((values[id]! - values[order[0]!]!) / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => weight / total);
  };
  let kept = order;
  if (topK > 0) kept = kept.slice(0, topK);
  if (topP < 1) {
    // A token stays if what is likelier than it holds less than topP.
    let before = 0;
    const probabilities = softmax(kept);
    kept = kept.filter((_, rank) => {
      const stays = rank === 0 || before < topP;
      before += probabilities[rank]!;
      return stays;
    });
  }
  if (minP > 0) {
    const probabilities = softmax(kept);
    kept = kept.filter((_, rank) => probabilities[rank]! >= minP * probabilities[0]!);
  }
  const result = new Array<number>(values.length).fill(0);
  softmax(kept).forEach((probability, rank) => result[kept[rank]!] = probability);
  return result;
}

/** Whether a cut falls so close to a token that float32 decides. */
function isBorderline(values: Float32Array, options: ChoiceOptions): boolean {
  const near = (change: Partial<ChoiceOptions>) =>
    reference(values, { ...options, ...change }).map((p) => p > 0).join();
  const { topP, minP } = options;
  const cuts = [
    ...(topP < 1 ? [{ topP: topP - 1e-5 }, { topP: topP + 1e-5 }] : []),
    ...(minP > 0 ? [{ minP: minP * (1 - 1e-5) }, { minP: minP * (1 + 1e-5) }] : []),
  ];
  return new Set([near({}), ...cuts.map(near)]).size > 1;
}

/** How often each token comes when the random number runs over the midpoints of a grid. */
function measure(logits: Logits, options: ChoiceOptions, grid: number): number[] {
  const counts = new Array<number>(logits.values.length).fill(0);
  for (let j = 0; j < grid; j++) counts[chooseToken(logits, options, (j + 0.5) / grid)]!++;
  return counts;
}

/** Each token owns one interval of random numbers, so its share of a grid is right to one point. */
function assertMeasure(values: Float32Array, options: ChoiceOptions, grid = 1000): void {
  const counts = measure(logitsOf(values, options.temperature), options, grid);
  const expected = reference(values, options);
  counts.forEach((count, id) => {
    const points = expected[id]! * grid;
    // Intervals are shifted by the float32 normaliser's rounding too: a hundredth of a point.
    assert.ok(Math.abs(count - points) <= 1.01, `token ${id}: ${count} points for ${points}`);
    if (expected[id] === 0) assert.equal(count, 0, `token ${id} was cut off`);
  });
}

const options = fc.record({
  temperature: fc.double({ min: 0.2, max: 3, noNaN: true }),
  topP: fc.oneof(fc.constant(1), fc.double({ min: 0.01, max: 0.999, noNaN: true })),
  topK: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 30 })),
  minP: fc.oneof(fc.constant(0), fc.double({ min: 0.001, max: 1, noNaN: true })),
});
const float = fc.double({ min: -12, max: 12, noNaN: true });
const logits = fc.array(float, { minLength: 1, maxLength: 24 })
  .map((values) => Float32Array.from(values));

Deno.test("chooseToken() gives each token its share of random numbers under any options", () => {
  fc.assert(
    fc.property(logits, options, (values, choice) => {
      fc.pre(!isBorderline(values, choice));
      assertMeasure(values, choice);
    }),
    { numRuns: 300, seed: 1 },
  );
});

Deno.test("chooseToken() gives each token its share when many are equally likely", () => {
  const few = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 24 })
    .map((values) => Float32Array.from(values));
  fc.assert(
    fc.property(few, options, (values, choice) => {
      fc.pre(!isBorderline(values, choice));
      assertMeasure(values, choice);
    }),
    { numRuns: 200, seed: 2 },
  );
});

Deno.test("chooseToken() gives the shares of transformers' processors in their order", () => {
  // TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper, MinPLogitsWarper of transformers 5.23.
  const values = Float32Array.from([0.02, 0.4, 0.08, 0.25, 0.15, 0.1], Math.log);
  const cases: [temperature: number, topK: number, topP: number, minP: number, number[]][] = [
    [1, 3, 1, 0, [0, 0.5, 0, 0.3125, 0.1875, 0]],
    [1, 0, 0.8, 0, [0, 0.5, 0, 0.3125, 0.1875, 0]], // 0.4 + 0.25 < 0.8 ≤ 0.4 + 0.25 + 0.15
    // Top-k first: of three tokens 0.5 + 0.3125 ≥ 0.8, and the third goes.
    [1, 3, 0.8, 0, [0, 0.615385, 0, 0.384615, 0, 0]],
    [2, 0, 0.8, 0, [0, 0.344478, 0, 0.272334, 0.210949, 0.172239]],
    [1, 0, 1, 0.3, [0, 0.5, 0, 0.3125, 0.1875, 0]],
    [1, 5, 0.95, 0.3, [0, 0.5, 0, 0.3125, 0.1875, 0]],
    [0.5, 4, 0.9, 0.1, [0, 0.653061, 0, 0.255102, 0.091837, 0]],
    [2, 4, 0.7, 0.7, [0, 0.558482, 0, 0.441518, 0, 0]],
    [1, 1, 1, 0, [0, 1, 0, 0, 0, 0]],
    [1, 0, 1e-9, 0, [0, 1, 0, 0, 0, 0]],
  ];
  for (const [temperature, topK, topP, minP, expected] of cases) {
    const choice = { temperature, topK, topP, minP };
    const grid = 20_000;
    const counts = measure(logitsOf(values, temperature), choice, grid);
    counts.forEach((count, id) =>
      assert.ok(
        Math.abs(count / grid - expected[id]!) < 1e-4,
        `${JSON.stringify(choice)}, token ${id}: ${count / grid}, expected ${expected[id]}`,
      )
    );
  }
});

Deno.test("chooseToken() draws tokens as often as they are likely", () => {
  const random = randomStream(11, "logits");
  const values = new Float32Array(300).map(() => 6 * random.next() + 4 * random.next() ** 8);
  const choices: ChoiceOptions[] = [
    ALL,
    { ...ALL, temperature: 0.7, topP: 0.9 },
    { ...ALL, topK: 40 },
    { ...ALL, temperature: 1.5, minP: 0.2 },
    { temperature: 0.9, topK: 100, topP: 0.8, minP: 0.05 },
  ];
  for (const [index, choice] of choices.entries()) {
    const logits = logitsOf(values, choice.temperature);
    const counts = new Float64Array(values.length);
    const draws = randomStream(12, index);
    for (let draw = 0; draw < 5000; draw++) counts[chooseToken(logits, choice, draws.next())]!++;
    assertFits(counts, reference(values, choice));
  }
});

Deno.test("chooseToken() takes the first of the most likely tokens when the temperature is 0", () => {
  const values = Float32Array.of(1, 5, -2, 5, 3);
  for (const random of [0, 0.5, 1 - 2 ** -53]) {
    assert.equal(chooseToken(logitsOf(values, 0), { ...ALL, temperature: 0 }, random), 1);
    const cut = { temperature: 0, topP: 0.1, topK: 3, minP: 0.5 };
    assert.equal(chooseToken(logitsOf(values, 0), cut, random), 1);
  }
  fc.assert(
    fc.property(logits, (values) => {
      const token = chooseToken(logitsOf(values, 0), { ...ALL, temperature: 0 }, 0.3);
      assert.ok(values[token]! >= Math.max(...values));
      assert.equal(values.indexOf(values[token]!), token);
    }),
    { seed: 3 },
  );
});

Deno.test("chooseToken() never draws what cannot be, also from the last sliver of random numbers", () => {
  const values = Float32Array.of(2, -Infinity, 1, -80, -Infinity);
  for (const choice of [ALL, { ...ALL, topP: 0.95 }, { ...ALL, minP: 0.01 }, { ...ALL, topK: 2 }]) {
    for (const random of [0, 0.5, 0.99, 1 - 2 ** -53]) {
      const exact = logitsOf(values, 1);
      // A device's sums may be too large by their rounding; the probabilities then sum to less than 1.
      for (const error of [0, 2e-6, 1e-4]) {
        const sums = exact.sums.map((sum) => sum * (1 + error));
        const token = chooseToken({ ...exact, sums }, choice, random);
        assert.ok(token === 0 || token === 2, `${JSON.stringify(choice)}, ${random}: ${token}`);
      }
    }
  }
});

Deno.test("chooseToken() keeps the only token there is under any options", () => {
  fc.assert(
    fc.property(options, fc.double({ min: 0, max: 0.999, noNaN: true }), (choice, random) => {
      assert.equal(chooseToken(logitsOf([3], choice.temperature), choice, random), 0);
    }),
    { seed: 4 },
  );
});

Deno.test("chooseToken() refuses logits that are not finite", () => {
  for (const broken of [NaN, Infinity]) {
    for (const temperature of [0, 1]) {
      assert.throws(
        () => chooseToken(logitsOf([1, broken, 2], temperature), { ...ALL, temperature }, 0.5),
        { name: "RangeError", message: /^Cannot choose a token as logits must be finite: / },
      );
    }
  }
});

Deno.test("chooseToken() finds in blocks what it finds in one", () => {
  const random = randomStream(13, "blocks");
  const values = new Float32Array(640).map(() => Math.fround(8 * random.next()));
  const choices: ChoiceOptions[] = [
    ALL,
    { ...ALL, temperature: 0 },
    { ...ALL, temperature: 0.7, topP: 0.9 },
    { ...ALL, topK: 40 },
    { ...ALL, minP: 0.2 },
  ];
  for (const choice of choices) {
    const { temperature } = choice;
    const blocks = logitsOf(values, temperature);
    assert.equal(blocks.maxima.length, 5);
    const whole = {
      values,
      maxima: Float32Array.of(Math.max(...blocks.maxima)),
      sums: Float32Array.of(blocks.sums.reduce((a, b) => a + b)),
    };
    for (let draw = 0; draw < 200; draw++) {
      const at = (draw + 0.5) / 200;
      assert.equal(chooseToken(blocks, choice, at), chooseToken(whole, choice, at));
    }
  }
});
