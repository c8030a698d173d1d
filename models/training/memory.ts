/**
 * The memory that training a checkpoint takes, before anything of it is loaded.
 *
 * @module
 */

import { lossOf, type LossSpec } from "../../core/mod.ts";
import {
  decompose,
  type Equation,
  peakBytes,
  type Program,
  simplify,
  type Sizes,
} from "../../graph/mod.ts";
import {
  ADAPTER,
  type DecoderConfig,
  decoderTensors,
  type LoraShape,
  loraTensors,
  type NamedShape,
  WEIGHTS,
} from "../architectures/mod.ts";
import { DEFAULT_CACHE_BYTES } from "../language_model_options.ts";
import { PREFILL_ROWS } from "../generation/decoder_pool.ts";
import { cacheBytesPerToken, decodeProgram } from "../programs/decode.ts";
import { gradientProgram, likelihoodProgram } from "../programs/likelihood.ts";
import { momentTensors, type OptimizerOptions } from "../programs/optimizer.ts";
import { vocabularyChunks } from "../programs/vocabulary_chunks.ts";

/** Lengths of a prompt and its responses, in tokens. */
export interface Lengths {
  readonly promptTokens: number;
  readonly responseTokens: number;
  /** Responses of one prompt that are trained on; 2 where not given. */
  readonly responses?: number;
}

/** What memory can be kept by. */
export interface MemorySettings {
  readonly tokensPerBatch: number;
  /** Most memory for logits; see `LanguageModelOptions`. */
  readonly logitsBytes: number;
  readonly checkpointing: boolean;
  /** Responses that are sampled side by side; 0 where none is. */
  readonly rows: number;
}

/** A training command, as far as its memory depends on it and is not set by {@linkcode MemorySettings}. */
export interface TrainingTaskShape {
  /** The adapter; all weights are trained when not given. */
  readonly lora?: LoraShape;
  readonly loss: LossSpec;
  readonly optimizer: OptimizerOptions;
  /** Bytes of weights that are held, in whatever encodings. */
  readonly weightBytes: number;
  /** Bytes of the copies that sampling packs. */
  readonly packedBytes: number;
  /** Float32 bytes of the largest matrix that stays encoded; 0 where none does. */
  readonly decodedBytes?: number;
  /** Bytes that others take, such as a judge's model. */
  readonly otherBytes?: number;
  /** Whether a fit is kept while it goes on, not only at its end. */
  readonly keepsFit: boolean;
  /** Rounds of self-play. */
  readonly iterations: number;
  /** K. */
  readonly samples: number;
  /** Every combination of lengths that a batch may be made of; the most expensive one counts. */
  readonly lengths: readonly Lengths[];
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
  /** Beside the weights: adapters, or copies of all weights, of the policies and of the fit. */
  readonly trained: number;
  readonly gradients: number;
  readonly moments: number;
  /** Most intermediate values of one run at a time, logits included. */
  readonly activations: number;
  /** Copies that are made to keep a fit. */
  readonly kept: number;
}

/** Sum of the parts. */
export function totalBytes(memory: TrainingMemory): number {
  return Object.values({ ...memory }).reduce((sum, bytes) => sum + bytes, 0);
}

function bytesOf(tensors: readonly NamedShape[]): number {
  return tensors.reduce(
    (sum, { shape }) => sum + 4 * shape.reduce((product, size) => product * size, 1),
    0,
  );
}

/**
 * Sizes of the largest micro-batch that `planSequences` makes: prompts with all of their responses, as
 * many as the budget has room for; of a prompt that it has no room for, as many responses as fit, at
 * least one.
 */
export function microBatchSizes(
  tokensPerBatch: number,
  { promptTokens, responseTokens, responses = 2 }: Lengths,
): Sizes {
  const whole = promptTokens + responses * responseTokens;
  const prompts = Math.max(1, Math.floor(tokensPerBatch / whole));
  const fitting = Math.max(1, Math.floor((tokensPerBatch - promptTokens) / responseTokens));
  const each = Math.min(responses, fitting);
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
 * Deno, onnxruntime, the command line and a tokenizer of 49,152 tokens, and what a compiled program takes
 * for each of its equations: what remained of measured peaks of SmolLM2-135M (docs/cli.md), with programs
 * of 594 equations (sampling) and of 11,898 (training), when all else was taken off.
 */
const PROCESS_BYTES = 240 * 2 ** 20;
const EQUATION_BYTES = 16 * 2 ** 10;

/** Peaks of values are this much above what is alive: free blocks of the arena that fit nothing. */
const ARENA_WASTE = 1.08;

/** Keys and values of all rows that are written, in capacities of 64 tokens, as decoders have them. */
function cacheBytes(
  config: DecoderConfig,
  rows: number,
  { samples, lengths }: Pick<TrainingTaskShape, "samples" | "lengths">,
): number {
  if (rows === 0) return 0;
  const longest = Math.max(
    ...lengths.map(({ promptTokens, responseTokens }) => promptTokens + responseTokens),
  );
  const rowBytes = 64 * Math.ceil(longest / 64) * cacheBytesPerToken(config);
  const slots = Math.max(samples, Math.min(rows, Math.floor(DEFAULT_CACHE_BYTES / rowBytes)));
  const prefilled = Math.min(PREFILL_ROWS, Math.ceil(rows / samples));
  return (Math.min(rows, slots) + prefilled) * rowBytes;
}

/**
 * Estimates what a training command takes at its peak, by what it is kept by. Programs are made once for
 * all estimates.
 */
export function memoryEstimator(
  config: DecoderConfig,
  task: TrainingTaskShape,
): (settings: MemorySettings) => TrainingMemory {
  const { lora, loss, optimizer, lengths, isLowered, decodedBytes = 0, otherBytes = 0 } = task;
  const trainable = lora
    ? { scope: ADAPTER, tensors: loraTensors(config, lora) }
    : { scope: WEIGHTS, tensors: decoderTensors(config) };
  const made = new Map<string, Program>();
  const lowered = (key: string, make: () => Program): Program => {
    let program = made.get(key);
    if (!program) made.set(key, program = simplify(decompose(make(), isLowered)));
    return program;
  };
  const adapters = bytesOf(trainable.tensors);
  const moments = bytesOf(momentTensors(optimizer, trainable.tensors));
  // The start's and the fit's, and from the second round on that of the round before.
  const copies = Math.min(task.iterations, 2) + (lora ? 1 : 0);

  return ({ tokensPerBatch, logitsBytes, checkpointing, rows }) => {
    const chunks = vocabularyChunks(config.vocabSize, tokensPerBatch, logitsBytes);
    const scoring = lowered(`scoring ${chunks}`, () => likelihoodProgram(config, lora, chunks));
    const gradient = lowered(
      `gradient ${chunks} ${checkpointing}`,
      () => gradientProgram(config, lossOf(loss), trainable, lora, { chunks, checkpointing }),
    );
    const decoding = rows > 0
      ? lowered("decoding", () => decodeProgram(config, 1, lora))
      : undefined;
    const activations = Math.max(...lengths.flatMap((each) => {
      const sizes = microBatchSizes(tokensPerBatch, each);
      const { promptTokens: time } = each;
      return [
        peakBytes(gradient, sizes),
        peakBytes(scoring, sizes),
        ...decoding
          ? [
            peakBytes(decoding, { batch: rows, time: 1 }),
            peakBytes(decoding, { batch: Math.min(rows, PREFILL_ROWS), time }),
          ]
          : [],
      ];
    }));
    const equations = [scoring, gradient, decoding]
      .reduce((sum, program) => sum + (program?.equations.length ?? 0), 0);
    return {
      program: PROCESS_BYTES + otherBytes + EQUATION_BYTES * equations,
      weights: task.weightBytes,
      packed: rows > 0 ? task.packedBytes : 0,
      caches: cacheBytes(config, rows, task),
      trained: copies * adapters,
      gradients: adapters,
      moments,
      // A matrix is decoded by way of its products with the scales, before these are moved.
      activations: Math.round(ARENA_WASTE * (activations + 2 * decodedBytes)),
      kept: 2 * (adapters + (task.keepsFit ? moments : 0)),
    };
  };
}
