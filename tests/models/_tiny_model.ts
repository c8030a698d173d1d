/** The tiny random Llama on a backend, with prompts and responses for it. */

import type { Prompt, TrainingGroup } from "../../core/mod.ts";
import type { Backend } from "../../graph/mod.ts";
import {
  LanguageModel,
  type LanguageModelOptions,
  loadAdapter,
  type LoadedAdapter,
  type LocalPolicy,
} from "../../models/mod.ts";
import { dataFiles, type StoredNumbers, tinyLlama } from "./_tiny_llama.ts";

/** Tokens of the tiny model. */
export const VOCAB_SIZE = 67;

/** Runs on a backend of one thread and frees it. */
export async function withBackend(run: (backend: Backend) => Promise<void>): Promise<void> {
  // Reached here, as the suite of backends runs in browsers too.
  const { createOnnxBackend } = await import("../../backends/onnx/mod.ts");
  const backend = await createOnnxBackend({ threads: 1 });
  try {
    await run(backend);
  } finally {
    await backend.dispose();
  }
}

/** How to load the tiny model. */
export interface TinyModelOptions extends Omit<LanguageModelOptions, "template"> {
  readonly variant?: "tiny_llama" | "tiny_llama_untied";
  readonly endOfTurnIds?: readonly number[];
  /** 128 in its configuration; there is no table of positions. */
  readonly maxPositions?: number;
}

/** Loads the tiny model, whose texts are numbers with spaces between. */
export async function tinyModel(
  backend: Backend,
  { variant = "tiny_llama", endOfTurnIds = [], maxPositions, ...options }: TinyModelOptions = {},
): Promise<LanguageModel> {
  const checkpoint = await tinyLlama(variant);
  const text = async () => ({ ...await checkpoint.text(), eosIds: endOfTurnIds, endOfTurnIds });
  const config = { ...checkpoint.config, ...(maxPositions === undefined ? {} : { maxPositions }) };
  return await LanguageModel.load({ ...checkpoint, config, text }, backend, {
    template: "none",
    ...options,
  });
}

/** The adapter of the stored numbers: rank 4 on every linear layer. */
export async function tinyAdapter(): Promise<LoadedAdapter> {
  const { config } = await tinyLlama();
  const files = ["adapter_config.json", "adapter_model.safetensors"];
  return await loadAdapter(await dataFiles("tiny_llama_adapter", files), config);
}

/** Every linear layer of a block. */
export const LINEAR_LAYERS = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
];

/** A new adapter of rank 4 on every linear layer. */
export const LORA = {
  kind: "lora",
  lora: { rank: 4, alpha: 8, targets: LINEAR_LAYERS },
} as const;

/** A prompt of token ids. */
export function promptOf(id: string, ids: readonly number[]): Prompt {
  return { id, content: ids.join(" ") };
}

/** Prompts of 1 to `longest` tokens, different ones, always the same. */
export function somePrompts(count: number, longest = 9): Prompt[] {
  return Array.from({ length: count }, (_, index) => {
    const length = 1 + (index * 5) % longest;
    const ids = Array.from({ length }, (_, at) => 3 + (index * 31 + at * 17 + at * at) % 64);
    return promptOf(`p${index}`, ids);
  });
}

/** The pairs of the stored numbers, with targets η (P̂ − ½) and weights ½. */
export function trainingGroups({ groups, eta }: StoredNumbers): TrainingGroup[] {
  return groups.map(({ prompt_ids, responses }, index) => ({
    prompt: promptOf(`${index}`, prompt_ids),
    responses: responses.map(({ ids, win_rate }) => ({
      response: { text: ids.join(" "), tokenIds: ids },
      target: eta * (win_rate - 0.5),
      weight: 0.5,
      winRate: win_rate,
    })),
  }));
}

/** Log-probabilities of the tokens of every response of the groups, in one list. */
export async function groupLogProbs(
  policy: LocalPolicy,
  groups: readonly TrainingGroup[],
): Promise<number[][]> {
  const asked = groups.map(({ prompt, responses }) => ({
    prompt,
    responses: responses.map(({ response }) => response),
  }));
  const all: number[][] = [];
  for await (const group of policy.logProbs(asked)) {
    all.push(...group.map((logProbs) => [...logProbs]));
  }
  return all;
}

/** Sum of numbers. */
export function sum(values: ArrayLike<number>): number {
  return Array.from(values).reduce((total, value) => total + value, 0);
}
