/**
 * PairRM: a DeBERTa that reads a prompt with two responses and says which is better (Jiang et al.
 * 2023, arXiv:2306.02561).
 *
 * @module
 */

import type { Message } from "../../core/policy.ts";
import type { Backend, TensorSource } from "../../graph/mod.ts";
import type { DebertaConfig } from "../architectures/deberta_config.ts";
import { readJsonObject } from "../checkpoints/byte_source.ts";
import { debertaConfigFromJson, debertaConfigFromTensors } from "../checkpoints/deberta_json.ts";
import type { CheckpointFiles } from "../checkpoints/open.ts";
import { openShardedSafetensors, ownFile } from "../checkpoints/safetensors.ts";
import { huggingFaceTokenizer } from "../text/huggingface_tokenizer.ts";
import { pairHead } from "./pair_head.ts";
import { type PairLayout, pairLayout } from "./pair_layout.ts";
import { SequenceReader, type SequenceReaderOptions } from "./sequence_reader.ts";
import { debertaTrunk } from "./trunk.ts";

/** Longest tokenizer.json that is read, in bytes. */
const MAX_JSON_BYTES = 64 << 20;
/** Tokens of one run: of 512-token pairs, one at a time takes a tenth less than four (docs/performance.md). */
const TOKENS_PER_BATCH = 512;
/** What both checkpoints put before the encoder's names. */
const PREFIX = "pretrained_model.";

/** PairRM on a backend. */
export class PairRanker {
  /** Covers weights and layout. */
  readonly id: string;
  readonly #layout: PairLayout;
  readonly #reader: SequenceReader;

  private constructor(layout: PairLayout, reader: SequenceReader) {
    this.id = reader.id;
    this.#layout = layout;
    this.#reader = reader;
  }

  /**
   * Reads a checkpoint: the files of llm-blender/PairRM (whose `config.json` describes a ranker, not
   * a DeBERTa, so that sizes are those of the tensors) or of PairRM-hf, with `tokenizer.json`. A run
   * reads 512 tokens where `tokensPerBatch` is not given.
   *
   * @throws {Error} If a file or tensor is absent.
   * @throws {RangeError} If the model is not a PairRM, or has a feature that is not supported.
   */
  static async load(
    files: CheckpointFiles,
    backend: Backend,
    options: SequenceReaderOptions = {},
  ): Promise<PairRanker> {
    const json = async (name: string) => {
      const file = ownFile(files, name);
      if (!file) {
        throw new Error(`Cannot open PairRM as ${name} must be there: it is absent`);
      }
      return await readJsonObject(file, {
        maxBytes: MAX_JSON_BYTES,
        ...(options.signal ? { signal: options.signal } : {}),
      });
    };
    const description = await json("config.json");
    const { tensors: stored } = await openShardedSafetensors(files, options);
    const tensors = withoutPrefix(stored);
    const config = rankerConfig(description, tensors);
    const tasks = tensors.get("head_layer.4.weight")?.shape[0] ?? 1;
    const tokenizerJson = await json("tokenizer.json");
    const tokenizer = await huggingFaceTokenizer(tokenizerJson);
    if (tokenizer.vocabSize > config.vocabSize) {
      throw new RangeError(
        `Cannot open PairRM as its tokens must be at most the model's ${config.vocabSize}: ${tokenizer.vocabSize}`,
      );
    }
    const layout = pairLayout(tokenizer, specialTexts(tokenizerJson));
    const reader = await SequenceReader.load(
      debertaTrunk(config),
      pairHead(config.hiddenSize, tasks),
      tensors,
      backend,
      { tokensPerBatch: TOKENS_PER_BATCH, ...options },
    );
    return new PairRanker(layout, reader);
  }

  /**
   * Logits of ordered pairs of responses to a prompt: above 0 where the left one is better.
   *
   * @param pairs Indices (left, right) into `responses`.
   */
  async logits(
    prompt: string | readonly Message[],
    responses: readonly string[],
    pairs: readonly (readonly [number, number])[],
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Float64Array> {
    const sequences = this.#layout.encode(prompt, responses, pairs);
    const outputs = await this.#reader.read(sequences, { signal });
    return Float64Array.from(outputs, ([logit]) => logit!);
  }

  /** Frees the weights and the program. */
  dispose(): Promise<void> {
    return this.#reader.dispose();
  }
}

/** Tensors of the encoder by the names it gives them; the head's stay. */
function withoutPrefix(
  tensors: ReadonlyMap<string, TensorSource>,
): ReadonlyMap<string, TensorSource> {
  const plain = new Map<string, TensorSource>();
  for (const [name, source] of tensors) {
    plain.set(name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name, source);
  }
  return plain;
}

function rankerConfig(
  description: Readonly<Record<string, unknown>>,
  tensors: ReadonlyMap<string, TensorSource>,
): DebertaConfig {
  if (description["model_type"] !== "deberta-v2" && "ranker_type" in description) {
    const trunk = String(description["model_name"]);
    if (!/deberta-v3/.test(trunk)) {
      throw new RangeError(
        `Cannot open PairRM as its model_name must be a DeBERTa-v3: ${JSON.stringify(trunk)}`,
      );
    }
    return debertaConfigFromTensors(tensors, "model.safetensors");
  }
  return debertaConfigFromJson(description);
}

/** Texts of the special tokens of a tokenizer.json. */
function specialTexts(json: Readonly<Record<string, unknown>>): string[] {
  const added = json["added_tokens"];
  if (!Array.isArray(added)) return [];
  return added.flatMap((token) =>
    token?.special === true && typeof token.content === "string" && token.content !== ""
      ? [token.content as string]
      : []
  );
}
