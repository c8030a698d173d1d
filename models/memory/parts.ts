/**
 * What estimates of memory are made of, whatever the command does.
 *
 * @module
 */

import {
  decompose,
  type Equation,
  peakBytes,
  type Program,
  simplify,
  type Sizes,
} from "../../graph/mod.ts";
import type { DecoderConfig, NamedShape } from "../architectures/mod.ts";
import { PREFILL_ROWS } from "../generation/decoder_pool.ts";
import { DEFAULT_CACHE_BYTES } from "../language_model_options.ts";
import { cacheBytesPerToken } from "../programs/decode.ts";

/** Lengths of a prompt and its responses, in tokens. */
export interface Lengths {
  readonly promptTokens: number;
  readonly responseTokens: number;
  /** Responses of one prompt that are read together; 2 where not given. */
  readonly responses?: number;
}

/** Bytes by what they are for, of any command that has a model. */
export interface RunMemory {
  /** Deno, onnxruntime, the tokenizer, the compiled programs. */
  readonly program: number;
  readonly weights: number;
  /** Copies of matrices in the layout of the product kernels, which sampling makes and are kept. */
  readonly packed: number;
  /** Second copies of the matrices that an adapter is merged into to sample. */
  readonly merged: number;
  /** Keys and values of the rows that are sampled together, and of those that are prefilled. */
  readonly caches: number;
  /** Beside the weights: adapters, or copies of all weights, of the policies and of the fit. */
  readonly trained: number;
  /** Most intermediate values of one run at a time, logits included. */
  readonly activations: number;
}

/** Sum of the parts. */
export function totalBytes(memory: RunMemory): number {
  return Object.values({ ...memory }).reduce((sum, bytes) => sum + bytes, 0);
}

/** Float32 bytes of tensors. */
export function bytesOf(tensors: readonly NamedShape[]): number {
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

/** The process with its compiled programs. */
export function processBytes(programs: readonly Program[]): number {
  return PROCESS_BYTES +
    EQUATION_BYTES * programs.reduce((sum, { equations }) => sum + equations.length, 0);
}

/** Peaks of values are this much above what is alive: free blocks of the arena that fit nothing. */
const ARENA_WASTE = 1.08;

/** What the arena grows to when so many bytes are alive in it at a time. */
export function arenaBytes(alive: number): number {
  return Math.round(ARENA_WASTE * alive);
}

/**
 * Makes programs as the device runs them, once each for all estimates.
 *
 * @param isLowered Whether the device runs an equation as it is; others are lowered first.
 */
export function programsLowered(
  isLowered: (equation: Equation) => boolean,
): (key: string, make: () => Program) => Program {
  const made = new Map<string, Program>();
  return (key, make) => {
    let program = made.get(key);
    if (!program) made.set(key, program = simplify(decompose(make(), isLowered)));
    return program;
  };
}

/** Prompts that are prefilled together, of so many responses side by side. */
function prefilledRows(rows: number, samples: number): number {
  return Math.min(PREFILL_ROWS, Math.ceil(rows / samples));
}

/** Most bytes that are alive while rows are decoded or prompts prefilled. */
export function decodingPeak(
  decoding: Program,
  rows: number,
  samples: number,
  promptTokens: number,
): number {
  return Math.max(
    peakBytes(decoding, { batch: rows, time: 1 }),
    peakBytes(decoding, { batch: prefilledRows(rows, samples), time: promptTokens }),
  );
}

/** Keys and values of all rows that are written, in capacities of 64 tokens, as decoders have them. */
export function cacheBytes(
  config: DecoderConfig,
  rows: number,
  samples: number,
  lengths: readonly Lengths[],
): number {
  if (rows === 0) return 0;
  const longest = Math.max(
    ...lengths.map(({ promptTokens, responseTokens }) => promptTokens + responseTokens),
  );
  const rowBytes = 64 * Math.ceil(longest / 64) * cacheBytesPerToken(config);
  const slots = Math.max(samples, Math.min(rows, Math.floor(DEFAULT_CACHE_BYTES / rowBytes)));
  return (Math.min(rows, slots) + prefilledRows(rows, samples)) * rowBytes;
}
