/**
 * The side of TensorFlow.js as it is written by hand in `web_training.ts`: variables, its tape, its Adam,
 * on its WASM device. Argument: size.
 *
 * Its WASM device has no gradient of look-ups by index, so embeddings are products with one-hot rows.
 *
 * @module
 */

import { TFJS_DEVICES, TFJS_VERSION } from "../../backends/tfjs/_deps.ts";
import { TFJS } from "./_deps.ts";
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

/** A tensor, or a variable. */
interface Tensor {
  readonly shape: number[];
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** The part of the package that is used here. */
interface Tf {
  setBackend(name: string): Promise<boolean>;
  env(): { set(flag: string, value: boolean): void };
  tensor(values: Float32Array, shape: readonly number[]): Tensor;
  variable(x: Tensor, trainable: boolean, name: string): Tensor;
  matMul(a: Tensor, b: Tensor, transposeA?: boolean, transposeB?: boolean): Tensor;
  add(a: Tensor, b: Tensor | number): Tensor;
  mul(a: Tensor, b: Tensor | number): Tensor;
  sub(a: Tensor, b: Tensor): Tensor;
  neg(x: Tensor): Tensor;
  square(x: Tensor): Tensor;
  rsqrt(x: Tensor): Tensor;
  sigmoid(x: Tensor): Tensor;
  softmax(x: Tensor): Tensor;
  logSumExp(x: Tensor, axis: number): Tensor;
  mean(x: Tensor, axis?: number, keepDims?: boolean): Tensor;
  sum(x: Tensor, axis?: number): Tensor;
  reshape(x: Tensor, shape: readonly number[]): Tensor;
  transpose(x: Tensor, permutation: readonly number[]): Tensor;
  split(x: Tensor, parts: number, axis: number): Tensor[];
  concat(parts: readonly Tensor[], axis: number): Tensor;
  variableGrads(f: () => Tensor): { value: Tensor; grads: Record<string, Tensor> };
  readonly train: {
    adam(rate: number, beta1: number, beta2: number, epsilon: number): {
      minimize(f: () => Tensor, returnCost: true): Tensor;
    };
  };
}

const [size] = Deno.args as [SizeName];
const tf = await import(TFJS) as Tf;
await import(TFJS_DEVICES.wasm);
tf.env().set("PROD", true); // else it prints advice
await tf.setBackend("wasm");

const config = SIZES[size];
const { hiddenSize, heads, headDim, layers, normEps, vocabSize } = config;
const all = await weightsOf(config);
const weights = new Map(
  all.map(({ name, shape, values }) => [
    name,
    tf.variable(tf.tensor(values, shape), true, name),
  ]),
);
const weight = (name: string) => weights.get(`${name}.weight`)!;
const given = texts(config);
const ids = tf.tensor(oneHot(given.inputs, vocabSize), [ROWS * TIME, vocabSize]);
const targets = tf.tensor(oneHot(given.targets, vocabSize), [ROWS * TIME, vocabSize]);
const tables = rotaryTables(config);
const cos = tf.tensor(tables.cos, [TIME, headDim]);
const sin = tf.tensor(tables.sin, [TIME, headDim]);
/** 0 where a query sees a key, else far below every score. */
const mask = tf.tensor(
  Float32Array.from(
    { length: TIME * TIME },
    (_, at) => at % TIME > Math.floor(at / TIME) ? -1e9 : 0,
  ),
  [TIME, TIME],
);

function norm(x: Tensor, by: Tensor): Tensor {
  const square = tf.mean(tf.square(x), -1, true);
  return tf.mul(tf.mul(x, tf.rsqrt(tf.add(square, normEps))), by);
}

const linear = (x: Tensor, by: Tensor) => tf.matMul(x, by, false, true);

/** [B·T, hidden] to [B, heads, T, headDim]. */
const toHeads = (x: Tensor) =>
  tf.transpose(tf.reshape(x, [ROWS, TIME, heads, headDim]), [0, 2, 1, 3]);

function rotate(x: Tensor): Tensor {
  const [left, right] = tf.split(x, 2, -1);
  return tf.add(tf.mul(x, cos), tf.mul(tf.concat([tf.neg(right!), left!], -1), sin));
}

/** The mean of −log p of each next token. */
function lossOf(): Tensor {
  let x = tf.matMul(ids, weight("model.embed_tokens")); // [B·T, hidden]
  for (let layer = 0; layer < layers; layer++) {
    const path = `model.layers.${layer}`;
    const before = norm(x, weight(`${path}.input_layernorm`));
    const project = (name: string) => toHeads(linear(before, weight(`${path}.self_attn.${name}`)));
    const [query, key, value] = [
      rotate(project("q_proj")),
      rotate(project("k_proj")),
      project("v_proj"),
    ];
    const scores = tf.mul(tf.matMul(query, key, false, true), headDim ** -0.5);
    const mixed = tf.matMul(tf.softmax(tf.add(scores, mask)), value);
    const flat = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [ROWS * TIME, hiddenSize]);
    x = tf.add(x, linear(flat, weight(`${path}.self_attn.o_proj`)));
    const fed = norm(x, weight(`${path}.post_attention_layernorm`));
    const gate = linear(fed, weight(`${path}.mlp.gate_proj`));
    const up = linear(fed, weight(`${path}.mlp.up_proj`));
    const active = tf.mul(tf.mul(gate, tf.sigmoid(gate)), up);
    x = tf.add(x, linear(active, weight(`${path}.mlp.down_proj`)));
  }
  const logits = linear(norm(x, weight("model.norm")), weight("model.embed_tokens"));
  const logProbs = tf.sub(tf.sum(tf.mul(logits, targets), -1), tf.logSumExp(logits, -1));
  return tf.neg(tf.mean(logProbs));
}

const optimizer = tf.train.adam(ADAM.learningRate, ADAM.beta1, ADAM.beta2, ADAM.epsilon);

/** A number, and its tensor freed. */
async function take(x: Tensor): Promise<number> {
  const [value] = await x.data();
  x.dispose();
  return value!;
}

await serve({ tfjs: TFJS_VERSION }, {
  async gradients() {
    const { value, grads } = tf.variableGrads(lossOf);
    const found = new Map<string, Float32Array>();
    for (const [name, x] of Object.entries(grads)) {
      found.set(name, await x.data());
      x.dispose();
    }
    return { loss: await take(value), gradients: found };
  },
  step: () => take(optimizer.minimize(lossOf, true)),
});
