/**
 * Programs over whole sequences: the log-probabilities of given tokens, and the gradients of a loss
 * on them. Both share one forward pass, so that a policy scored against itself gives log-ratios of 0.
 *
 * @module
 */

import type { Loss } from "../../core/mod.ts";
import { gradients, type Program, ProgramBuilder, simplify, type Value } from "../../graph/mod.ts";
import {
  type DecoderConfig,
  decoderHidden,
  type LoraShape,
  type NamedShape,
  selectRows,
  vocabulary,
} from "../architectures/mod.ts";
import { lossTotal } from "./loss_terms.ts";
import { sharedAttention, sharedPrompts } from "./shared_prompts.ts";

/** Scope of the sums of gradients. */
export const GRADIENTS = "gradients";

/** Inputs of the shared forward pass; see {@linkcode likelihoodProgram}. */
function tokenLogProbs(
  g: ProgramBuilder,
  config: DecoderConfig,
  lora: LoraShape | undefined,
  chunks: number,
  onBlock?: (x: Value) => void,
): Value {
  const ids = g.input("ids", "int32", [1, "time"]);
  const positions = g.input("positions", "int32", [1, "time"]);
  const shared = sharedPrompts(g);
  const rows = g.input("rows", "int32", ["tokens"]);
  const targets = g.input("targets", "int32", ["tokens"]);
  const hidden = decoderHidden(g, config, {
    ids,
    positions,
    lora,
    onBlock,
    attend: (_, query, key, value, settings) =>
      sharedAttention(g, shared, query, key, value, settings),
  });
  return g.tokenLogProb(
    selectRows(g, hidden, rows),
    vocabulary(g, config, "output"),
    targets,
    { chunks, ...(config.logitCap === undefined ? {} : { logitCap: config.logitCap }) },
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

/** What is trained: tensors of one scope. */
export interface Trainable {
  /** The scope they are in. */
  readonly scope: string;
  /** Their names and shapes, in order. */
  readonly tensors: readonly NamedShape[];
}

/** How {@linkcode gradientProgram} trades memory for time. */
export interface GradientProgramOptions {
  /** Parts in which the vocabulary is walked; 1 when not given. */
  readonly chunks?: number;
  /** Whether the inside of each block is computed again for the gradient instead of being kept. */
  readonly checkpointing?: boolean;
}

/**
 * Gradients of a loss, added to those of the micro-batches before.
 *
 * Inputs: those of {@linkcode likelihoodProgram}; `owner` int32 [tokens], the response a token belongs
 * to; `anchor_log_probs` float32 [tokens], log π of the fixed policy of each; `length` float32
 * [responses]; those of {@linkcode lossTotal}; `keep` float32 [1]: 0 starts a new sum of gradients, 1
 * adds to it.
 *
 * Outputs: `loss`, Σ weight · loss; `log_prob` [responses]; `log_ratio` [responses], the sum over
 * tokens of log π_θ − log π. The difference is taken before the sum: sums of hundreds of tokens
 * round, and a policy against itself must give 0. Updates the scope `gradients`.
 */
export function gradientProgram(
  config: DecoderConfig,
  loss: Loss,
  trainable: Trainable,
  lora?: LoraShape,
  { chunks = 1, checkpointing = false }: GradientProgramOptions = {},
): Program {
  const g = new ProgramBuilder("gradient");
  const checkpoints: Value[] = [];
  const onBlock = checkpointing ? (x: Value) => void checkpoints.push(x) : undefined;
  const perToken = tokenLogProbs(g, config, lora, chunks, onBlock);
  const owner = g.input("owner", "int32", ["tokens"]);
  const anchor = g.input("anchor_log_probs", "float32", ["tokens"]);
  const tokens = g.input("length", "float32", ["responses"]);
  const keep = g.input("keep", "float32", [1]);

  const logProb = g.scatterAdd(perToken, owner, "responses");
  const logRatio = g.scatterAdd(g.sub(perToken, anchor), owner, "responses");
  const total = lossTotal(g, loss, { logProb, logRatio, tokens });
  g.output("loss", total);
  g.output("log_prob", logProb);
  g.output("log_ratio", logRatio);

  const wrt = trainable.tensors.map(({ name, shape }) => g.parameter(trainable.scope, name, shape));
  const results = gradients(g, total, wrt, { checkpoints });
  trainable.tensors.forEach(({ name, shape }, index) => {
    const sum = g.parameter(GRADIENTS, name, shape);
    g.update(GRADIENTS, name, g.add(g.mul(sum, keep), results[index]!));
  });
  return simplify(g.build());
}
