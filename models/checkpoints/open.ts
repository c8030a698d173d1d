/**
 * Opens a checkpoint of any supported format.
 *
 * @module
 */

import type { TensorSource } from "../../graph/tensor_source.ts";
import { type DecoderConfig, layoutOf, requiredTensors } from "../architectures/mod.ts";
import { createTextCodec, type TextCodec } from "../text/text_codec.ts";
import {
  describeGgufTokenizer,
  ggufTokenizer,
  type TokenizerDescription,
} from "../text/gguf_tokenizer.ts";
import { huggingFaceTokenizer } from "../text/huggingface_tokenizer.ts";
import { llama2cTokenizer } from "../text/llama2c_tokenizer.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { type ByteSource, readJsonObject, type ReadOptions, readText } from "./byte_source.ts";
import { openGguf } from "./gguf.ts";
import { configFromGguf } from "./gguf_config.ts";
import { configFromHuggingFace } from "./huggingface_config.ts";
import { openLlama2c } from "./llama2c.ts";
import { ggufTensors, huggingFaceTensors } from "./names.ts";
import { openShardedSafetensors, ownFile } from "./safetensors.ts";

/** Files by their names, without folders. */
export type CheckpointFiles = Readonly<Record<string, ByteSource>>;

/** Formats that are told apart. */
export type CheckpointFormat = "huggingface" | "gguf" | "llama2c";

/** An opened checkpoint. Nothing but headers has been read. */
export interface Checkpoint {
  /** The format it was read from. */
  readonly format: CheckpointFormat;
  /** Its sizes and constants. */
  readonly config: DecoderConfig;
  /**
   * Exactly the tensors that the configuration calls for, with the right shapes, by Hugging Face's
   * names (`model.layers.0.self_attn.q_proj.weight`), query and key rows in Hugging Face's order
   * (rotary halves), the weights of all linear layers [out, in]. With tied embeddings there is no
   * `lm_head.weight`.
   */
  readonly tensors: ReadonlyMap<string, TensorSource>;
  /** Tensors of a head, where {@linkcode OpenOptions.head} asked for them. */
  readonly head?: ReadonlyMap<string, TensorSource>;
  /** What the file says about itself: GGUF's scalar metadata, safetensors' `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string | number | boolean>;
  /** Tokenizer and chat template; read on first call, then the same. */
  text(): Promise<TextCodec>;
  /**
   * The tokenizer as Hugging Face's files, for formats that hold it otherwise; undefined where it has
   * no such form.
   */
  describeTokenizer?(): TokenizerDescription | undefined;
}

/** Options of {@linkcode openCheckpoint}. */
export interface OpenOptions extends ReadOptions {
  /**
   * Names of tensors of a head on the hidden states (`score.weight`): they may be there, in a Hugging
   * Face folder, and are then given apart; the vocabulary matrix may be absent.
   */
  readonly head?: RegExp;
}

const MAX_JSON_BYTES = 64 << 20;

/**
 * Opens a checkpoint: a GGUF file; a Hugging Face folder's files (`config.json`,
 * `model.safetensors` or shards with their index, `tokenizer.json`, `tokenizer_config.json`,
 * `chat_template.jinja`); or a llama2.c checkpoint `*.bin` with its tokenizer `tok*.bin`.
 *
 * @param files The files by name; ones that are not part of a checkpoint are ignored.
 * @throws {SyntaxError} If a file is not what its format says.
 * @throws {RangeError} If the model is of an unknown architecture or has a feature that is not
 * supported.
 * @throws {Error} If a file or a tensor is absent, or a tensor has another shape than the
 * configuration calls for.
 */
export async function openCheckpoint(
  files: CheckpointFiles,
  options: OpenOptions = {},
): Promise<Checkpoint> {
  const named = (pattern: RegExp) => Object.keys(files).filter((name) => pattern.test(name)).sort();
  const ggufs = named(/\.gguf$/i);
  if (ggufs.length > 0) return await openGgufCheckpoint(files, ggufs, options);
  if (ownFile(files, "config.json")) return await openHuggingFace(files, options);
  const bins = named(/\.bin$/i).filter((name) => !/^tok/i.test(name));
  if (bins.length > 0) return await openLlama2cCheckpoint(files, bins, options);
  throw new Error(
    `Cannot open the checkpoint as it must have a .gguf file, a config.json or a llama2.c .bin file: ${
      Object.keys(files).slice(0, 20).join(", ") || "no files"
    }`,
  );
}

function onlyOne(files: CheckpointFiles, names: readonly string[]): ByteSource {
  const [name, ...others] = names;
  if (name === undefined || others.length > 0) {
    throw new Error(
      `Cannot open the checkpoint as there must be one model file (name it): ${names.join(", ")}`,
    );
  }
  return files[name]!;
}

async function openGgufCheckpoint(
  files: CheckpointFiles,
  names: readonly string[],
  options: ReadOptions,
): Promise<Checkpoint> {
  const file = onlyOne(files, names);
  const gguf = await openGguf(file, options);
  const config = await configFromGguf(gguf, file.name);
  const found = ggufTensors(gguf.tensors, config);
  const template = gguf.metadata.get("tokenizer.chat_template");
  const metadata = new Map<string, string | number | boolean>();
  for (const [key, value] of gguf.metadata) {
    if (typeof value === "bigint") metadata.set(key, String(value));
    else if (typeof value !== "object") metadata.set(key, value);
  }
  return {
    format: "gguf",
    config,
    tensors: selectTensors(found, config, file.name),
    metadata,
    text: once(async () => {
      const tokenizer = await ggufTokenizer(gguf.metadata, file.name);
      requireFits(tokenizer, config);
      return await createTextCodec(tokenizer, {
        eosTokenIds: config.eosTokenIds,
        template: typeof template === "string" ? template : undefined,
      });
    }),
    describeTokenizer: () => describeGgufTokenizer(gguf.metadata, file.name),
  };
}

async function openHuggingFace(
  files: CheckpointFiles,
  options: OpenOptions,
): Promise<Checkpoint> {
  const json = (name: string) => {
    const file = ownFile(files, name);
    return file ? readJsonObject(file, { ...options, maxBytes: MAX_JSON_BYTES }) : undefined;
  };
  const described = configFromHuggingFace(
    await json("config.json") ?? {},
    await json("generation_config.json"),
  );
  const { tensors, metadata } = await openShardedSafetensors(files, options);
  const isHead = (name: string) => options.head?.test(name) === true;
  const ofHead = new Map([...tensors].filter(([name]) => isHead(name)));
  const others = new Map([...tensors].filter(([name]) => !isHead(name)));
  // A model with a head of its own need not bring the vocabulary matrix.
  const config = ofHead.size > 0 && !others.has("lm_head.weight")
    ? { ...described, tieWordEmbeddings: true }
    : described;
  return {
    format: "huggingface",
    config,
    tensors: selectTensors(huggingFaceTensors(others, config), config, "the checkpoint"),
    ...(options.head ? { head: ofHead } : {}),
    metadata,
    text: once(async () => {
      const description = await json("tokenizer.json");
      if (!description) {
        throw new Error("Cannot open the tokenizer as tokenizer.json must be there: it is absent");
      }
      const tokenizerConfig = await json("tokenizer_config.json") ?? {};
      const templateFile = ownFile(files, "chat_template.jinja");
      const template = templateFile
        ? await readText(templateFile, { ...options, maxBytes: MAX_JSON_BYTES })
        : templateIn(tokenizerConfig);
      const tokenizer = await huggingFaceTokenizer(description, tokenizerConfig);
      requireFits(tokenizer, config);
      return await createTextCodec(tokenizer, { eosTokenIds: config.eosTokenIds, template });
    }),
  };
}

/** `chat_template` is a string, or a list of named ones of which `default` counts. */
function templateIn(tokenizerConfig: Readonly<Record<string, unknown>>): string | undefined {
  const value = tokenizerConfig["chat_template"];
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const chosen = value.find((entry) => entry?.name === "default");
  return typeof chosen?.template === "string" ? chosen.template : undefined;
}

async function openLlama2cCheckpoint(
  files: CheckpointFiles,
  names: readonly string[],
  options: ReadOptions,
): Promise<Checkpoint> {
  const file = onlyOne(files, names);
  const { config, tensors } = await openLlama2c(file, options);
  return {
    format: "llama2c",
    config,
    tensors: selectTensors(tensors, config, file.name),
    metadata: new Map(),
    text: once(async () => {
      const tokenizers = Object.keys(files).filter((name) => /^tok.*\.bin$/i.test(name)).sort();
      if (tokenizers.length === 0) {
        throw new Error(
          `Cannot open the tokenizer as its tok*.bin must be beside ${file.name}: it is absent`,
        );
      }
      const tokenizer = await llama2cTokenizer(
        onlyOne(files, tokenizers),
        config.vocabSize,
        options,
      );
      return await createTextCodec(tokenizer, { eosTokenIds: config.eosTokenIds });
    }),
  };
}

/** Tensors that older exports hold and that follow from the configuration. */
const DERIVED = /(^|\.)rotary_emb\.inv_freq$/;

/** The required tensors, each checked; anything the model would not use is refused by name. */
function selectTensors(
  found: ReadonlyMap<string, TensorSource>,
  config: DecoderConfig,
  where: string,
): ReadonlyMap<string, TensorSource> {
  const selected = new Map<string, TensorSource>();
  const required = requiredTensors(config);
  const head = `${layoutOf(config).head}.weight`;
  for (const [name, shape] of required) {
    const source = found.get(name);
    if (!source) {
      throw new Error(`Cannot open ${where} as it must have the tensor ${name}: it has not`);
    }
    if (source.shape.join() !== shape.join()) {
      throw new Error(
        `Cannot open ${where} as ${name} must have shape [${shape.join(", ")}]: [${
          source.shape.join(", ")
        }]`,
      );
    }
    selected.set(name, source);
  }
  for (const name of found.keys()) {
    const redundant = DERIVED.test(name) || (config.tieWordEmbeddings && name === head);
    if (!required.has(name) && !redundant) {
      throw new Error(
        `Cannot open ${where} as every tensor must be part of the model: ${name} is not`,
      );
    }
  }
  return selected;
}

/** Ids beyond the embedding would read past its end. */
function requireFits(tokenizer: Tokenizer, config: DecoderConfig): void {
  if (tokenizer.vocabSize > config.vocabSize) {
    throw new RangeError(
      `Cannot open the tokenizer as its tokens must be at most the model's ${config.vocabSize}: ${tokenizer.vocabSize}`,
    );
  }
}

/** Runs at most once at a time; a failure may be tried again. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= make().catch((error) => {
      result = undefined;
      throw error;
    });
    return result;
  };
}
