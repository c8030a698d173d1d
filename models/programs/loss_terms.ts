/**
 * A loss of core's table on the values of a training program. It knows responses by their number
 * alone, not how they lie in rows.
 *
 * @module
 */

import type { Arithmetic, LogRatio, Loss } from "../../core/mod.ts";
import type { ProgramBuilder, Value } from "../../graph/mod.ts";

/** Losses on the values of a program. */
export function graphArithmetic(g: ProgramBuilder): Arithmetic<Value> {
  const zero = g.constant(0);
  return {
    constant: (value) => g.constant(value),
    add: (a, b) => g.add(a, b),
    sub: (a, b) => g.sub(a, b),
    mul: (a, b) => g.mul(a, b),
    div: (a, b) => g.div(a, b),
    exp: (x) => g.exp(x),
    log: (x) => g.log(x),
    tanh: (x) => g.tanh(x),
    logSigmoid: (x) => g.neg(g.softplus(g.neg(x))),
    relu: (x) => g.maximum(x, zero),
  };
}

/**
 * Σ weight · loss over the responses of a run, each [responses]. Inputs, by what the loss is of:
 *
 * - a response: `target` and `weight` float32 [responses];
 * - a pair: `chosen` and `rejected` int32 [pairs], which responses are compared, and `pair_weight`
 *   float32 [pairs];
 * - a batch: `slope` float32 [responses], the derivative by each log-probability, which was computed
 *   from all of the step's; the sum is then linear, and only its gradient means something.
 */
export function lossTotal(g: ProgramBuilder, loss: Loss, responses: LogRatio<Value>): Value {
  const each = (name: string) => g.input(name, "float32", ["responses"]);
  switch (loss.per) {
    case "response": {
      const values = { ...responses, target: each("target") };
      return g.reduceSum(g.mul(each("weight"), loss.loss(graphArithmetic(g), values)));
    }
    case "pair": {
      const side = (name: string): LogRatio<Value> => {
        const index = g.input(name, "int32", ["pairs"]);
        return {
          logProb: g.gather(responses.logProb, index),
          logRatio: g.gather(responses.logRatio, index),
          tokens: g.gather(responses.tokens, index),
        };
      };
      const pairs = loss.loss(graphArithmetic(g), side("chosen"), side("rejected"));
      return g.reduceSum(g.mul(g.input("pair_weight", "float32", ["pairs"]), pairs));
    }
    case "batch":
      return g.reduceSum(g.mul(each("slope"), responses.logProb));
    default:
      return loss satisfies never;
  }
}
