/**
 * The options of each command.
 *
 * @module
 */

import { DEFAULT_SLOTS, DEFAULT_TOKENS_PER_BATCH } from "../../models/language_model_options.ts";
import {
  adapter,
  backend,
  common,
  generateArithmetic,
  inferenceMemory,
  memory,
  model,
  output,
  promptColumn,
  sampling,
  template,
} from "./shared.ts";
import type { OptionTable } from "./spec.ts";
import { trainOptions } from "./train_options.ts";

import { benchOptions } from "./bench_options.ts";
import { judgeCompareOptions } from "./judge_compare_options.ts";
import { judgeTrainOptions } from "./judge_train_options.ts";

export { benchOptions } from "./bench_options.ts";
export { judgeCompareOptions } from "./judge_compare_options.ts";
export { judgeTrainOptions } from "./judge_train_options.ts";
export { presets, trainOptions } from "./train_options.ts";

/** Options of `sppo generate`. */
export const generateOptions = {
  ...model,
  ...adapter,
  ...template,
  input: {
    type: "text",
    value: "FILE",
    group: "Data",
    help: "prompts: .jsonl, .json, .csv, .txt or .parquet; - is JSON lines from standard input",
  },
  prompt: { type: "text", value: "TEXT", group: "Data", help: "one prompt, in place of --input" },
  ...promptColumn,
  keep: {
    type: "list",
    value: "COLUMNS",
    group: "Data",
    help:
      "columns of the prompts that go to the output, such as the answer that a judge compares with",
  },
  ...output,
  samples: {
    type: "integer",
    min: 1,
    default: 1,
    group: "Sampling",
    help: "K, responses per prompt",
  },
  ...sampling,
  ...generateArithmetic,
  stop: { type: "list", value: "TEXTS", group: "Sampling", help: "texts that end a response" },
  server: {
    type: "text",
    value: "URL",
    group: "Model",
    help:
      "sample from an OpenAI-compatible server in place of a checkpoint; --model names its model",
  },
  apiKeyFile: {
    type: "text",
    value: "FILE",
    flagOnly: true,
    group: "Model",
    help: "file that holds the server's key",
  },
  slots: {
    type: "integer",
    min: 1,
    default: DEFAULT_SLOTS,
    group: "Machine",
    help: "most responses decoded side by side; no fewer than --samples",
  },
  ...inferenceMemory,
  ...backend,
  ...common,
} as const satisfies OptionTable;

/** Options of `sppo score`. */
export const scoreOptions = {
  ...model,
  ...adapter,
  ...template,
  input: {
    type: "text",
    value: "FILE",
    required: true,
    group: "Data",
    help: "records with prompt and response, or with token_ids and finish_reason",
  },
  ...promptColumn,
  ...output,
  maxLength: {
    type: "integer",
    min: 2,
    group: "Model",
    help: "longest prompt with response in tokens (default: the model's positions)",
  },
  tokensPerBatch: {
    ...trainOptions.tokensPerBatch,
    default: DEFAULT_TOKENS_PER_BATCH,
    group: "Machine",
    help: "tokens computed at once",
  },
  ...inferenceMemory,
  ...backend,
  ...common,
} as const satisfies OptionTable;

/** Options of `sppo judge`. */
export const judgeOptions = {
  judge: {
    type: "text",
    value: "JUDGE",
    required: true,
    group: "Judge",
    help: "what compares responses: a short form (sppo help judge) or a TypeScript module",
  },
  ...backend,
  estimator: trainOptions.estimator,
  preferenceTemperature: trainOptions.preferenceTemperature,
  selfTerm: trainOptions.selfTerm,
  input: {
    type: "text",
    value: "FILE",
    required: true,
    group: "Data",
    help: "records with prompt and responses, as sppo generate writes them",
  },
  ...promptColumn,
  ...output,
  ...common,
} as const satisfies OptionTable;

/** Options of `sppo game`. */
export const gameOptions = {
  file: {
    type: "text",
    value: "FILE",
    required: true,
    positional: true,
    group: "Game",
    help: "the game: .txt, or records in .jsonl, .json, .csv or .parquet",
  },
  win: {
    type: "number",
    above: 0,
    group: "Game",
    help: "payoff of a sure win, of a file of payoffs (default: the largest in it)",
  },
  prior: {
    type: "number",
    min: 0,
    default: 0,
    group: "Game",
    help: "votes for each side that nobody cast, of a file of votes",
  },
  algorithms: {
    type: "list",
    value: "NAMES",
    default: ["hedge", "hedge-optimistic", "sppo", "sppo-hard", "sppo-scores", "nash-md"],
    group: "Self-play",
    help: "what to play",
  },
  rounds: {
    type: "integer",
    min: 2,
    max: 2 ** 24,
    default: 4096,
    group: "Self-play",
    help: "T, the longest run; shorter ones are halves of it down to 64",
  },
  eta: {
    type: "number",
    above: 0,
    group: "Self-play",
    help: "in place of each algorithm's own for T rounds",
  },
  samples: {
    type: "integer",
    min: 2,
    default: 5,
    group: "Self-play",
    help: "K of the algorithms that sample",
  },
  votes: {
    type: "integer",
    min: 1,
    group: "Self-play",
    help: "noisy votes per comparison of those that sample (default: exact preferences)",
  },
  start: {
    type: "list",
    value: "SHARES",
    group: "Self-play",
    help: "first mixture, and the reference of those that have one (default: uniform)",
  },
  seed: sampling.seed,
  plots: {
    type: "text",
    value: "DIR",
    group: "Data",
    help: "folder to draw gap.svg in, and simplex.svg of a game of three answers",
  },
  json: { type: "text", value: "FILE", group: "Data", help: "file to write all figures to" },
  ...common,
} as const satisfies OptionTable;

/** Options of `sppo export`. */
export const exportOptions = {
  ...model,
  ...adapter,
  format: {
    type: "choice",
    choices: ["safetensors", "gguf", "onnx", "peft"],
    required: true,
    group: "Output",
    help: "what is written",
  },
  dtype: {
    type: "choice",
    choices: ["f32", "f16", "bf16", "q8_0"],
    group: "Output",
    help: "how weights are stored (default: f32; f16 in gguf, which takes q8_0 too)",
  },
  out: {
    type: "text",
    value: "PATH",
    required: true,
    group: "Output",
    help: "folder to make, or the .gguf file",
  },
  ...common,
} as const satisfies OptionTable;

/** Options of `sppo compare`. */
export const compareOptions = {
  runs: {
    type: "list",
    value: "RUNS",
    required: true,
    positional: true,
    group: "Data",
    help: "folders of runs of sppo train",
  },
  metrics: {
    type: "list",
    value: "NAMES",
    group: "Data",
    help: "names in metrics.jsonl, a panel each (default: win rates, log-ratios, rewards)",
  },
  output: {
    type: "text",
    value: "FILE",
    default: "compare.svg",
    group: "Data",
    help: "picture to write, as SVG",
  },
  ...common,
} as const satisfies OptionTable;

/** Options of `sppo info`. */
export const infoOptions = {
  ...model,
  tokensPerBatch: trainOptions.tokensPerBatch,
  logitsMemory: trainOptions.logitsMemory,
  checkpointing: trainOptions.checkpointing,
  keepEncoded: trainOptions.keepEncoded,
  trainable: trainOptions.trainable,
  loraRank: trainOptions.loraRank,
  loraTargets: trainOptions.loraTargets,
  preset: trainOptions.preset,
  optimizer: trainOptions.optimizer,
  precision: trainOptions.precision,
  sampledAdapter: trainOptions.sampledAdapter,
  iterations: trainOptions.iterations,
  promptsPerIteration: trainOptions.promptsPerIteration,
  epochs: trainOptions.epochs,
  batch: trainOptions.batch,
  samples: trainOptions.samples,
  promptsPerBatch: trainOptions.promptsPerBatch,
  maxTokens: trainOptions.maxTokens,
  promptTokens: {
    type: "integer",
    min: 1,
    default: 128,
    group: "Sampling",
    help: "tokens of a prompt",
  },
  promptCount: {
    type: "integer",
    min: 1,
    default: 100,
    group: "Data",
    help: "prompts of the run, for the time that it takes",
  },
  ...memory,
  ...backend,
  ...common,
} as const satisfies OptionTable;

/** The tables by command. */
export const tables = {
  train: trainOptions,
  generate: generateOptions,
  score: scoreOptions,
  judge: judgeOptions,
  "judge train": judgeTrainOptions,
  "judge compare": judgeCompareOptions,
  game: gameOptions,
  export: exportOptions,
  compare: compareOptions,
  info: infoOptions,
  bench: benchOptions,
} as const;

/** Name of a command that has options. */
export type CommandName = keyof typeof tables;
