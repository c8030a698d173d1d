/**
 * Cases of every primitive: operands, attributes and sizes, shared by the tests of gradients and by
 * the conformance suite of the backends.
 *
 * @module
 */

import {
  type Attributes,
  type CompositePrimitive,
  type DType,
  evaluateShape,
  type GivenTensor,
  type Mask,
  type None,
  type Primitive,
  type Program,
  ProgramBuilder,
  type Shape,
  type SimplePrimitive,
  type Sizes,
  type Value,
} from "../../graph/mod.ts";

/** Numbers in [0, 1) from a seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An operand of a case; `element` makes its numbers one after the other. */
export interface Operand {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly element: (random: () => number, index: number, sizes: Sizes) => number;
}

/** One equation with its operands. */
export interface PrimitiveCase<A> {
  readonly name: string;
  readonly operands: readonly Operand[];
  readonly attributes: A;
  /** Each is run with the same executable. */
  readonly sizes: readonly Sizes[];
  /** Hides what the primitive leaves undefined. */
  readonly mask?: (
    g: ProgramBuilder,
    operands: readonly Value[],
    results: readonly Value[],
  ) => readonly Value[];
}

const SIZES: readonly Sizes[] = [{ b: 2, t: 3 }, { b: 1, t: 5 }];

/** float32 in [low, high). */
function float(shape: Shape, low = -2, high = 2): Operand {
  return { dtype: "float32", shape, element: (random) => low + (high - low) * random() };
}
/** int32 in [low, high). */
function int(shape: Shape, high: number, low = 0): Operand {
  return {
    dtype: "int32",
    shape,
    element: (random) => low + Math.floor((high - low) * random()),
  };
}
function bool(shape: Shape): Operand {
  return { dtype: "bool", shape, element: (random) => random() < 0.5 ? 0 : 1 };
}
/** int32 by position. */
function given(shape: Shape, element: (index: number, sizes: Sizes) => number): Operand {
  return { dtype: "int32", shape, element: (_, index, sizes) => element(index, sizes) };
}

function of<A>(
  name: string,
  operands: readonly Operand[],
  attributes: A,
  more: Partial<PrimitiveCase<A>> = {},
): PrimitiveCase<A> {
  return { name, operands, attributes, sizes: SIZES, ...more };
}

function unary(low = -2, high = 2): readonly PrimitiveCase<None>[] {
  return [
    of("scalar", [float([], low, high)], {}),
    of("matrix", [float(["b", 5], low, high)], {}),
    of("four axes", [float(["b", "t", 2, 3], low, high)], {}),
  ];
}

function binary(low = -2, high = 2): readonly PrimitiveCase<None>[] {
  return [
    of("equal shapes", [float(["b", 3]), float(["b", 3], low, high)], {}),
    of("a row", [float(["b", "t", 3]), float([3], low, high)], {}),
    of("a column under a row", [float(["b", 1]), float(["t"], low, high)], {}),
    of("a scalar first", [float([]), float(["b", "t"], low, high)], {}),
    of("inner axis of one", [float(["b", "t", 1, 2]), float(["b", 1, 3, 2], low, high)], {}),
    of("integers", [int(["b", "t"], 9), int(["t"], 5, 1)], {}),
  ];
}

function logical(count: number): readonly PrimitiveCase<None>[] {
  const operands = [bool(["b", "t"]), bool(["t"])].slice(0, count);
  return [of("truth values", operands, {})];
}

function reduction(): readonly PrimitiveCase<Attributes["reduceSum"]>[] {
  return [
    of("the last axis", [float(["b", "t", 3])], { axes: [2], keepDims: false }),
    of("the first axis, kept", [float(["b", "t", 3])], { axes: [0], keepDims: true }),
    of("outer and inner", [float(["b", "t", 2, 3])], { axes: [0, 2], keepDims: false }),
    of("all", [float(["b", 3])], { axes: [0, 1], keepDims: false }),
    of("an axis of one", [float(["b", 1])], { axes: [1], keepDims: true }),
  ];
}

function matmuls(): readonly PrimitiveCase<Attributes["matmul"]>[] {
  const cases: PrimitiveCase<Attributes["matmul"]>[] = [];
  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      const attributes = { transposeA, transposeB };
      const a = transposeA ? [4, "t"] : ["t", 4];
      const b = transposeB ? [3, 4] : [4, 3];
      const flags = `${transposeA ? "aᵀ" : "a"} ${transposeB ? "bᵀ" : "b"}`;
      const add = (name: string, left: Shape, right: Shape) =>
        cases.push(of(`${flags}, ${name}`, [float(left), float(right)], attributes));
      add("matrices", a, b);
      add("a batch by a matrix", ["b", ...a], b);
      add("two leading axes", ["b", 2, ...a], ["b", 2, ...b]);
      add("a shared first operand", a, ["b", ...b]);
      add("a leading axis of one", ["b", 2, ...a], [1, 2, ...b]);
    }
  }
  return cases;
}

const query: Operand = float(["b", "t", 4, 8]);
const keyOrValue: Operand = float(["b", "t", 2, 8]);
const lengths = given(["b"], (index, { t }) => index === 0 ? t! : Math.max(1, t! - 2));

function attention(
  name: string,
  mask: Mask,
  { extra = [], lengths = false, bias = false, scoreCap, operands }: {
    readonly extra?: readonly Operand[];
    readonly scoreCap?: number;
    readonly lengths?: boolean;
    readonly bias?: boolean;
    readonly operands?: readonly Operand[];
  } = {},
): PrimitiveCase<Attributes["attention"]> {
  return of(
    name,
    [...(operands ?? [query, keyOrValue, keyOrValue]), ...extra],
    { scale: 0.35, ...(scoreCap === undefined ? {} : { scoreCap }), mask, lengths, bias },
  );
}

/** Per row: a prompt, then two continuations of it beside each other. */
const segments = given(["b", "t"], (index, { t }) => {
  const at = index % t!;
  return at < 2 ? 0 : at < 4 ? 1 : 2;
});
const parents = given(["b", "t"], (index, { t }) => index % t! < 2 ? -1 : 0);

const CAPACITY = 6;

function cached(
  name: string,
  time: number | "t",
  past: Operand,
  count: Operand,
  more: Omit<Attributes["cachedAttention"], "scale"> = {},
): PrimitiveCase<Attributes["cachedAttention"]> {
  const fresh = float(["b", time, 2, 8]);
  const cache = float(["b", 2, CAPACITY, 8]);
  return of<Attributes["cachedAttention"]>(
    name,
    [float(["b", time, 4, 8]), fresh, fresh, cache, cache, past, count],
    { scale: 0.35, ...more },
    {
      mask(g, operands, [output, keys, values]) {
        const past = g.reshape(operands[5]!, ["b", 1, 1, 1]);
        const count = g.reshape(operands[6]!, ["b", 1, 1, 1]);
        const real = g.less(g.iota([time, 1, 1], 0), count);
        const filled = g.less(g.iota([CAPACITY, 1], 0), g.add(past, count));
        return [
          g.select(real, output!, g.constant(0)),
          g.select(filled, keys!, g.constant(0)),
          g.select(filled, values!, g.constant(0)),
        ];
      },
    },
  );
}

type Cases = { readonly [P in Primitive]: readonly PrimitiveCase<Attributes[P]>[] };

const simpleCases: Pick<Cases, SimplePrimitive> = {
  constant: [
    of("a matrix", [], { dtype: "float32", shape: [2, 2], data: [1.5, -2, 0, 1e-3] }),
    of("integers", [], { dtype: "int32", shape: [3], data: [-1, 0, 7] }),
    of("a truth value", [], { dtype: "bool", shape: [], data: [1] }),
  ],
  iota: [
    of("of known size", [], { shape: [2, 3], axis: 1 }),
    of("of a named size", [int(["b", "t"], 2)], { shape: ["b", "t"], axis: 1 }),
    of("along a named axis", [int(["b", "t"], 2)], { shape: ["t", 1], axis: 0 }),
  ],
  neg: unary(),
  abs: unary(),
  exp: unary(),
  log: unary(0.2, 3),
  sqrt: unary(0.2, 3),
  tanh: unary(),
  erf: unary(-4, 4),
  sin: unary(),
  cos: unary(),
  sigmoid: [...unary(), of("far from zero", [float(["b", 7], -100, 100)], {})],
  softplus: [...unary(), of("far from zero", [float(["b", 7], -100, 100)], {})],
  add: binary(),
  sub: binary(),
  mul: binary(),
  div: binary(0.5, 2),
  maximum: binary(),
  minimum: binary(),
  less: binary(),
  equal: [...binary(), of("ties", [int(["b", "t"], 2), int(["b", "t"], 2)], {})],
  logicalAnd: logical(2),
  logicalOr: logical(2),
  logicalNot: logical(1),
  select: [
    of("equal shapes", [bool(["b", 3]), float(["b", 3]), float(["b", 3])], {}),
    of("broadcast", [bool(["t", 1]), float([]), float(["b", 1, 3])], {}),
    of("integers", [bool(["b", "t"]), int(["b", "t"], 9), int(["t"], 9)], {}),
  ],
  cast: [
    of("to the same type", [float(["b", 3])], { dtype: "float32" }),
    of("float32 to int32", [float(["b", 3], -5, 5)], { dtype: "int32" }),
    of("int32 to float32", [int(["b", 3], 9, -9)], { dtype: "float32" }),
    of("int32 to bool", [int(["b", 3], 2)], { dtype: "bool" }),
    of("bool to float32", [bool(["b", 3])], { dtype: "float32" }),
    of("bool to int32", [bool(["b", 3])], { dtype: "int32" }),
  ],
  stopGradient: [of("a matrix", [float(["b", 3])], {})],
  broadcast: [
    of("an inner axis", [float(["b", 1])], { shape: ["b", 4] }),
    of("an outer axis", [float(["t", 3])], { shape: [2, "t", 3] }),
    of("a scalar", [float([])], { shape: [2, 3] }),
    of("integers", [int(["b", 1], 9)], { shape: ["b", 4] }),
  ],
  reshape: [
    of("merged", [float(["b", "t", 4])], { shape: ["b*t", 4] }),
    of("split", [float(["b", "t", 6])], { shape: ["b", "t", 2, 3] }),
    of("to one axis", [float(["b", "t", 2])], { shape: ["2*b*t"] }),
    of("with an axis of one", [float(["b", "t"])], { shape: ["b", 1, "t", 1] }),
    of("integers", [int(["b", "t"], 9)], { shape: ["b*t"] }),
  ],
  transpose: [
    of("a matrix", [float(["b", 3])], { permutation: [1, 0] }),
    of("three axes", [float(["b", "t", 3])], { permutation: [2, 0, 1] }),
    of("heads", [float(["b", "t", 2, 3])], { permutation: [0, 2, 1, 3] }),
    of("integers", [int(["b", "t"], 9)], { permutation: [1, 0] }),
  ],
  slice: [
    of("the last axis", [float(["b", "t", 6])], { axis: 2, start: 1, end: 4 }),
    of("the first axis", [float([5, "t"])], { axis: 0, start: 4, end: 5 }),
    of("integers", [int(["b", 5], 9)], { axis: 1, start: 0, end: 3 }),
  ],
  pad: [
    of("the last axis", [float(["b", "t", 3])], { axis: 2, before: 1, after: 2 }),
    of("the first axis", [float([2, "t"])], { axis: 0, before: 0, after: 1 }),
    of("integers", [int(["b", 3], 9, 1)], { axis: 1, before: 2, after: 0 }),
  ],
  concat: [
    of("the last axis", [float(["b", 2]), float(["b", 1]), float(["b", 3])], { axis: 1 }),
    of("a middle axis", [float(["b", 2, "t"]), float(["b", 1, "t"])], { axis: 1 }),
    of("one operand", [float(["b", 2])], { axis: 1 }),
    of("integers", [int(["b", 2], 9), int(["b", 1], 9)], { axis: 1 }),
  ],
  reduceSum: reduction(),
  reduceMax: reduction(),
  softmax: [
    of("a vector", [float([5])], {}),
    of("over a named axis", [float(["b", 2, "t"])], {}),
    of("an axis of one", [float(["b", 1])], {}),
    of("far from zero", [float(["b", 7], -800, 800)], {}),
  ],
  logSumExp: [
    of("a vector", [float([5])], {}),
    of("over a named axis", [float(["b", 2, "t"])], {}),
    of("an axis of one", [float(["b", 1])], {}),
    of("far from zero", [float(["b", 7], -800, 800)], {}),
  ],
  matmul: matmuls(),
  gather: [
    of("rows", [float([5, 3]), int(["b", "t"], 5)], {}),
    of("numbers", [float([5]), int(["b"], 5)], {}),
    of("one row", [float([5, 3]), int([], 5)], {}),
    of("integers", [int([5, 2], 9), int(["b"], 5)], {}),
  ],
  scatterAdd: [
    of("rows, some repeated", [float(["t", 3]), int(["t"], 2)], { size: 4 }),
    of("two index axes", [float(["b", "t", 3]), int(["b", "t"], 5)], { size: 5 }),
    of("numbers", [float(["t"]), int(["t"], 3)], { size: 3 }),
  ],
};

const neighbours = given(["t", 2], (index, { t }) => {
  const row = Math.floor(index / 2) + (index % 2 === 0 ? -1 : 1);
  return row < t! ? row : -1;
});
const backwards = given(["t", 1], (index, { t }) => t! - 1 - index);

const compositeCases: Pick<Cases, CompositePrimitive> = {
  rmsNorm: [
    of("three axes", [float(["b", "t", 8]), float([8])], { epsilon: 1e-5 }),
    of("two axes, a large ε", [float(["b", 3]), float([3])], { epsilon: 0.1 }),
    of("heads", [float(["b", "t", 2, 4]), float([4])], { epsilon: 1e-6 }),
  ],
  layerNorm: [
    of("three axes", [float(["b", "t", 8]), float([8]), float([8])], { epsilon: 1e-5 }),
    of("two axes, a large ε", [float(["b", 3]), float([3]), float([3])], { epsilon: 0.1 }),
  ],
  rotary: [
    of("heads", [float(["b", "t", 2, 8]), float(["b", "t", 4]), float(["b", "t", 4])], {}),
    of("a head of two", [float(["b", "t", 1, 2]), float(["b", "t", 1]), float(["b", "t", 1])], {}),
  ],
  gatedSilu: [of("three axes", [float(["b", "t", 5]), float(["b", "t", 5])], {})],
  gelu: [
    of("exact", [float(["b", "t", 5])], { approximation: "none" }),
    of("by tanh", [float(["b", "t", 5])], { approximation: "tanh" }),
  ],
  linear: [
    of("plain", [float(["b", "t", 4]), float([5, 4])], { bias: false }),
    of("two axes", [float(["b", 4]), float([5, 4])], { bias: false }),
    of("bias", [float(["b", "t", 4]), float([5, 4]), float([5])], { bias: true }),
    of("LoRA", [float(["b", "t", 4]), float([5, 4]), float([2, 4]), float([5, 2])], {
      bias: false,
      lora: { scale: 0.5 },
    }),
    of(
      "bias and LoRA",
      [float(["b", "t", 4]), float([5, 4]), float([5]), float([2, 4]), float([5, 2])],
      { bias: true, lora: { scale: 2 } },
    ),
  ],
  tokenLogProb: [undefined, 1.5].flatMap((logitCap) =>
    [1, 3, 7].map((chunks) =>
      of<Attributes["tokenLogProb"]>(
        `chunks: ${chunks}${logitCap === undefined ? "" : `, logits within ${logitCap}`}`,
        [float(["t", 4]), float([7, 4]), int(["t"], 7)],
        { chunks, ...(logitCap === undefined ? {} : { logitCap }) },
      )
    )
  ),
  regroup: [
    // Row m takes m − 1 and m + 1, so the transpose is the same.
    of("neighbours", [float(["t", 3]), neighbours, neighbours], {}),
    of("one row each, turned round", [float(["t", 2, 2]), backwards, backwards], {}),
    of("numbers that all go to two rows", [
      float(["t"]),
      given([2, "t"], (index, { t }) => index % t!),
      given(["t", 2], (index) => index % 2),
    ], {}),
    of("rows of which some are dropped", [
      float(["t", 3]),
      given([2, 1], (index) => index),
      given(["t", 1], (index) => index < 2 ? index : -1),
    ], {}),
  ],
  attention: [
    attention("causal", { kind: "causal" }),
    attention("window", { kind: "causal", window: 2 }),
    attention("bidirectional", { kind: "bidirectional" }),
    attention("causal with lengths", { kind: "causal" }, { lengths: true, extra: [lengths] }),
    attention("window with lengths that leave a query blind", { kind: "causal", window: 1 }, {
      lengths: true,
      extra: [lengths],
    }),
    attention("bidirectional with lengths, one of them zero", { kind: "bidirectional" }, {
      lengths: true,
      extra: [given(["b"], (index, { t }) => index === 0 ? t! - 1 : 0)],
    }),
    attention("tree", { kind: "tree" }, { extra: [segments, parents] }),
    attention("tree with lengths", { kind: "tree" }, {
      lengths: true,
      extra: [lengths, segments, parents],
    }),
    attention("one bias for all rows", { kind: "causal" }, {
      bias: true,
      extra: [float([1, 4, "t", "t"])],
    }),
    attention("a bias per row", { kind: "bidirectional" }, {
      bias: true,
      extra: [float(["b", 4, "t", "t"])],
    }),
    attention("one bias for all heads", { kind: "causal" }, {
      bias: true,
      extra: [float(["b", 1, "t", "t"])],
    }),
    attention("a head each", { kind: "causal" }, {
      operands: [float(["b", "t", 3, 2]), float(["b", "t", 3, 2]), float(["b", "t", 3, 2])],
    }),
    ...[["b", 3], [1, 3], ["b", 1], undefined].map((bias) =>
      attention(
        `an encoder's, one row empty, ${bias ? `a bias of ${bias.join(" and ")}` : "no bias"}`,
        { kind: "bidirectional" },
        {
          operands: [float(["b", "t", 3, 4]), float(["b", 7, 3, 4]), float(["b", 7, 3, 4])],
          lengths: true,
          bias: bias !== undefined,
          extra: [
            given(["b"], (index) => index === 0 ? 6 : 0),
            ...bias ? [float([...bias, "t", 7])] : [],
          ],
        },
      )
    ),
    // Scores of these operands reach 4.
    attention("capped", { kind: "causal" }, { scoreCap: 1.2 }),
    attention("capped in a window", { kind: "causal", window: 2 }, { scoreCap: 0.7 }),
    attention("capped tree", { kind: "tree" }, { scoreCap: 1.2, extra: [segments, parents] }),
    attention("capped, then a bias", { kind: "bidirectional" }, {
      scoreCap: 1.2,
      bias: true,
      extra: [float(["b", 4, "t", "t"])],
    }),
    attention("capped, an encoder's", { kind: "bidirectional" }, {
      scoreCap: 1.2,
      operands: [float(["b", "t", 3, 4]), float(["b", 7, 3, 4]), float(["b", 7, 3, 4])],
      lengths: true,
      extra: [given(["b"], (index) => index === 0 ? 6 : 0)],
    }),
    attention("one key head", { kind: "causal" }, {
      operands: [float(["b", "t", 3, 2]), float(["b", "t", 1, 2]), float(["b", "t", 1, 2])],
    }),
    attention("keys of another length", { kind: "bidirectional" }, {
      operands: [query, float(["b", 7, 2, 8]), float(["b", 7, 2, 8])],
    }),
  ],
  cachedAttention: [
    cached(
      "one token",
      1,
      given(["b"], (index) => index === 0 ? 0 : 4),
      given(["b"], () => 1),
    ),
    cached(
      "one token in a window",
      1,
      given(["b"], (index) => index === 0 ? 5 : 1),
      given(["b"], () => 1),
      { window: 2 },
    ),
    cached(
      "one token in a window, capped",
      1,
      given(["b"], (index) => index === 0 ? 5 : 1),
      given(["b"], () => 1),
      { window: 2, scoreCap: 0.7 },
    ),
    cached(
      "a ragged prefill",
      "t",
      given(["b"], () => 0),
      given(["b"], (index, { t }) => index === 0 ? t! : t! - 1),
    ),
    cached(
      "a prefill in a window",
      "t",
      given(["b"], () => 0),
      given(["b"], (index, { t }) => index === 0 ? t! : t! - 1),
      { window: 2 },
    ),
    cached(
      "a prefill, capped",
      "t",
      given(["b"], () => 0),
      given(["b"], (index, { t }) => index === 0 ? t! : t! - 1),
      { scoreCap: 1.2 },
    ),
    cached(
      "a prefill in a window, capped",
      "t",
      given(["b"], () => 0),
      given(["b"], (index, { t }) => index === 0 ? t! : t! - 1),
      { window: 2, scoreCap: 0.7 },
    ),
  ],
};

/** Cases of each primitive. */
export const cases: Cases = { ...simpleCases, ...compositeCases } as Cases;

/** A case of any primitive. */
export interface AnyCase {
  readonly primitive: Primitive;
  readonly case: PrimitiveCase<Attributes[Primitive]>;
}

/** All cases, in order. */
export function allCases(): AnyCase[] {
  return Object.entries(cases).flatMap(([primitive, list]) =>
    (list as readonly unknown[]).map((one) => ({
      primitive: primitive as Primitive,
      case: one as PrimitiveCase<Attributes[Primitive]>,
    }))
  );
}

/** Name of an operand's input. */
export function operandName(index: number): string {
  return `x${index}`;
}

/** Adds a case's operands as inputs, and its equation. */
export function buildCase(
  g: ProgramBuilder,
  { primitive, case: { operands, attributes, mask } }: AnyCase,
): { readonly operands: readonly Value[]; readonly results: readonly Value[] } {
  const values = operands.map(({ dtype, shape }, index) =>
    g.input(operandName(index), dtype, shape)
  );
  // The inputs of iota only name its sizes.
  const results = g.apply(primitive, primitive === "iota" ? [] : values, attributes);
  return { operands: values, results: mask?.(g, values, results) ?? results };
}

/** A program of one case, with outputs y0, y1 …. */
export function caseProgram(one: AnyCase): Program {
  const g = new ProgramBuilder(`${one.primitive}, ${one.case.name}`);
  const { results } = buildCase(g, one);
  results.forEach((result, index) => g.output(`y${index}`, result));
  return g.build();
}

/** Operands of a case at certain sizes; floats are float32 numbers. */
export function caseInputs(
  { case: { operands } }: AnyCase,
  sizes: Sizes,
  seed = 1,
): Record<string, GivenTensor & { readonly data: Float32Array | Int32Array }> {
  const random = randomNumbers(seed);
  return Object.fromEntries(operands.map(({ dtype, shape, element }, index) => {
    const own = evaluateShape(shape, sizes);
    const count = own.reduce((product, size) => product * size, 1);
    const numbers = Array.from({ length: count }, (_, at) => element(random, at, sizes));
    const data = dtype === "float32" ? Float32Array.from(numbers) : Int32Array.from(numbers);
    return [operandName(index), { shape: own, data }];
  }));
}
