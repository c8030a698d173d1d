/** The tiny random Llama of `tests/parity/tiny_llama_lora.py`, its adapter and its stored numbers. */

import {
  type ByteSource,
  bytesSource,
  type Checkpoint,
  type FloatTensor,
  openCheckpoint,
} from "../../models/mod.ts";
import type { TextCodec } from "../../models/mod.ts";

const DATA = new URL("../parity/data/", import.meta.url);

/** Reads a JSON file of the stored numbers. */
export async function storedNumbers<T>(name: string): Promise<T> {
  return await (await fetch(new URL(name, DATA))).json() as T;
}

/** Files of a folder of the parity data. */
export async function dataFiles(
  folder: string,
  names: readonly string[],
): Promise<Record<string, ByteSource>> {
  const files = await Promise.all(names.map(async (name) => {
    const file = await fetch(new URL(`${folder}/${name}`, DATA));
    return [name, bytesSource(name, new Uint8Array(await file.arrayBuffer()))] as const;
  }));
  return Object.fromEntries(files);
}

/** Tokens are given as numbers, so the tests need no tokenizer: text is ids with spaces between. */
export function numbersAsText(vocabSize: number): TextCodec {
  const encode = (text: string) => text.split(" ").map(Number);
  const decode = (ids: readonly number[]) => ids.join(" ");
  return {
    tokenizer: { vocabSize, encode, decode },
    eosIds: [],
    endOfTurnIds: [],
    encodePrompt: (prompt) => encode(String(prompt)),
    encodeResponse: encode,
    decode,
  };
}

/** Opens a checkpoint of the parity data, whose texts are token ids. */
export async function openStored(folder: string): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(
    await dataFiles(folder, ["config.json", "model.safetensors"]),
  );
  return { ...checkpoint, text: () => Promise.resolve(numbersAsText(checkpoint.config.vocabSize)) };
}

/** Opens a tiny Llama of the parity data. */
export async function tinyLlama(
  name: "tiny_llama" | "tiny_llama_untied" = "tiny_llama",
): Promise<Checkpoint> {
  return await openStored(name);
}

/** One optimizer's run in the stored numbers. */
export interface StoredRun {
  readonly lr: number;
  readonly max_grad_norm: number | null;
  readonly weight_decay?: number;
  readonly steps: readonly { readonly loss: number; readonly grad_norm: number }[];
  readonly final_loss: number;
  readonly final_token_log_probs: readonly (readonly (readonly number[])[])[];
}

/** The stored numbers of one variant. */
export interface StoredVariant {
  readonly base_token_log_probs: readonly (readonly (readonly number[])[])[];
  readonly adapter_token_log_probs: readonly (readonly (readonly number[])[])[];
  readonly previous_log_probs: readonly (readonly number[])[];
  readonly sppo: {
    readonly loss: number;
    readonly grad_norm: number;
    readonly gradients: Readonly<Record<string, { readonly values: readonly number[] }>>;
  };
  readonly runs: Readonly<
    Record<"adamw" | "adamw_clipped" | "rmsprop" | "rmsprop_clipped" | "full_adamw", StoredRun>
  >;
  readonly greedy: readonly {
    readonly prompt_ids: readonly number[];
    readonly base: { readonly ids: readonly number[] };
    readonly adapter: { readonly ids: readonly number[] };
  }[];
}

/** `tests/parity/data/tiny_llama_lora.json`. */
export interface StoredNumbers {
  readonly eta: number;
  readonly groups: readonly {
    readonly prompt_ids: readonly number[];
    readonly responses: readonly { readonly ids: readonly number[]; readonly win_rate: number }[];
  }[];
  readonly variants: Readonly<Record<"tiny_llama" | "tiny_llama_untied", StoredVariant>>;
}

export type { FloatTensor };
