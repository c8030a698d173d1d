/**
 * jax-js's side of `web_training.ts`: the step as one function under `jit`, on its WASM device.
 * Arguments: size, threads.
 *
 * jax-js has no gradient of look-ups by index, so embeddings are products with one-hot rows.
 *
 * @module
 */

import { JAX_JS } from "./_deps.ts";
import { serve } from "./_web_side.ts";
import {
  ADAM,
  oneHot,
  rotaryTables,
  ROWS,
  type SizeName,
  SIZES,
  texts,
  TIME,
  weightsOf,
} from "./_web_llama.ts";

/** An array of jax-js: using it as it is gives it up, `ref` keeps it. */
interface JaxArray {
  readonly ref: JaxArray;
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray | number): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  div(other: JaxArray | number): JaxArray;
  neg(): JaxArray;
  sum(axis?: number | readonly number[]): JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  transpose(axes?: readonly number[]): JaxArray;
  data(): Promise<Float32Array>;
}
type Tree = Record<string, JaxArray>;
type Value = JaxArray | Tree;

/** The part of the package that is used here. */
interface Jax {
  init(device: string): Promise<unknown>;
  jit<T extends readonly Value[], R>(f: (...given: T) => R): (...given: T) => R;
  valueAndGrad<T extends readonly Value[]>(
    f: (...given: T) => JaxArray,
  ): (...given: T) => [JaxArray, T[0]];
  blockUntilReady<T>(tree: T): Promise<T>;
  readonly numpy: {
    array(values: Float32Array): JaxArray;
    zeros(shape: readonly number[]): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    mean(x: JaxArray, axis: number, options: { keepdims: boolean }): JaxArray;
    square(x: JaxArray): JaxArray;
    sqrt(x: JaxArray): JaxArray;
    split(x: JaxArray, parts: number, axis: number): JaxArray[];
    concatenate(parts: readonly JaxArray[], axis: number): JaxArray;
  };
  readonly nn: {
    silu(x: JaxArray): JaxArray;
    logSoftmax(x: JaxArray, axis: number): JaxArray;
    dotProductAttention(
      query: JaxArray,
      key: JaxArray,
      value: JaxArray,
      options: { isCausal: boolean },
    ): JaxArray;
  };
}

const [size, threads] = Deno.args as [SizeName, string];
// Its pool has a worker for each of these.
Object.defineProperty(navigator, "hardwareConcurrency", { value: Number(threads) });
const jax = await import(JAX_JS) as Jax;
await jax.init("wasm");
const { numpy: np, nn } = jax;

const config = SIZES[size];
const { hiddenSize, heads, headDim, layers, normEps, vocabSize } = config;
const array = (values: Float32Array, shape: readonly number[]) => np.array(values).reshape(shape);

function norm(x: JaxArray, weight: JaxArray): JaxArray {
  const square = np.mean(np.square(x.ref), -1, { keepdims: true });
  return x.div(np.sqrt(square.add(normEps))).mul(weight);
}

/** x [rows, inputs] · W [outputs, inputs] ᵀ. */
const linear = (x: JaxArray, weight: JaxArray) => np.matmul(x, weight.transpose());

function rotate(x: JaxArray, cos: JaxArray, sin: JaxArray): JaxArray {
  const [left, right] = np.split(x.ref, 2, -1);
  return x.mul(cos).add(np.concatenate([right!.neg(), left!], -1).mul(sin));
}

/** The mean of −log p of each next token. */
function lossOf(weights: Tree, ids: JaxArray, targets: JaxArray, cos: JaxArray, sin: JaxArray) {
  const weight = (name: string) => weights[`${name}.weight`]!.ref;
  let x = np.matmul(ids, weight("model.embed_tokens")); // [B·T, hidden]
  for (let layer = 0; layer < layers; layer++) {
    const path = `model.layers.${layer}`;
    const before = norm(x.ref, weight(`${path}.input_layernorm`));
    const project = (name: string, from: JaxArray) =>
      linear(from, weight(`${path}.self_attn.${name}`)).reshape([ROWS, TIME, heads, headDim]);
    const query = rotate(project("q_proj", before.ref), cos.ref, sin.ref);
    const key = rotate(project("k_proj", before.ref), cos.ref, sin.ref);
    const value = project("v_proj", before);
    const mixed = nn.dotProductAttention(query, key, value, { isCausal: true });
    const flat = mixed.reshape([ROWS * TIME, hiddenSize]);
    x = x.add(linear(flat, weight(`${path}.self_attn.o_proj`)));
    const fed = norm(x.ref, weight(`${path}.post_attention_layernorm`));
    const gate = nn.silu(linear(fed.ref, weight(`${path}.mlp.gate_proj`)));
    const up = linear(fed, weight(`${path}.mlp.up_proj`));
    x = x.add(linear(gate.mul(up), weight(`${path}.mlp.down_proj`)));
  }
  cos.ref.sum(); // used at least once more, so that the last references go
  const logits = linear(norm(x, weight("model.norm")), weight("model.embed_tokens"));
  return nn.logSoftmax(logits, -1).mul(targets).sum().mul(-1 / (ROWS * TIME));
}

const gradient = jax.valueAndGrad(lossOf);
const mapTree = (tree: Tree, f: (name: string, x: JaxArray) => JaxArray): Tree =>
  Object.fromEntries(Object.entries(tree).map(([name, x]) => [name, f(name, x)]));

interface State extends Record<string, Value> {
  weights: Tree;
  first: Tree;
  second: Tree;
}

/** Adam, with the corrections given as factors. */
const stepOf = jax.jit((
  weights: Tree,
  first: Tree,
  second: Tree,
  corrections: Tree,
  ids: JaxArray,
  targets: JaxArray,
  cos: JaxArray,
  sin: JaxArray,
) => {
  const { beta1, beta2, epsilon, learningRate } = ADAM;
  const kept = mapTree(weights, (_, x) => x.ref);
  const [loss, gradients] = gradient(kept, ids, targets, cos, sin);
  const m = mapTree(first, (name, x) => x.mul(beta1).add(gradients[name]!.ref.mul(1 - beta1)));
  const v = mapTree(
    second,
    (name, x) => x.mul(beta2).add(np.square(gradients[name]!).mul(1 - beta2)),
  );
  const next = mapTree(weights, (name, x) => {
    const scale = np.sqrt(v[name]!.ref.mul(corrections.second!.ref)).add(epsilon);
    return x.sub(m[name]!.ref.mul(corrections.first!.ref).mul(learningRate).div(scale));
  });
  return { loss, next, m, v };
});
const gradientOf = jax.jit((
  weights: Tree,
  ids: JaxArray,
  targets: JaxArray,
  cos: JaxArray,
  sin: JaxArray,
) => {
  const [loss, gradients] = gradient(weights, ids, targets, cos, sin);
  return { loss, gradients };
});

const given = texts(config);
const tables = rotaryTables(config);
const inputs = [
  array(oneHot(given.inputs, vocabSize), [ROWS * TIME, vocabSize]),
  array(oneHot(given.targets, vocabSize), [ROWS * TIME, vocabSize]),
  array(tables.cos, [TIME, 1, headDim]),
  array(tables.sin, [TIME, 1, headDim]),
] as const;
const refs = () => inputs.map((one) => one.ref) as [JaxArray, JaxArray, JaxArray, JaxArray];

const all = await weightsOf(config);
const zeros = () => Object.fromEntries(all.map(({ name, shape }) => [name, np.zeros(shape)]));
let state: State = {
  weights: Object.fromEntries(all.map(({ name, shape, values }) => [name, array(values, shape)])),
  first: zeros(),
  second: zeros(),
};
let steps = 0;

await serve({ "@jax-js/jax": JAX_JS.split("@").at(-1)! }, {
  async gradients() {
    const { loss, gradients } = gradientOf(mapTree(state.weights, (_, x) => x.ref), ...refs());
    const found = new Map<string, Float32Array>();
    for (const [name, x] of Object.entries(gradients)) found.set(name, await x.data());
    return { loss: (await loss.data())[0]!, gradients: found };
  },
  async step() {
    steps++;
    const corrections = {
      first: np.array(Float32Array.of(1 / (1 - ADAM.beta1 ** steps))),
      second: np.array(Float32Array.of(1 / (1 - ADAM.beta2 ** steps))),
    };
    const { weights, first, second } = state;
    const { loss, next, m, v } = stepOf(weights, first, second, corrections, ...refs());
    state = { weights: next, first: m, second: v };
    await jax.blockUntilReady(state);
    return (await loss.data())[0]!;
  },
});
