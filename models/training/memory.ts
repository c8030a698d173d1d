/**
 * The memory that training a checkpoint takes, before anything of it is loaded.
 *
 * @module
 */

import { lossOf, type LossSpec } from "../../core/mod.ts";
import { decompose, type Equation, peakBytes, simplify, type Sizes } from "../../graph/mod.ts";
import {
  ADAPTER,
  type DecoderConfig,
  decoderTensors,
  type LoraShape,
  loraTensors,
  type NamedShape,
  WEIGHTS,
} from "../architectures/mod.ts";
import { PREFILL_ROWS } from "../generation/decoder_pool.ts";
import { cacheBytesPerToken } from "../programs/decode.ts";
import { gradientProgram } from "../programs/likelihood.ts";
import { momentTensors, type OptimizerOptions } from "../programs/optimizer.ts";
import { LOGITS_BYTES, vocabularyChunks } from "../programs/vocabulary_chunks.ts";

/** A training command, as far as its memory depends on it. */
export interface TrainingPlan {
  /** The adapter; all weights are trained when not given. */
  readonly lora?: LoraShape;
  readonly loss: LossSpec;
  readonly optimizer: OptimizerOptions;
  readonly tokensPerBatch: number;
  readonly checkpointing: boolean;
  /** Bytes of weights that are held, in whatever encodings. */
  readonly weightBytes: number;
  /** Tokens of the prompts and of the responses. */
  readonly promptTokens: number;
  readonly responseTokens: number;
  /** Responses that are sampled side by side; 0 where none is. */
  readonly rows: number;
  /** Whether the device runs an equation as it is; others are lowered first. */
  readonly isLowered: (equation: Equation) => boolean;
}

/** Bytes by what they are for. */
export interface TrainingMemory {
  /** Deno, onnxruntime, the tokenizer, the compiled programs. */
  readonly program: number;
  readonly weights: number;
  /** Copies of matrices in the layout of the product kernels, which sampling makes and are kept. */
  readonly packed: number;
  /** Keys and values of the rows that are sampled together, and of those that are prefilled. */
  readonly caches: number;
  /** Beside the weights: the adapter of the policy and of the fit, or the fit's copy of all weights. */
  readonly trained: number;
  readonly gradients: number;
  readonly moments: number;
  /** Most intermediate values of one micro-batch at a time, logits included. */
  readonly activations: number;
}

function bytesOf(tensors: readonly NamedShape[]): number {
  return tensors.reduce(
    (sum, { shape }) => sum + 4 * shape.reduce((product, size) => product * size, 1),
    0,
  );
}

/**
 * Sizes of the largest micro-batch that `planSequences` makes of pairs: prompts with two responses each,
 * as many as the budget has room for; a pair that it has no room for is computed one by one.
 */
export function microBatchSizes(
  { tokensPerBatch, promptTokens, responseTokens }: Pick<
    TrainingPlan,
    "tokensPerBatch" | "promptTokens" | "responseTokens"
  >,
): Sizes {
  const prompts = Math.max(1, Math.floor(tokensPerBatch / (promptTokens + 2 * responseTokens)));
  const each = promptTokens + 2 * responseTokens <= tokensPerBatch ? 2 : 1;
  const fed = responseTokens - 1; // the last token is only predicted
  return {
    prompts,
    responses: each * prompts,
    prompt_time: promptTokens,
    response_time: Math.max(1, fed),
    key_time: promptTokens + fed,
    copies: each,
    time: prompts * (promptTokens + each * fed),
    tokens: each * prompts * responseTokens,
  };
}

/**
 * Deno, onnxruntime, the tokenizer and compiled programs: what remained of the measured peaks of
 * SmolLM2-135M's sampling (docs/cli.md) when the weights, their packed copy and the caches were taken off,
 * 270 to 310 MiB.
 */
const PROGRAM_BYTES = 280 * 2 ** 20;

/** Keys and values of all rows that are written, in capacities of 64 tokens. */
function cacheBytes(config: DecoderConfig, plan: TrainingPlan): number {
  if (plan.rows === 0) return 0;
  const capacity = 64 * Math.ceil((plan.promptTokens + plan.responseTokens) / 64);
  return (plan.rows + PREFILL_ROWS) * capacity * cacheBytesPerToken(config);
}

/** What a training command takes at its peak is the sum. Responses are taken to be sampled in float32. */
export function trainingMemory(config: DecoderConfig, plan: TrainingPlan): TrainingMemory {
  const { lora, optimizer, checkpointing, isLowered, weightBytes } = plan;
  const logitsBytes = LOGITS_BYTES[lora ? "frozen" : "trained"];
  const chunks = vocabularyChunks(config.vocabSize, plan.tokensPerBatch, logitsBytes);
  const trainable = lora
    ? { scope: ADAPTER, tensors: loraTensors(config, lora) }
    : { scope: WEIGHTS, tensors: decoderTensors(config) };
  const options = { chunks, checkpointing };
  const program = gradientProgram(config, lossOf(plan.loss), trainable, lora, options);
  const lowered = simplify(decompose(program, isLowered));
  const trained = bytesOf(trainable.tensors);
  return {
    program: PROGRAM_BYTES,
    weights: weightBytes,
    packed: lora && plan.rows > 0 ? weightBytes : 0,
    caches: cacheBytes(config, plan),
    trained: lora ? 2 * trained : trained,
    gradients: trained,
    moments: bytesOf(momentTensors(optimizer, trainable.tensors)),
    activations: peakBytes(lowered, microBatchSizes(plan)),
  };
}
