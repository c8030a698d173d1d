/**
 * A model that reads one response at a time and gives some numbers of it: a reward, an embedding.
 *
 * @module
 */

import type { Message } from "../../core/policy.ts";
import type { Backend, TensorSource } from "../../graph/mod.ts";
import { readJsonObject } from "../checkpoints/byte_source.ts";
import { debertaConfigFromJson } from "../checkpoints/deberta_json.ts";
import { type CheckpointFiles, openCheckpoint } from "../checkpoints/open.ts";
import { openShardedSafetensors, ownFile } from "../checkpoints/safetensors.ts";
import { huggingFaceTokenizer } from "../text/huggingface_tokenizer.ts";
import { hashText } from "../content_hash.ts";
import { type ConversationLayout, decoderLayout, encoderLayout } from "./conversation_layout.ts";
import { debertaClassifier, linearHead, type PoolerActivation } from "./response_heads.ts";
import {
  type Head,
  SequenceReader,
  type SequenceReaderOptions,
  type TrunkAdapter,
} from "./sequence_reader.ts";
import { debertaTrunk, decoderTrunk, type Trunk } from "./trunk.ts";

/** Options of {@linkcode ResponseReader}. */
export interface ResponseReaderOptions extends SequenceReaderOptions {
  /** Most tokens of a prompt with its response; all the trunk has positions for when not given. */
  readonly maxTokens?: number;
}

/** What a reader is made of. */
export interface ReaderParts {
  /** Text to tokens. */
  readonly layout: ConversationLayout;
  /** Tokens to hidden states. */
  readonly trunk: Trunk;
  /** Hidden states to numbers. */
  readonly head: Head;
  /** The tensors of both. */
  readonly tensors: ReadonlyMap<string, TensorSource>;
  /** An adapter on the trunk. */
  readonly adapter?: TrunkAdapter;
  /** Most tokens of a prompt with its response that the parts were trained on. */
  readonly maxTokens?: number;
}

/** Tokens of a sequence where neither the trunk nor an option has a limit. */
const UNBOUNDED_TOKENS = 4096;

/** A trunk with a head that reads responses one by one, on a backend. */
export class ResponseReader {
  /** Covers weights, layout and settings. */
  readonly id: string;
  readonly #layout: ConversationLayout;
  readonly #reader: SequenceReader;
  readonly #maxTokens: number;

  private constructor(layout: ConversationLayout, reader: SequenceReader, maxTokens: number) {
    this.id = hashText(JSON.stringify([reader.id, layout.settings, maxTokens]));
    this.#layout = layout;
    this.#reader = reader;
    this.#maxTokens = maxTokens;
  }

  /** Puts the parts on a backend. */
  static async load(
    { layout, trunk, head, tensors, adapter, maxTokens: own = UNBOUNDED_TOKENS }: ReaderParts,
    backend: Backend,
    { maxTokens = own, ...options }: ResponseReaderOptions = {},
  ): Promise<ResponseReader> {
    const most = Math.min(maxTokens, trunk.maxPositions ?? Infinity);
    const reader = await SequenceReader.load(trunk, head, tensors, backend, {
      ...options,
      adapter,
    });
    return new ResponseReader(layout, reader, most);
  }

  /** The head's numbers of each response. */
  async read(
    prompt: string | readonly Message[],
    responses: readonly string[],
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Float32Array[]> {
    const sequences = responses.map((response) =>
      this.#layout.encode(prompt, response, this.#maxTokens)
    );
    return await this.#reader.read(sequences, { signal });
  }

  /** The first number of each response: a reward model's reward. */
  async rewards(
    prompt: string | readonly Message[],
    responses: readonly string[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Float64Array> {
    const read = await this.read(prompt, responses, options);
    return Float64Array.from(read, ([reward]) => reward!);
  }

  /** Frees the weights and the program. */
  dispose(): Promise<void> {
    return this.#reader.dispose();
  }
}

/** Longest JSON file that is read, in bytes. */
const MAX_JSON_BYTES = 64 << 20;
const DEBERTA_PREFIX = "deberta.";
/** Heads of one linear layer, by the names checkpoints give them. */
const LINEAR_HEAD = /^(score|value_head)\.weight$/;

/**
 * The parts of a sequence classifier as transformers saves it: a DebertaV2ForSequenceClassification
 * (`classifier.weight` behind a pooler), or a decoder with `score.weight`; or one with `value_head`
 * as general-preference-model saves it.
 *
 * @throws {Error} If a file or tensor is absent.
 * @throws {RangeError} If it is no such model, or has a feature that is not supported.
 */
export async function openClassifier(files: CheckpointFiles): Promise<ReaderParts> {
  const read = async (name: string) => {
    const file = ownFile(files, name);
    if (!file) throw new Error(`Cannot open the judge as ${name} must be there: it is absent`);
    return await readJsonObject(file, { maxBytes: MAX_JSON_BYTES });
  };
  const json = await read("config.json");
  if (json["model_type"] === "deberta-v2") return await openDeberta(files, json, read);
  const { config, tensors, head = new Map(), text } = await openCheckpoint(files, {
    head: LINEAR_HEAD,
  });
  const [found, ...others] = [...head.values()] as TensorSource[];
  if (found === undefined || others.length > 0) {
    throw new RangeError(
      "Cannot open the judge as it must have one head, score.weight or value_head.weight: " +
        ([...head.keys()].join(", ") || "none"),
    );
  }
  const outputs = found.shape[0] ?? 0;
  return {
    layout: await decoderLayout(await text()),
    trunk: decoderTrunk(config),
    head: linearHead(found.name.replace(/\.weight$/, ""), config.hiddenSize, outputs),
    tensors: new Map([...tensors, ...head]),
  };
}

async function openDeberta(
  files: CheckpointFiles,
  json: Readonly<Record<string, unknown>>,
  read: (name: string) => Promise<Record<string, unknown>>,
): Promise<ReaderParts> {
  const config = debertaConfigFromJson(json);
  const { tensors: stored } = await openShardedSafetensors(files);
  const tensors = new Map(
    [...stored].map(([name, source]) =>
      [name.startsWith(DEBERTA_PREFIX) ? name.slice(DEBERTA_PREFIX.length) : name, source] as const
    ),
  );
  const activation = json["pooler_hidden_act"] ?? "gelu";
  if (activation !== "gelu" && activation !== "tanh") {
    throw new RangeError(
      `Cannot open the judge as pooler_hidden_act must be gelu or tanh: ${activation}`,
    );
  }
  const outputs = tensors.get("classifier.weight")?.shape[0] ?? 0;
  return {
    layout: encoderLayout(await huggingFaceTokenizer(await read("tokenizer.json"))),
    trunk: debertaTrunk(config),
    head: debertaClassifier(config.hiddenSize, outputs, activation as PoolerActivation),
    tensors,
  };
}

/**
 * The parts of a reward model: a classifier with one output.
 *
 * @throws {RangeError} When it has another number of outputs.
 */
export async function openRewardModel(files: CheckpointFiles): Promise<ReaderParts> {
  const parts = await openClassifier(files);
  const outputs = outputsOf(parts);
  if (outputs !== 1) {
    throw new RangeError(
      `Cannot open the reward model as its head must have one output: ${outputs}`,
    );
  }
  return parts;
}

/** Rows of the head's last matrix. */
export function outputsOf({ head }: ReaderParts): number {
  return head.tensors.findLast(({ name }) => name.endsWith(".weight"))?.shape[0] ?? 0;
}
