/**
 * Tokenizers that are not a checkpoint's own, and the files of one that belong beside trained weights.
 *
 * @module
 */

import { type ByteSource, readText } from "../models/checkpoints/byte_source.ts";
import {
  type Checkpoint,
  type CheckpointFiles,
  openCheckpoint,
} from "../models/checkpoints/open.ts";
import { huggingFaceTokenizer } from "../models/text/huggingface_tokenizer.ts";
import { llama2cTokenizer } from "../models/text/llama2c_tokenizer.ts";
import { createTextCodec, type TextCodec } from "../models/text/text_codec.ts";
import { oneLine, shortly } from "./errors.ts";

/** A checkpoint with the files that its tokenizer was opened from. */
export interface LoadedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly files: CheckpointFiles;
}

/** Longest tokenizer.json that is read, in bytes. */
const MAX_JSON_BYTES = 64 << 20;
const LLAMA2C_TOKENIZER = /^tok.*\.bin$/i;

/** A checkpoint with the tokenizer of a file: a tokenizer.json, or llama2.c's tok512.bin. */
export async function withTokenizer(
  { checkpoint, files }: LoadedCheckpoint,
  file: ByteSource,
): Promise<LoadedCheckpoint> {
  const isJson = /\.json$/i.test(file.name);
  const name = isJson
    ? "tokenizer.json"
    : LLAMA2C_TOKENIZER.test(file.name)
    ? file.name
    : `tok-${file.name}`;
  if (checkpoint.format === (isJson ? "huggingface" : "llama2c")) {
    const others = Object.entries(files).filter(([name]) => !LLAMA2C_TOKENIZER.test(name));
    const replaced = { ...Object.fromEntries(others), [name]: file };
    return { checkpoint: await openCheckpoint(replaced), files: replaced };
  }
  const read = isJson ? jsonText(checkpoint, file) : llama2cText(checkpoint, file);
  let text: Promise<TextCodec> | undefined;
  return { checkpoint: { ...checkpoint, text: () => text ??= read() }, files: { [name]: file } };
}

/** A Hugging Face folder with llama2.c's tokenizer, which training of a llama2.c checkpoint leaves. */
export async function withTokenizerBeside(opened: LoadedCheckpoint): Promise<LoadedCheckpoint> {
  const { checkpoint, files } = opened;
  if (checkpoint.format !== "huggingface" || Object.hasOwn(files, "tokenizer.json")) return opened;
  const beside = llama2cTokenizerIn(files);
  return beside === undefined ? opened : await withTokenizer(opened, beside);
}

/** The one tokenizer of llama2.c among files. */
export function llama2cTokenizerIn(files: CheckpointFiles): ByteSource | undefined {
  const found = Object.entries(files).filter(([name]) => LLAMA2C_TOKENIZER.test(name));
  return found.length === 1 ? found[0]![1] : undefined;
}

function llama2cText({ config }: Checkpoint, file: ByteSource): () => Promise<TextCodec> {
  return async () =>
    await createTextCodec(await llama2cTokenizer(file, config.vocabSize), {
      eosTokenIds: config.eosTokenIds,
    });
}

function jsonText(
  { config, metadata }: Checkpoint,
  file: ByteSource,
): () => Promise<TextCodec> {
  return async () => {
    const source = await readText(file, { maxBytes: MAX_JSON_BYTES });
    let description: unknown;
    try {
      description = JSON.parse(source);
    } catch (error) {
      throw new SyntaxError(`Cannot read ${file.name} as it must be JSON: ${oneLine(error)}`);
    }
    if (typeof description !== "object" || description === null) {
      throw new TypeError(
        `Cannot read ${file.name} as it must hold a JSON object: ${shortly(description)}`,
      );
    }
    const tokenizer = await huggingFaceTokenizer(description as Record<string, unknown>, {});
    const template = metadata.get("tokenizer.chat_template");
    return await createTextCodec(tokenizer, {
      eosTokenIds: config.eosTokenIds,
      template: typeof template === "string" ? template : undefined,
    });
  };
}

/** What belongs beside trained weights, where the checkpoint has it. */
const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "generation_config.json",
];

/**
 * The files that belong beside written weights, read.
 *
 * @param doing What is done with them, for messages.
 * @throws {Error} When the tokenizer is in no file of its own.
 */
export async function tokenizerFiles(
  { checkpoint, files }: LoadedCheckpoint,
  doing: string,
): Promise<Record<string, Uint8Array>> {
  const read = (file: ByteSource) => file.read(0, file.size);
  const found: Record<string, Uint8Array> = {};
  if (Object.hasOwn(files, "tokenizer.json")) {
    for (const name of TOKENIZER_FILES) {
      if (Object.hasOwn(files, name)) found[name] = await read(files[name]!);
    }
    const { template } = await checkpoint.text();
    if (template !== undefined && found["tokenizer_config.json"] === undefined) {
      found["chat_template.jinja"] = new TextEncoder().encode(template);
    }
    return found;
  }
  const file = llama2cTokenizerIn(files);
  if (file !== undefined) {
    const name = Object.keys(files).find((name) => files[name] === file)!;
    return { [name]: await read(file) };
  }
  const description = checkpoint.describeTokenizer?.();
  if (description !== undefined) {
    const json = (value: object) => new TextEncoder().encode(`${JSON.stringify(value)}\n`);
    const { template } = await checkpoint.text();
    return {
      "tokenizer.json": json({ version: "1.0", ...description.tokenizer }),
      "tokenizer_config.json": json({
        tokenizer_class: "PreTrainedTokenizerFast",
        ...description.config,
        ...(template === undefined ? {} : { chat_template: template }),
      }),
    };
  }
  throw new Error(
    `Cannot ${doing} as the tokenizer's file must stand beside the weights in the end: ${checkpoint.format} has none; give --tokenizer tokenizer.json`,
  );
}
