/**
 * Heads on one hidden state of each response: rewards, and embeddings of general preferences.
 *
 * @module
 */

import { product, type ProgramBuilder, type Value } from "../../graph/mod.ts";
import { type NamedShape, WEIGHTS } from "../architectures/layout.ts";
import type { Head } from "./sequence_reader.ts";

/** A linear head without bias under some name: `score`, `value_head`. */
export function linearHead(name: string, hiddenSize: number, outputs: number): Head {
  const shape = [outputs, hiddenSize];
  return {
    tensors: [{ name: `${name}.weight`, shape }],
    places: 1,
    settings: ["linear", name],
    outputs: (g, hidden) => g.linear(hidden, g.parameter(WEIGHTS, `${name}.weight`, shape)),
  };
}

/** Hidden states themselves, for a head that is computed elsewhere. */
export function noHead(): Head {
  return { tensors: [], places: 1, settings: ["none"], outputs: (_, hidden) => hidden };
}

/** GELU as the pooler of a DeBERTa has it, or none. */
export type PoolerActivation = "gelu" | "tanh";

/**
 * Of transformers' DebertaV2ForSequenceClassification: a pooler, activation(W_p h + b_p), and a
 * classifier.
 */
export function debertaClassifier(
  hiddenSize: number,
  outputs: number,
  activation: PoolerActivation,
): Head {
  const tensors: NamedShape[] = [
    { name: "pooler.dense.weight", shape: [hiddenSize, hiddenSize] },
    { name: "pooler.dense.bias", shape: [hiddenSize] },
    { name: "classifier.weight", shape: [outputs, hiddenSize] },
    { name: "classifier.bias", shape: [outputs] },
  ];
  return {
    tensors,
    places: 1,
    settings: ["deberta-classifier", activation],
    outputs(g, hidden) {
      const [dense, denseBias, weight, bias] = tensors.map(({ name, shape }) =>
        g.parameter(WEIGHTS, name, shape)
      ) as [Value, Value, Value, Value];
      const pooled = g.linear(hidden, dense, { bias: denseBias });
      const active = activation === "gelu" ? g.gelu(pooled) : g.tanh(pooled);
      return g.linear(active, weight, { bias });
    },
  };
}

/**
 * vᵀ R v′ of rows side by side, with R of blocks (0 1; −1 0) along its diagonal:
 * Σ_b v[2b] v′[2b + 1] − v[2b + 1] v′[2b].
 *
 * @param left [N, 2k]
 * @param right [N, 2k]
 * @returns [N]
 */
export function skewProduct(g: ProgramBuilder, left: Value, right: Value): Value {
  const [rows, width] = left.shape as [Value["shape"][0], number];
  const split = (x: Value) => g.reshape(x, [product(rows!, width / 2), 2]);
  const column = (x: Value, index: number) => g.slice(split(x), 1, index, index + 1); // [N·k, 1]
  const blocks = g.sub(
    g.mul(column(left, 0), column(right, 1)),
    g.mul(column(left, 1), column(right, 0)),
  );
  return g.reduceSum(g.reshape(blocks, [rows!, width / 2]), [1]);
}
