import assert from "node:assert/strict";
import { interpret, type Primitive, ProgramBuilder, type Value } from "../../graph/mod.ts";

/** Rounding of a few float64 operations on numbers of order one. */
const TOLERANCE = 1e-12;

type Graph = ProgramBuilder;

/** What a primitive computes, and the numbers worked by hand. */
type ByHand = readonly [(g: Graph) => Value | readonly Value[], readonly number[]];

const row = (g: Graph, ...data: number[]): Value => g.constant(data, [data.length]);
const rows = (g: Graph, ...data: number[][]): Value =>
  g.constant(data.flat(), [data.length, data[0]!.length]);
const ints = (g: Graph, ...data: number[]): Value => g.constant(data, [data.length], "int32");
const pairs = (g: Graph, ...data: number[][]): Value =>
  g.constant(data.flat(), [data.length, data[0]!.length], "int32");
const bools = (g: Graph, ...data: number[]): Value => g.constant(data, [data.length], "bool");
/** One value per time step, for one row, one head and a head of one number. */
const times = (g: Graph, ...data: number[]): Value => g.constant(data, [1, data.length, 1, 1]);

const ln3 = Math.log(3);

const byHand: { readonly [P in Primitive]: readonly ByHand[] } = {
  constant: [[(g) => rows(g, [1, 2], [3, 4]), [1, 2, 3, 4]]],
  iota: [
    [(g) => g.iota([2, 3], 0), [0, 0, 0, 1, 1, 1]],
    [(g) => g.iota([2, 3], 1), [0, 1, 2, 0, 1, 2]],
  ],
  neg: [[(g) => g.neg(row(g, 1, -2)), [-1, 2]]],
  abs: [[(g) => g.abs(row(g, 1, -2)), [1, 2]]],
  exp: [[(g) => g.exp(row(g, 0, ln3)), [1, 3]]],
  log: [[(g) => g.log(row(g, 1, Math.E)), [0, 1]]],
  sqrt: [[(g) => g.sqrt(row(g, 9, 2.25)), [3, 1.5]]],
  tanh: [[(g) => g.tanh(row(g, 0, ln3)), [0, 0.8]]], // (9 − 1) / (9 + 1)
  erf: [[(g) => g.erf(row(g, 0, 1, -4)), [0, 0.8427007929497149, -0.9999999845827421]]],
  sin: [[(g) => g.sin(row(g, 0, Math.PI / 6)), [0, 0.5]]],
  cos: [[(g) => g.cos(row(g, 0, Math.PI / 3)), [1, 0.5]]],
  sigmoid: [[(g) => g.sigmoid(row(g, 0, ln3, -800)), [0.5, 0.75, 0]]],
  softplus: [[(g) => g.softplus(row(g, 0, 800, -800)), [Math.LN2, 800, 0]]],
  add: [[(g) => g.add(rows(g, [1], [2]), row(g, 10, 20)), [11, 21, 12, 22]]],
  sub: [[(g) => g.sub(row(g, 1, 2), g.constant(3)), [-2, -1]]],
  mul: [[(g) => g.mul(row(g, 1, 2), row(g, 3, 4)), [3, 8]]],
  div: [
    [(g) => g.div(row(g, 1, 3), g.constant(2)), [0.5, 1.5]],
    [(g) => g.div(ints(g, 7, 6), ints(g, 2, 3)), [3, 2]],
  ],
  maximum: [[(g) => g.maximum(row(g, 1, 5), row(g, 3, 4)), [3, 5]]],
  minimum: [[(g) => g.minimum(row(g, 1, 5), row(g, 3, 4)), [1, 4]]],
  less: [[(g) => g.less(row(g, 1, 3, 5), g.constant(3)), [1, 0, 0]]],
  equal: [[(g) => g.equal(ints(g, 1, 3, 5), g.constant(3, [], "int32")), [0, 1, 0]]],
  logicalAnd: [[(g) => g.logicalAnd(bools(g, 0, 0, 1, 1), bools(g, 0, 1, 0, 1)), [0, 0, 0, 1]]],
  logicalOr: [[(g) => g.logicalOr(bools(g, 0, 0, 1, 1), bools(g, 0, 1, 0, 1)), [0, 1, 1, 1]]],
  logicalNot: [[(g) => g.logicalNot(bools(g, 0, 1)), [1, 0]]],
  select: [[(g) => g.select(bools(g, 1, 0), row(g, 1, 2), g.constant(9)), [1, 9]]],
  cast: [
    [(g) => g.cast(row(g, 2.7, -2.7), "int32"), [2, -2]],
    [(g) => g.cast(ints(g, 0, 3), "bool"), [0, 1]],
    [(g) => g.cast(bools(g, 0, 1), "float32"), [0, 1]],
  ],
  stopGradient: [[(g) => g.stopGradient(row(g, 1, 2)), [1, 2]]],
  broadcast: [[(g) => g.broadcast(rows(g, [1], [2]), [2, 2]), [1, 1, 2, 2]]],
  reshape: [[(g) => g.reshape(rows(g, [1, 2], [3, 4]), [4]), [1, 2, 3, 4]]],
  transpose: [[(g) => g.transpose(rows(g, [1, 2], [3, 4]), [1, 0]), [1, 3, 2, 4]]],
  slice: [[(g) => g.slice(rows(g, [1, 2, 3], [4, 5, 6]), 1, 1, 3), [2, 3, 5, 6]]],
  pad: [[(g) => g.pad(rows(g, [1], [2]), 1, 1, 2), [0, 1, 0, 0, 0, 2, 0, 0]]],
  concat: [[(g) => g.concat([rows(g, [1], [2]), rows(g, [3, 4], [5, 6])], 1), [1, 3, 4, 2, 5, 6]]],
  reduceSum: [
    [(g) => g.reduceSum(rows(g, [1, 2], [3, 4])), [10]],
    [(g) => g.reduceSum(rows(g, [1, 2], [3, 4]), [0]), [4, 6]],
  ],
  reduceMax: [[(g) => g.reduceMax(rows(g, [1, 2], [4, -3]), [1], true), [2, 4]]],
  softmax: [[(g) => g.softmax(rows(g, [0, ln3], [-1e30, 800])), [0.25, 0.75, 0, 1]]],
  logSumExp: [[(g) => g.logSumExp(rows(g, [0, ln3], [800, 800])), [Math.log(4), 800 + Math.LN2]]],
  matmul: [
    [(g) => g.matmul(rows(g, [1, 2], [3, 4]), rows(g, [5, 6], [7, 8])), [19, 22, 43, 50]],
    [
      (g) => g.matmul(rows(g, [1, 2], [3, 4]), rows(g, [5, 6], [7, 8]), { transposeB: true }),
      [17, 23, 39, 53],
    ],
    [
      (g) => g.matmul(rows(g, [1, 2], [3, 4]), rows(g, [5, 6], [7, 8]), { transposeA: true }),
      [26, 30, 38, 44],
    ],
  ],
  gather: [[(g) => g.gather(rows(g, [1, 2], [3, 4]), ints(g, 1, 1, 0)), [3, 4, 3, 4, 1, 2]]],
  scatterAdd: [[(g) => g.scatterAdd(row(g, 1, 2, 3), ints(g, 2, 0, 2), 3), [2, 0, 4]]],
  // The root mean square of 3 and 4 is 5/√2.
  rmsNorm: [[
    (g) => g.rmsNorm(row(g, 3, 4), row(g, 1, 2), 0),
    [3 * Math.SQRT2 / 5, 8 * Math.SQRT2 / 5],
  ]],
  layerNorm: [[(g) => g.layerNorm(row(g, 1, 3), row(g, 1, 1), row(g, 0, 1), 0), [-1, 2]]],
  // A quarter turn takes (1, 2) to (−2, 1).
  rotary: [[
    (g) =>
      g.rotary(
        g.constant([1, 2], [1, 1, 1, 2]),
        g.constant([0], [1, 1, 1]),
        g.constant([1], [1, 1, 1]),
      ),
    [-2, 1],
  ]],
  gatedSilu: [[(g) => g.gatedSilu(row(g, 0, ln3), row(g, 5, 2)), [0, 1.5 * ln3]]],
  gelu: [
    [(g) => g.gelu(row(g, 0, 1)), [0, 0.8413447460685429]], // Φ(1)
    [(g) => g.gelu(row(g, 0, 1), "tanh"), [0, 0.8411919906082768]],
  ],
  linear: [
    [(g) => g.linear(rows(g, [1, 2]), rows(g, [1, 0], [0, 1], [1, 1])), [1, 2, 3]],
    [
      (g) =>
        g.linear(rows(g, [1, 2]), rows(g, [1, 0], [0, 1], [1, 1]), {
          bias: row(g, 1, 1, 1),
          lora: { a: rows(g, [1, 1]), b: rows(g, [1], [0], [-1]), scale: 2 },
        }),
      [8, 3, -2],
    ],
  ],
  // Logits 0 and ln 3 have the probabilities ¼ and ¾.
  tokenLogProb: [
    [
      (g) => g.tokenLogProb(rows(g, [1], [1]), rows(g, [0], [ln3]), ints(g, 1, 0)),
      [Math.log(0.75), Math.log(0.25)],
    ],
    [
      (g) => g.tokenLogProb(rows(g, [1], [1]), rows(g, [0], [ln3]), ints(g, 1, 0), { chunks: 2 }),
      [Math.log(0.75), Math.log(0.25)],
    ],
    // 2 ln 3 · tanh(½ ln 3) = ln 3, as tanh(½ ln 3) = ½.
    [
      (g) =>
        g.tokenLogProb(rows(g, [ln3], [ln3]), rows(g, [0], [ln3]), ints(g, 1, 0), {
          logitCap: 2 * ln3,
        }),
      [Math.log(0.75), Math.log(0.25)],
    ],
  ],
  regroup: [
    [
      (g) =>
        g.regroup(
          rows(g, [1, 2], [3, 4]),
          pairs(g, [1, -1], [0, 1], [-1, -1]),
          pairs(g, [1, -1], [0, 1]),
        ),
      [3, 4, 4, 6, 0, 0],
    ],
  ],
  // A query of zero weighs what it sees evenly.
  attention: [
    [
      (g) =>
        g.attention(times(g, 0, 0, 0), times(g, 1, 2, 3), times(g, 3, 5, 10), {
          scale: 1,
          mask: { kind: "causal" },
        }),
      [3, 4, 6],
    ],
    [
      (g) =>
        g.attention(times(g, 0, 0, 0), times(g, 1, 2, 3), times(g, 3, 5, 10), {
          scale: 1,
          mask: { kind: "causal", window: 2 },
        }),
      [3, 4, 7.5],
    ],
    [
      (g) =>
        g.attention(times(g, 0, ln3), times(g, 0, 1), times(g, 4, 8), {
          scale: 1,
          mask: { kind: "bidirectional" },
        }),
      [6, 7],
    ],
    [
      (g) =>
        g.attention(times(g, 0, ln3), times(g, 0, ln3), times(g, 4, 8), {
          scale: 1,
          scoreCap: 2 * ln3,
          mask: { kind: "bidirectional" },
        }),
      [6, 7],
    ],
    [
      (g) =>
        g.attention(times(g, 0, 0), times(g, 1, 2), times(g, 3, 5), {
          scale: 1,
          mask: { kind: "causal", window: 1 },
          lengths: ints(g, 1),
        }),
      [3, 0], // the second query sees nothing
    ],
    [
      // A prompt of one token and two continuations of one token each.
      (g) =>
        g.attention(times(g, 0, 0, 0), times(g, 1, 2, 3), times(g, 3, 5, 10), {
          scale: 1,
          mask: { kind: "tree" },
          segments: g.constant([0, 1, 2], [1, 3], "int32"),
          parents: g.constant([-1, 0, 0], [1, 3], "int32"),
        }),
      [3, 4, 6.5],
    ],
    [
      (g) =>
        g.attention(times(g, 0), times(g, 1, 2), times(g, 4, 8), {
          scale: 1,
          mask: { kind: "bidirectional" },
          bias: g.constant([0, ln3], [1, 1, 1, 2]),
        }),
      [7],
    ],
  ],
  cachedAttention: [[
    (g) => {
      const cache = (...data: number[]) => g.constant(data, [1, 1, data.length, 1]);
      const { output, keys, values } = g.cachedAttention({
        query: times(g, 0),
        key: times(g, 7),
        value: times(g, 5),
        keys: cache(1, 2, 3),
        values: cache(3, 0, 9),
        past: ints(g, 1),
        count: ints(g, 1),
      }, { scale: 1 });
      return [output, keys, values];
    },
    [4, 1, 7, 3, 3, 5, 9],
  ]],
};

for (const [primitive, list] of Object.entries(byHand)) {
  list.forEach(([build, expected], index) => {
    Deno.test(`interpret() computes ${primitive} as by hand, ${index + 1}`, () => {
      const g = new ProgramBuilder(primitive);
      const results = [build(g)].flat() as Value[];
      results.forEach((result, at) => g.output(String(at), result));
      const { outputs } = interpret(g.build());
      const numbers = results.flatMap((_, at) => [...outputs[String(at)]!.data]);
      assert.equal(numbers.length, expected.length);
      numbers.forEach((number, at) => {
        const error = Math.abs(number - expected[at]!);
        assert.ok(error <= TOLERANCE, `${number} is not ${expected[at]}`);
      });
    });
  });
}
