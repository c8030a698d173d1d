/**
 * One optimizer step as an elementwise program over all trained tensors, and the gradients' norm.
 *
 * @module
 */

import { type Program, ProgramBuilder, type Value } from "../../graph/mod.ts";
import type { NamedShape } from "../architectures/mod.ts";
import { GRADIENTS, type Trainable } from "./likelihood.ts";

/** Scope of the optimizer's moments. */
export const MOMENTS = "moments";

/**
 * An optimizer with PyTorch's names, formulas and defaults.
 *
 * - `adamw`: m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← p − lr·λ·p − lr · m̂ / (√v̂ + ε), with
 *   m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ) (Loshchilov & Hutter, arXiv:1711.05101).
 * - `rmsprop`: g ← g + λp; s ← αs + (1−α)g²; p ← p − lr · g / (√s + ε).
 */
export type OptimizerOptions =
  | {
    readonly kind: "adamw";
    readonly beta1: number;
    readonly beta2: number;
    readonly epsilon: number;
    readonly weightDecay: number;
  }
  | {
    readonly kind: "rmsprop";
    readonly alpha: number;
    readonly epsilon: number;
    readonly weightDecay: number;
  };

/** PyTorch's defaults, but for weight decay, which is 0 as in Hugging Face's Trainer. */
export const OPTIMIZERS = {
  adamw: { kind: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  rmsprop: { kind: "rmsprop", alpha: 0.99, epsilon: 1e-8, weightDecay: 0 },
} as const satisfies { readonly [K in OptimizerOptions["kind"]]: OptimizerOptions & { kind: K } };

/** Names and shapes of the moments of an optimizer. */
export function momentTensors(
  options: OptimizerOptions,
  tensors: readonly NamedShape[],
): NamedShape[] {
  const moments = options.kind === "adamw" ? ["exp_avg", "exp_avg_sq"] : ["square_avg"];
  return tensors.flatMap(({ name, shape }) =>
    moments.map((moment) => ({ name: `${name}.${moment}`, shape }))
  );
}

/** The scalar inputs of the step for optimizer step `step`, counting from 1. */
export function stepInputs(
  options: OptimizerOptions,
  step: number,
  learningRate: number,
  gradientScale: number,
): Record<string, number> {
  const common = { learning_rate: learningRate, gradient_scale: gradientScale };
  switch (options.kind) {
    case "adamw":
      return {
        ...common,
        first_correction: 1 / (1 - options.beta1 ** step),
        second_correction: 1 / (1 - options.beta2 ** step),
      };
    case "rmsprop":
      return common;
    default:
      return options satisfies never;
  }
}

/**
 * Updates the trained tensors and the scope `moments` from the scope `gradients`. Inputs: float32 [1]
 * each, those of {@linkcode stepInputs}.
 */
export function optimizerProgram(options: OptimizerOptions, trainable: Trainable): Program {
  const g = new ProgramBuilder(`optimizer_${options.kind}`);
  const scalar = (name: string) => g.input(name, "float32", [1]);
  const learningRate = scalar("learning_rate");
  const gradientScale = scalar("gradient_scale");
  const number = (value: number) => g.constant(value);
  const { weightDecay } = options;
  const blend = (old: Value, rate: number, now: Value) =>
    g.add(g.mul(old, number(rate)), g.mul(now, number(1 - rate)));

  const step =
    ((): (name: string, shape: readonly number[], p: Value, gradient: Value) => Value => {
      switch (options.kind) {
        case "adamw": {
          const first = scalar("first_correction");
          const second = scalar("second_correction");
          return (name, shape, p, gradient) => {
            const m = blend(
              g.parameter(MOMENTS, `${name}.exp_avg`, shape),
              options.beta1,
              gradient,
            );
            const square = g.mul(gradient, gradient);
            const v = blend(
              g.parameter(MOMENTS, `${name}.exp_avg_sq`, shape),
              options.beta2,
              square,
            );
            g.update(MOMENTS, `${name}.exp_avg`, m);
            g.update(MOMENTS, `${name}.exp_avg_sq`, v);
            const scale = g.add(g.sqrt(g.mul(v, second)), number(options.epsilon));
            const decayed = weightDecay === 0
              ? p
              : g.mul(p, g.sub(number(1), g.mul(learningRate, number(weightDecay))));
            return g.sub(decayed, g.div(g.mul(m, g.mul(learningRate, first)), scale));
          };
        }
        case "rmsprop":
          return (name, shape, p, gradient) => {
            const full = weightDecay === 0
              ? gradient
              : g.add(gradient, g.mul(p, number(weightDecay)));
            const before = g.parameter(MOMENTS, `${name}.square_avg`, shape);
            const s = blend(before, options.alpha, g.mul(full, full));
            g.update(MOMENTS, `${name}.square_avg`, s);
            const scale = g.add(g.sqrt(s), number(options.epsilon));
            return g.sub(p, g.div(g.mul(full, learningRate), scale));
          };
        default:
          return options satisfies never;
      }
    })();

  for (const { name, shape } of trainable.tensors) {
    const p = g.parameter(trainable.scope, name, shape);
    const gradient = g.mul(g.parameter(GRADIENTS, name, shape), gradientScale);
    g.update(trainable.scope, name, step(name, shape, p, gradient));
  }
  return g.build();
}

/** Output `squares` [n]: Σ g² of each tensor's gradient, in the order of `tensors`. */
export function gradientNormProgram(tensors: readonly NamedShape[]): Program {
  const g = new ProgramBuilder("gradient_norm");
  const squares = tensors.map(({ name, shape }) => {
    const gradient = g.parameter(GRADIENTS, name, shape);
    return g.reshape(g.reduceSum(g.mul(gradient, gradient)), [1]);
  });
  g.output("squares", g.concat(squares, 0));
  return g.build();
}
