/**
 * PairRM's head: how much better the left response is, from the hidden states at three openings.
 *
 * @module
 */

import type { Head } from "./sequence_reader.ts";
import { WEIGHTS } from "../architectures/layout.ts";

/**
 * f([s; l]) − f([s; r]) averaged over tasks, with f(x) = W₄ tanh(W₁ x + b₁) + b₄, and s, l and r the
 * hidden states at the openings of the prompt and of the two responses. Above 0 the left one is
 * better. b₄ cancels and is not read.
 *
 * Source: yuchenlin/LLM-Blender `llm_blender/pair_ranker/pairrm.py`.
 *
 * @param tasks Rows of W₄.
 */
export function pairHead(hiddenSize: number, tasks: number): Head {
  const names = {
    inner: "head_layer.1.weight",
    bias: "head_layer.1.bias",
    outer: "head_layer.4.weight",
  };
  return {
    tensors: [
      { name: names.inner, shape: [hiddenSize, 2 * hiddenSize] },
      { name: names.bias, shape: [hiddenSize] },
      { name: names.outer, shape: [tasks, hiddenSize] },
    ],
    places: 3,
    settings: ["pair-rm"],
    outputs(g, hidden) {
      const inner = g.parameter(WEIGHTS, names.inner, [hiddenSize, 2 * hiddenSize]);
      const bias = g.parameter(WEIGHTS, names.bias, [hiddenSize]);
      const outer = g.parameter(WEIGHTS, names.outer, [tasks, hiddenSize]);
      const states = g.reshape(hidden, ["batch", 3, hiddenSize]);
      const at = (place: number) =>
        g.reshape(g.slice(states, 1, place, place + 1), ["batch", hiddenSize]);
      const source = at(0);
      const value = (response: number) => {
        const both = g.concat([source, at(response)], 1);
        return g.linear(g.tanh(g.linear(both, inner, { bias })), outer); // [batch, tasks]
      };
      const sum = g.reduceSum(g.sub(value(1), value(2)), [1], true);
      return g.mul(sum, g.constant(1 / tasks));
    },
  };
}
