/**
 * Options that several commands have.
 *
 * @module
 */

import type { OptionTable } from "./spec.ts";

/** Options of every command. */
export const common = {
  config: {
    type: "text",
    value: "FILE",
    flagOnly: true,
    resume: "free",
    group: "General",
    help: "JSON file of options; flags count before it",
  },
  verbose: {
    type: "switch",
    default: false,
    flagOnly: true,
    resume: "free",
    group: "General",
    help: "show where an error comes from",
  },
} as const satisfies OptionTable;

/** Which model. */
export const model = {
  model: {
    type: "text",
    value: "PATH",
    required: true,
    resume: "content",
    group: "Model",
    help:
      "folder, .gguf or llama2.c .bin file, embedded, owner/name in the hub's cache, hf:owner/name",
  },
  tokenizer: {
    type: "text",
    value: "PATH",
    resume: "content",
    group: "Model",
    help: "tok512.bin, tokenizer.json or a checkpoint that has a tokenizer (default: the model's)",
  },
} as const satisfies OptionTable;

/** Names of the backends. */
export const BACKENDS = [
  "onnx",
  "onnx-wasm",
  "onnx-webgpu",
  "tfjs-webgpu",
  "tfjs-wasm",
  "tfjs-cpu",
  "reference",
] as const;

/** Where to compute. */
export const backend = {
  backend: {
    type: "choice",
    choices: BACKENDS,
    default: "onnx",
    group: "Machine",
    help: "where tensor programs run: docs/backends.md",
  },
  threads: {
    type: "integer",
    min: 1,
    max: 1024,
    group: "Machine",
    help: "threads of one computation (default: all cores)",
  },
} as const satisfies OptionTable;

/** How much memory to take. */
export const memory = {
  memory: {
    type: "size",
    resume: "free",
    group: "Machine",
    help: "memory to keep to, such as 8GiB, by smaller batches and checkpointing",
  },
} as const satisfies OptionTable;

/** How much memory a command that trains nothing takes. */
export const inferenceMemory = {
  keepEncoded: {
    type: "switch",
    default: false,
    group: "Machine",
    help: "keep 4- and 8-bit weights as they are: less memory, the same float32 numbers",
  },
  memory: {
    type: "size",
    group: "Machine",
    help: "memory to keep to, such as 2GiB, by encoded weights and less side by side",
  },
} as const satisfies OptionTable;

/** How prompts are wrapped. */
export const template = {
  template: {
    type: "choice",
    choices: ["chat", "none"],
    group: "Model",
    help: "whether prompts are wrapped in the checkpoint's chat template (default: if it has one)",
  },
} as const satisfies OptionTable;

/** An adapter on the model. */
export const adapter = {
  adapter: {
    type: "text",
    value: "DIR",
    group: "Model",
    help: "PEFT adapter to put on the checkpoint",
  },
} as const satisfies OptionTable;

/** Where prompts stand in a file. */
export const promptColumn = {
  promptColumn: {
    type: "text",
    value: "NAME",
    default: "prompt",
    group: "Data",
    help: "column of the prompts",
  },
} as const satisfies OptionTable;

/** How to sample. */
export const sampling = {
  temperature: {
    type: "number",
    min: 0,
    default: 0.7,
    group: "Sampling",
    help: "sampling temperature; 0 is greedy",
  },
  topP: {
    type: "number",
    above: 0,
    max: 1,
    default: 0.9,
    group: "Sampling",
    help: "smallest probability mass kept; 1 keeps all",
  },
  topK: {
    type: "integer",
    min: 0,
    default: 0,
    group: "Sampling",
    help: "number of most likely tokens kept; 0 keeps all",
  },
  minP: {
    type: "number",
    min: 0,
    max: 1,
    default: 0,
    group: "Sampling",
    help: "share of the likeliest token's probability below which tokens are dropped",
  },
  maxTokens: {
    type: "integer",
    min: 1,
    default: 128,
    group: "Sampling",
    help: "longest response in tokens",
  },
  seed: {
    type: "integer",
    min: 0,
    max: 2 ** 32 - 1,
    default: 0,
    group: "Sampling",
    help: "seed of everything that is drawn",
  },
} as const satisfies OptionTable;

/** With which arithmetic to sample. */
const precision = {
  type: "choice",
  choices: ["auto", "float32", "fast"],
  group: "Sampling",
  help: "float32; fast: 4- or 8-bit weights as they are, 8-bit activations; auto: the faster",
} as const;

/** Where the adapter is while sampling. */
const sampledAdapter = {
  type: "choice",
  choices: ["auto", "apart", "merged"],
  group: "Sampling",
  help: "apart, or merged into a copy of float32 weights; auto: the faster",
} as const;

/** How responses are computed that are read with their log-probabilities. */
export const generateArithmetic = {
  precision: { ...precision, default: "float32" },
  sampledAdapter: { ...sampledAdapter, default: "apart" },
} as const satisfies OptionTable;

/** How responses are computed that are scored again before they are trained on. */
export const trainArithmetic = {
  precision: { ...precision, default: "auto" },
  sampledAdapter: { ...sampledAdapter, default: "auto" },
} as const satisfies OptionTable;

/** Where records go. */
export const output = {
  output: {
    type: "text",
    value: "FILE",
    default: "-",
    group: "Data",
    help: "file to write; - is standard output",
  },
} as const satisfies OptionTable;
