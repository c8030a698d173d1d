/** The tiny checkpoints of `tests/parity/architectures.py` and their stored numbers. */

import {
  type ByteSource,
  bytesSource,
  type Checkpoint,
  openCheckpoint,
  openSafetensors,
} from "../../models/mod.ts";
import { huggingFaceTensors } from "../../models/checkpoints/names.ts";
import { readAsFloat32 } from "../../graph/mod.ts";
import { numbersAsText } from "./_tiny_llama.ts";

const DATA = new URL("../parity/data/architectures/", import.meta.url);

/** One configuration of a checkpoint in `architectures.json`. */
export interface StoredVariant {
  readonly checkpoint: string;
  /** Fields of `config.json` that differ from the checkpoint's own. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** log p of each response's tokens, without an adapter and with it: [group][response][token]. */
  readonly base: readonly (readonly (readonly number[])[])[];
  readonly adapter: readonly (readonly (readonly number[])[])[];
  readonly base_loss: number;
  readonly adapter_loss: number;
  readonly base_greedy: readonly { readonly ids: readonly number[] }[];
  readonly adapter_greedy: readonly { readonly ids: readonly number[] }[];
}

/** `architectures.json`. */
export interface StoredNumbers {
  readonly groups: readonly {
    readonly prompt_ids: readonly number[];
    readonly responses: readonly (readonly number[])[];
  }[];
  readonly variants: Readonly<Record<string, StoredVariant>>;
}

/** The stored numbers. */
export async function storedNumbers(): Promise<StoredNumbers> {
  return JSON.parse(await Deno.readTextFile(new URL("architectures.json", DATA)));
}

async function source(path: string): Promise<ByteSource> {
  return bytesSource(path.split("/").at(-1)!, await Deno.readFile(new URL(path, DATA)));
}

/** Every file of a folder: a checkpoint, or its adapter. */
export async function folderFiles(name: string): Promise<Record<string, ByteSource>> {
  const files: Record<string, ByteSource> = {};
  for await (const { name: file, isFile } of Deno.readDir(new URL(`${name}/`, DATA))) {
    if (isFile) files[file] = await source(`${name}/${file}`);
  }
  return files;
}

/** A checkpoint's folder, with some fields of its `config.json` replaced. */
async function changedFiles(
  name: string,
  change: Readonly<Record<string, unknown>> = {},
): Promise<Record<string, ByteSource>> {
  const files = await folderFiles(name);
  const config = JSON.parse(await Deno.readTextFile(new URL(`${name}/config.json`, DATA)));
  const changed = new TextEncoder().encode(JSON.stringify({ ...config, ...change }));
  return { ...files, "config.json": bytesSource("config.json", changed) };
}

/** Opens the folder of a variant. Texts are token ids with spaces between. */
export async function openVariant({ checkpoint, config }: StoredVariant): Promise<Checkpoint> {
  const opened = await openCheckpoint(await changedFiles(checkpoint, config));
  return { ...opened, text: () => Promise.resolve(numbersAsText(opened.config.vocabSize)) };
}

/** Opens the GGUF file of a checkpoint. */
export async function openGgufOf(name: string): Promise<Checkpoint> {
  return await openCheckpoint({ [`${name}.gguf`]: await source(`${name}.gguf`) });
}

/** Stored gradients by our names, of the weights or of the adapter. */
export async function storedGradients(
  variant: string,
  { checkpoint }: StoredVariant,
  config: Checkpoint["config"],
  of: "weights" | "adapter",
): Promise<Map<string, Float32Array>> {
  const file = variant === checkpoint
    ? `${checkpoint}/gradients.safetensors`
    : `${variant}_gradients.safetensors`;
  const { tensors } = await openSafetensors(await source(file));
  const gradients = new Map<string, Float32Array>();
  for (const [name, tensor] of huggingFaceTensors(tensors, config)) {
    if (name.includes(".lora_") === (of === "adapter")) {
      gradients.set(name, await readAsFloat32(tensor));
    }
  }
  return gradients;
}
