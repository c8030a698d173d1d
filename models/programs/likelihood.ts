/**
 * Programs over whole sequences: the log-probabilities of given tokens, and the gradients of a loss
 * on them. Both share one forward pass, so that a policy scored against itself gives log-ratios of 0.
 *
 * @module
 */

import type { Arithmetic, LossName, ResponseLoss } from "../../core/mod.ts";
import { gradients, type Program, ProgramBuilder, simplify, type Value } from "../../graph/mod.ts";
import {
  type DecoderConfig,
  decoderHidden,
  type LoraShape,
  type NamedShape,
  selectRows,
  vocabulary,
} from "../architectures/mod.ts";

import { sharedAttention, sharedPrompts } from "./shared_prompts.ts";

/** Scope of the sums of gradients. */
export const GRADIENTS = "gradients";

/** Inputs of the shared forward pass; see {@linkcode likelihoodProgram}. */
function tokenLogProbs(
  g: ProgramBuilder,
  config: DecoderConfig,
  lora: LoraShape | undefined,
  chunks: number,
): Value {
  const ids = g.input("ids", "int32", [1, "time"]);
  const positions = g.input("positions", "int32", [1, "time"]);
  const shared = sharedPrompts(g);
  const rows = g.input("rows", "int32", ["tokens"]);
  const targets = g.input("targets", "int32", ["tokens"]);
  const scale = 1 / Math.sqrt(config.headDim);
  const hidden = decoderHidden(g, config, {
    ids,
    positions,
    lora,
    attend: (_, query, key, value) => sharedAttention(g, shared, query, key, value, { scale }),
  });
  return g.tokenLogProb(
    selectRows(g, hidden, rows),
    vocabulary(g, config, "output"),
    targets,
    chunks,
  );
}

/**
 * Log-probabilities of given tokens.
 *
 * Inputs: `ids` and `positions` int32 [1, time], the tokens of all prompts and responses; those of
 * {@linkcode sharedPrompts}; `rows` int32 [tokens], where each scored token's predecessor stands;
 * `targets` int32 [tokens], the scored tokens. Output: `token_log_probs` [tokens], nats.
 */
export function likelihoodProgram(config: DecoderConfig, lora?: LoraShape, chunks = 1): Program {
  const g = new ProgramBuilder("likelihood");
  g.output("token_log_probs", tokenLogProbs(g, config, lora, chunks));
  return g.build();
}

/** Losses on the values of a program. */
export function graphArithmetic(g: ProgramBuilder): Arithmetic<Value> {
  const zero = g.constant(0);
  return {
    constant: (value) => g.constant(value),
    add: (a, b) => g.add(a, b),
    sub: (a, b) => g.sub(a, b),
    mul: (a, b) => g.mul(a, b),
    logSigmoid: (x) => g.neg(g.softplus(g.neg(x))),
    relu: (x) => g.maximum(x, zero),
  };
}

/** Whether a loss is on log-ratios, so that a fit needs log π_t of every token. */
export const ON_LOG_RATIOS: Readonly<Record<LossName, boolean>> = { sppo: true, sft: false };

/** What is trained: tensors of one scope. */
export interface Trainable {
  /** The scope they are in. */
  readonly scope: string;
  /** Their names and shapes, in order. */
  readonly tensors: readonly NamedShape[];
}

/**
 * Gradients of a loss, added to those of the micro-batches before.
 *
 * Inputs: those of {@linkcode likelihoodProgram}; `owner` int32 [tokens], the response a token belongs
 * to; `previous_log_probs` float32 [tokens], log π_t of each; `target`, `weight` and `length` float32
 * [responses]; `keep` float32 [1]: 0 starts a new sum of gradients, 1 adds to it.
 *
 * Outputs: `loss`, Σ weight · loss; `log_prob` [responses]; `log_ratio` [responses], the sum over
 * tokens of log π_θ − log π_t. The difference is taken before the sum: sums of hundreds of tokens
 * round, and a policy against itself must give 0. Updates the scope `gradients`.
 */
export function gradientProgram(
  config: DecoderConfig,
  loss: ResponseLoss,
  trainable: Trainable,
  lora?: LoraShape,
  chunks = 1,
): Program {
  const g = new ProgramBuilder("gradient");
  const perToken = tokenLogProbs(g, config, lora, chunks);
  const owner = g.input("owner", "int32", ["tokens"]);
  const responses = (name: string) => g.input(name, "float32", ["responses"]);
  const previous = g.input("previous_log_probs", "float32", ["tokens"]);
  const target = responses("target");
  const weight = responses("weight");
  const length = responses("length");
  const keep = g.input("keep", "float32", [1]);

  const logProb = g.scatterAdd(perToken, owner, "responses");
  const logRatio = g.scatterAdd(g.sub(perToken, previous), owner, "responses");
  const each = loss(graphArithmetic(g), { logProb, logRatio, target, tokens: length });
  const total = g.reduceSum(g.mul(weight, each));
  g.output("loss", total);
  g.output("log_prob", logProb);
  g.output("log_ratio", logRatio);

  const wrt = trainable.tensors.map(({ name, shape }) => g.parameter(trainable.scope, name, shape));
  const results = gradients(g, total, wrt);
  trainable.tensors.forEach(({ name, shape }, index) => {
    const sum = g.parameter(GRADIENTS, name, shape);
    g.update(GRADIENTS, name, g.add(g.mul(sum, keep), results[index]!));
  });
  return simplify(g.build());
}
