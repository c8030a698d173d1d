/**
 * The program of one micro-batch of a judge's fit.
 *
 * @module
 */

import { gradients, type Program, ProgramBuilder, simplify, type Value } from "../../graph/mod.ts";
import type { NamedShape } from "../architectures/layout.ts";
import { ADAPTER } from "../architectures/lora.ts";
import { GRADIENTS } from "../programs/likelihood.ts";
import { headMargin, headOutputs, type PreferenceHead } from "./preference_head.ts";

/** Name of the head's matrix among the trained tensors. */
export const HEAD = "head.weight";

/** What the program is for. */
export interface JudgeGradientOptions {
  /** Declares inputs and gives hidden states [batch, hiddenSize]. */
  readonly states: (g: ProgramBuilder) => Value;
  /** Width of the states. */
  readonly hiddenSize: number;
  /** What is fitted. */
  readonly head: PreferenceHead;
  /** Trained tensors in the scope `adapter`, {@linkcode HEAD} among them. */
  readonly trained: readonly NamedShape[];
}

/**
 * Cross-entropy of labelled pairs, and its gradients, added to those of the micro-batches before:
 *
 *     loss = Σ weight · (log(1 + eˢ) − label · s), s the logit of P(left ≻ right).
 *
 * Inputs beside those of the states: `scale` float32 [hiddenSize], factors of the states; `left` and
 * `right` int32 [pairs], rows of the states; `label` and `weight` float32 [pairs]; `keep` float32 [1]:
 * 0 starts a new sum of gradients. Output: `loss`.
 */
export function judgeGradientProgram(
  { states, hiddenSize, head, trained }: JudgeGradientOptions,
): Program {
  const g = new ProgramBuilder("judge_gradient");
  const scaled = g.mul(states(g), g.input("scale", "float32", [hiddenSize]));
  const matrix = g.parameter(ADAPTER, HEAD, [headOutputs(head), hiddenSize]);
  const outputs = g.linear(scaled, matrix); // [batch, n]
  const rows = (name: string) => g.gather(outputs, g.input(name, "int32", ["pairs"]));
  const margin = headMargin(g, head, rows("left"), rows("right")); // [pairs]
  const label = g.input("label", "float32", ["pairs"]);
  const weight = g.input("weight", "float32", ["pairs"]);
  const keep = g.input("keep", "float32", [1]);
  const each = g.sub(g.softplus(margin), g.mul(label, margin));
  const loss = g.reduceSum(g.mul(weight, each));
  g.output("loss", loss);
  const wrt = trained.map(({ name, shape }) => g.parameter(ADAPTER, name, shape));
  const results = gradients(g, loss, wrt);
  trained.forEach(({ name, shape }, index) => {
    const sum = g.parameter(GRADIENTS, name, shape);
    g.update(GRADIENTS, name, g.add(g.mul(sum, keep), results[index]!));
  });
  return simplify(g.build());
}
