/**
 * The loss of a two-layer Llama with LoRA on every linear layer, small enough for the interpreter.
 *
 * @module
 */

import { type HostTensor, type Program, ProgramBuilder, type Value } from "../../graph/mod.ts";
import { randomNumbers } from "./_cases.ts";

const LAYERS = 2;
const HIDDEN = 16;
const HEADS = 4;
const KEY_HEADS = 2;
const HEAD = HIDDEN / HEADS;
const INNER = 24;
const VOCABULARY = 11;
const RANK = 2;

const LINEAR: Readonly<Record<string, readonly [outputs: number, inputs: number]>> = {
  q: [HIDDEN, HIDDEN],
  k: [KEY_HEADS * HEAD, HIDDEN],
  v: [KEY_HEADS * HEAD, HIDDEN],
  o: [HIDDEN, HIDDEN],
  gate: [INNER, HIDDEN],
  up: [INNER, HIDDEN],
  down: [HIDDEN, INNER],
};

const layers = Array.from({ length: LAYERS }, (_, layer) => layer);

/** Shapes of the tensors by scope and name. */
function shapes(): Record<"base" | "adapter", Record<string, readonly number[]>> {
  const base: Record<string, readonly number[]> = {
    embedding: [VOCABULARY, HIDDEN],
    norm: [HIDDEN],
  };
  const adapter: Record<string, readonly number[]> = {};
  for (const layer of layers) {
    base[`${layer}.norm1`] = base[`${layer}.norm2`] = [HIDDEN];
    for (const [name, [outputs, inputs]] of Object.entries(LINEAR)) {
      base[`${layer}.${name}`] = [outputs, inputs];
      adapter[`${layer}.${name}.a`] = [RANK, inputs];
      adapter[`${layer}.${name}.b`] = [outputs, RANK];
    }
  }
  return { base, adapter };
}

/** The adapter's tensors, a norm and the embedding. */
export const tinyTrainable: readonly { readonly scope: string; readonly name: string }[] = [
  ...Object.keys(shapes().adapter).map((name) => ({ scope: "adapter", name })),
  { scope: "base", name: "norm" },
  { scope: "base", name: "embedding" },
];

/** Weights of order 1/√inputs, float32 numbers. */
export function tinyStores(seed: number): Record<string, Record<string, HostTensor>> {
  const random = randomNumbers(seed);
  const fill = (scope: Record<string, readonly number[]>) =>
    Object.fromEntries(
      Object.entries(scope).map(([name, shape]) => {
        const count = shape.reduce((a, b) => a * b, 1);
        const [scale, shift] = shape.length === 1 ? [0.2, 1] : [2 / Math.sqrt(shape[1]!), 0];
        const data = Float32Array.from(
          { length: count },
          () => shift + scale * (2 * random() - 1),
        );
        return [name, { shape, data }];
      }),
    );
  const { base, adapter } = shapes();
  return { base: fill(base), adapter: fill(adapter) };
}

/** Token ids, targets, weights (the first token of a row has none) and angles. */
export function tinyInputs(batch: number, time: number): Record<string, HostTensor> {
  const random = randomNumbers(batch * 100 + time);
  const ids = (count: number) =>
    Int32Array.from({ length: count }, () => Math.floor(VOCABULARY * random()));
  const half = HEAD / 2;
  const angles = (f: (x: number) => number) => ({
    shape: [batch, time, half],
    data: Float32Array.from(
      { length: batch * time * half },
      (_, at) => f((Math.floor(at / half) % time) / 100 ** ((at % half) / half)),
    ),
  });
  const count = batch * time;
  return {
    ids: { shape: [batch, time], data: ids(count) },
    targets: { shape: [count], data: ids(count) },
    weights: {
      shape: [count],
      data: Float32Array.from({ length: count }, (_, at) => at % time === 0 ? 0 : random()),
    },
    cos: angles(Math.cos),
    sin: angles(Math.sin),
  };
}

/** −Σ weight · log p(target); `chunks` over the vocabulary. */
export function tinyLlama({ chunks }: { readonly chunks: number }): Program {
  const g = new ProgramBuilder("tiny Llama");
  const shape = shapes();
  const base = (name: string): Value => g.parameter("base", name, shape.base[name]!);
  const linear = (x: Value, name: string): Value =>
    g.linear(x, base(name), {
      lora: {
        a: g.parameter("adapter", `${name}.a`, shape.adapter[`${name}.a`]!),
        b: g.parameter("adapter", `${name}.b`, shape.adapter[`${name}.b`]!),
        scale: 2,
      },
    });
  const ids = g.input("ids", "int32", ["batch", "time"]);
  const targets = g.input("targets", "int32", ["batch*time"]);
  const weights = g.input("weights", "float32", ["batch*time"]);
  const cos = g.input("cos", "float32", ["batch", "time", HEAD / 2]);
  const sin = g.input("sin", "float32", ["batch", "time", HEAD / 2]);
  let x = g.gather(base("embedding"), ids);
  for (const layer of layers) {
    const normed = g.rmsNorm(x, base(`${layer}.norm1`), 1e-5);
    const heads = (name: string, count: number): Value =>
      g.reshape(linear(normed, `${layer}.${name}`), ["batch", "time", count, HEAD]);
    const attended = g.attention(
      g.rotary(heads("q", HEADS), cos, sin),
      g.rotary(heads("k", KEY_HEADS), cos, sin),
      heads("v", KEY_HEADS),
      { scale: 1 / Math.sqrt(HEAD), mask: { kind: "causal" } },
    );
    x = g.add(x, linear(g.reshape(attended, ["batch", "time", HIDDEN]), `${layer}.o`));
    const second = g.rmsNorm(x, base(`${layer}.norm2`), 1e-5);
    const gated = g.gatedSilu(linear(second, `${layer}.gate`), linear(second, `${layer}.up`));
    x = g.add(x, linear(gated, `${layer}.down`));
  }
  const hidden = g.reshape(g.rmsNorm(x, base("norm"), 1e-5), ["batch*time", HIDDEN]);
  const logProbs = g.tokenLogProb(hidden, base("embedding"), targets, { chunks });
  g.output("log_probs", logProbs);
  g.output("loss", g.neg(g.reduceSum(g.mul(logProbs, weights))));
  return g.build();
}
