/**
 * A checkpoint on a backend: its weights, held once, and the programs that read them.
 *
 * @module
 */

import { lossOf, type LossSpec, type Prompt, type Response } from "../core/mod.ts";
import type { Backend, BoundExecutable, Executable, Program, Store } from "../graph/mod.ts";
import {
  ADAPTER,
  type DecoderConfig,
  decoderTensors,
  loraScale,
  type LoraShape,
  loraTensors,
  WEIGHTS,
} from "./architectures/mod.ts";
import type { Checkpoint } from "./checkpoints/open.ts";
import { contentHash, hashText } from "./content_hash.ts";
import { type DecodeWeights, plainWeights } from "./generation/decode_programs.ts";
import { DecoderPool } from "./generation/decoder_pool.ts";
import type { Decoder } from "./generation/generate.ts";
import { MergedWeights } from "./generation/merged_weights.ts";
import type { Precision } from "./generation/precision.ts";
import type { SampledAdapter } from "./generation/sampled_adapter.ts";
import {
  DEFAULT_CACHE_BYTES,
  DEFAULT_SLOTS,
  DEFAULT_TOKENS_PER_BATCH,
  type LanguageModelOptions,
} from "./language_model_options.ts";
import { loadWeights } from "./load_weights.ts";
import { LocalPolicy } from "./local_policy.ts";
import { newAdapter } from "./new_adapter.ts";
import { adapterFiles, checkpointFiles, checkTrained } from "./policy_files.ts";
import { decodeProgram } from "./programs/decode.ts";
import {
  gradientProgram,
  GRADIENTS,
  likelihoodProgram,
  type Trainable,
} from "./programs/likelihood.ts";
import {
  gradientNormProgram,
  MOMENTS,
  momentTensors,
  type OptimizerOptions,
  optimizerProgram,
} from "./programs/optimizer.ts";
import { LOGITS_BYTES, vocabularyChunks } from "./programs/vocabulary_chunks.ts";
import type { TextCodec } from "./text/text_codec.ts";
import type { Fit } from "./training/fit.ts";

/** One checkpoint on one backend. */
export class LanguageModel {
  /** Sizes and constants of the checkpoint. */
  readonly config: DecoderConfig;
  /** Text to tokens and back. */
  readonly text: TextCodec;
  /** Where it runs. */
  readonly backend: Backend;
  /** How prompts become tokens. */
  readonly template: "chat" | "none";
  /** What training fits. */
  readonly trainable: Required<LanguageModelOptions>["trainable"];
  /** Tokens of one scoring or training run; see {@linkcode LanguageModelOptions.tokensPerBatch}. */
  readonly tokensPerBatch: number;
  /** Parts in which the vocabulary is walked; see {@linkcode LanguageModelOptions.logitsBytes}. */
  readonly vocabularyChunks: number;
  /** Whether blocks are computed again; see {@linkcode LanguageModelOptions.checkpointing}. */
  readonly checkpointing: boolean;
  /** Covers the weights and the template. */
  readonly id: string;
  /** How responses are sampled. */
  readonly precision: Precision;
  /** How an adapter takes part in sampling. */
  readonly sampledAdapter: SampledAdapter;
  readonly #weights: Store;
  /** What sampling reads: the same store, or one in which the weights stayed encoded. */
  readonly #sampled: Store;
  readonly #executables = new Map<string, Promise<Executable>>();
  readonly #decoders: DecoderPool;
  /** Where adapters are merged. */
  readonly #merged: MergedWeights | undefined;
  /** Adapters whose B is zero. */
  readonly #zero = new WeakSet<Store>();

  private constructor(
    fields: {
      config: DecoderConfig;
      text: TextCodec;
      backend: Backend;
      weights: Store;
      sampled: Store;
      id: string;
      template: "chat" | "none";
    },
    options: LanguageModelOptions,
  ) {
    this.config = fields.config;
    this.text = fields.text;
    this.backend = fields.backend;
    this.id = fields.id;
    this.template = fields.template;
    this.#weights = fields.weights;
    this.#sampled = fields.sampled;
    this.precision = options.precision ?? "float32";
    this.sampledAdapter = options.sampledAdapter ?? "apart";
    this.trainable = options.trainable ?? { kind: "none" };
    this.tokensPerBatch = options.tokensPerBatch ?? DEFAULT_TOKENS_PER_BATCH;
    this.checkpointing = options.checkpointing ?? false;
    this.vocabularyChunks = vocabularyChunks(
      fields.config.vocabSize,
      this.tokensPerBatch,
      options.logitsBytes ?? LOGITS_BYTES[this.trainable.kind === "all" ? "trained" : "frozen"],
    );
    this.#decoders = new DecoderPool({
      config: fields.config,
      text: fields.text,
      backend: fields.backend,
      slots: options.slots ?? DEFAULT_SLOTS,
      cacheBytes: options.cacheBytes ?? DEFAULT_CACHE_BYTES,
    });
    const { config, backend, weights } = fields;
    this.#merged = this.sampledAdapter === "merged" && this.#lora
      ? new MergedWeights({ config, backend, weights, lora: this.#lora })
      : undefined;
  }

  /**
   * Reads a checkpoint's weights onto a backend.
   *
   * @throws {TypeError} When the chat template is asked for and the checkpoint has none, or fast
   * sampling or encoded weights where they are trained or the backend keeps none encoded, or an adapter
   * that is merged where there is none or weights are sampled from that are not float32.
   */
  static async load(
    checkpoint: Checkpoint,
    backend: Backend,
    options: LanguageModelOptions = {},
  ): Promise<LanguageModel> {
    const { config } = checkpoint;
    const text = await checkpoint.text();
    const template = options.template ?? (text.template === undefined ? "none" : "chat");
    if (template === "chat" && text.template === undefined) {
      throw new TypeError(
        "Cannot load the model as its checkpoint must have a chat template: none found (use the template `none`)",
      );
    }
    const { weights, sampled, contents } = await loadWeights(checkpoint, backend, options);
    const id = hashText(JSON.stringify([contents, config, template, text.template ?? null]));
    const fields = { config, text, backend, weights, sampled, id, template };
    return new LanguageModel(fields, options);
  }

  /** Device memory held by the weights, in bytes. */
  get weightBytes(): number {
    const { bytes } = this.#weights;
    return this.#sampled === this.#weights ? bytes : bytes + this.#sampled.bytes;
  }

  /**
   * Token ids of a prompt, ready for a response to follow.
   *
   * @throws {RangeError} When there are none, as a response cannot follow nothing.
   */
  encodePrompt({ id, content }: Prompt): number[] {
    const ids = this.text.encodePrompt(content, this.template);
    if (ids.length === 0) {
      throw new RangeError(`Cannot use prompt ${id} as it must have at least one token: none`);
    }
    return ids;
  }

  /**
   * Token ids of a response: those sampled, else its text's, with the end of turn in chat unless it was
   * cut by length.
   *
   * @throws {RangeError} When an id is not in the vocabulary.
   */
  encodeResponse({ text, tokenIds, finishReason }: Response): readonly number[] {
    const { vocabSize } = this.config;
    const ids = tokenIds ??
      this.text.encodeResponse(text, finishReason === "length" ? "none" : this.template);
    const foreign = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
    if (foreign !== undefined) {
      throw new RangeError(
        `Cannot use the response as its token ids must be from 0 to ${vocabSize - 1}: ${foreign}`,
      );
    }
    return ids;
  }

  /** The tensors that training fits. @throws {TypeError} When the model was loaded for none. */
  trainableTensors(): Trainable {
    switch (this.trainable.kind) {
      case "lora":
        return { scope: ADAPTER, tensors: loraTensors(this.config, this.trainable.lora) };
      case "all":
        return { scope: WEIGHTS, tensors: decoderTensors(this.config) };
      case "none":
        throw new TypeError(
          "Cannot train the model as it must be loaded with trainable tensors: none",
        );
      default:
        return this.trainable satisfies never;
    }
  }

  get #lora(): LoraShape | undefined {
    return this.trainable.kind === "lora" ? this.trainable.lora : undefined;
  }

  /**
   * The checkpoint as a policy: π_0, with a new adapter from a seed, which changes nothing yet, or
   * with the weights themselves, which stay the model's.
   */
  async policy(seed = 0): Promise<LocalPolicy> {
    switch (this.trainable.kind) {
      case "none":
        return new LocalPolicy(this.id, this, undefined);
      case "all":
        return new LocalPolicy(this.id, this, this.#weights, { shared: true });
      case "lora":
        return this.policyOf(
          await newAdapter(this.backend, loraTensors(this.config, this.trainable.lora), seed),
        );
      default:
        return this.trainable satisfies never;
    }
  }

  /**
   * A policy of given trained tensors, which belong to it from then on.
   *
   * @param tensors Their values, where they were read already.
   */
  async policyOf(
    trained: Store,
    tensors?: ReadonlyMap<string, { readonly data: Float32Array }>,
  ): Promise<LocalPolicy> {
    const hash = contentHash();
    // The scale of an adapter and the layers it is on belong to it, as its values do.
    const scale = this.#lora ? loraScale(this.#lora) : null;
    hash.add(new TextEncoder().encode(JSON.stringify([scale, trained.names])));
    let zero = this.trainable.kind === "lora";
    for (const name of trained.names) {
      const values = tensors?.get(name)?.data ?? await trained.read(name);
      zero &&= !name.endsWith(".lora_B.weight") || values.every((value) => value === 0);
      hash.add(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    }
    if (zero) this.#zero.add(trained);
    return new LocalPolicy(`${this.id}-${hash.digest()}`, this, trained);
  }

  /** A policy of trained tensors by name. @throws {TypeError} When one is missing or has another shape. */
  async policyFromTensors(
    tensors: ReadonlyMap<
      string,
      { readonly shape: readonly number[]; readonly data: Float32Array }
    >,
  ): Promise<LocalPolicy> {
    const { tensors: wanted } = this.trainableTensors();
    checkTrained(tensors, wanted);
    const store = await this.backend.createStore(wanted);
    for (const { name } of wanted) await store.write(name, tensors.get(name)!.data);
    return this.policyOf(store, tensors);
  }

  #compile(program: Program, use: "sampling" | "scoring"): Promise<Executable> {
    // Weights that are trained are bound at each run; the others may be packed for good.
    if (this.trainable.kind === "all") return this.backend.compile(program);
    if (use === "scoring" || this.precision === "float32") {
      return this.backend.compile(program, { constants: { [WEIGHTS]: this.#weights } });
    }
    const constants = { [WEIGHTS]: this.#sampled };
    return this.backend.compile(program, { constants, activations: "int8" });
  }

  /** A program that is compiled once and kept. */
  #compiled(key: string, program: () => Program): Promise<Executable> {
    let executable = this.#executables.get(key);
    if (!executable) {
      executable = this.#compile(program(), "scoring");
      this.#executables.set(key, executable);
      executable.catch(() => this.#executables.delete(key));
    }
    return executable;
  }

  #stores(trained: Store | undefined): Record<string, Store> {
    if (!trained) return {};
    return { [this.trainable.kind === "all" ? WEIGHTS : ADAPTER]: trained };
  }

  /** What some trained tensors are sampled from. */
  #decodeWeights(trained: Store | undefined): DecodeWeights {
    const alone = trained !== undefined && this.#zero.has(trained);
    if (this.#merged && trained && !alone) return this.#merged.withAdapter(trained);
    const base = this.#merged !== undefined;
    const lora = base ? undefined : this.#lora;
    return plainWeights(
      base ? "base" : "apart",
      base ? {} : this.#stores(trained),
      (capacity) => this.#compile(decodeProgram(this.config, capacity, lora), "sampling"),
    );
  }

  /**
   * The decode program on some trained tensors, which must not change while it is used, with caches for
   * so many tokens and samples. Whoever takes it disposes it; several may be used at the same time, each
   * with caches of its own.
   */
  decoder(trained: Store | undefined, tokens: number, samples: number): Promise<Decoder> {
    return this.#decoders.take(this.#decodeWeights(trained), { tokens, samples });
  }

  /** Frees what was made to sample from trained tensors that are no longer asked. */
  async forget(trained: Store): Promise<void> {
    if (this.#merged) await this.#decoders.forget({ key: trained });
  }

  /** The likelihood program on some trained tensors; whoever asks for it disposes it. */
  async likelihood(trained: Store | undefined): Promise<BoundExecutable> {
    const executable = await this.#compiled(
      "likelihood",
      () => likelihoodProgram(this.config, this.#lora, this.vocabularyChunks),
    );
    return executable.bind(this.#stores(trained));
  }

  /** Starts a fit from a policy: copies what it trained, and makes room for gradients and moments. */
  async fit(policy: LocalPolicy, spec: LossSpec, optimizer: OptimizerOptions): Promise<Fit> {
    const loss = lossOf(spec);
    const trainable = this.trainableTensors();
    const { scope, tensors } = trainable;
    const gradient = await this.#compiled(
      `gradient ${JSON.stringify(spec)}`,
      () =>
        gradientProgram(this.config, loss, trainable, this.#lora, {
          chunks: this.vocabularyChunks,
          checkpointing: this.checkpointing,
        }),
    );
    const norm = await this.#compiled("norm", () => gradientNormProgram(tensors));
    const step = await this.#compiled(
      `step ${JSON.stringify(optimizer)}`,
      () => optimizerProgram(optimizer, trainable),
    );
    const trained = await policy.trained!.snapshot();
    const gradients = await this.backend.createStore(tensors);
    const moments = await this.backend.createStore(momentTensors(optimizer, tensors));
    const likelihood = loss.per === "batch" ? await this.likelihood(trained) : undefined;
    const bound = {
      gradient: gradient.bind({ [scope]: trained, [GRADIENTS]: gradients }),
      norm: norm.bind({ [GRADIENTS]: gradients }),
      step: step.bind({ [scope]: trained, [GRADIENTS]: gradients, [MOMENTS]: moments }),
    };
    return {
      trained,
      gradients,
      moments,
      trainable,
      loss,
      likelihood,
      ...bound,
      async dispose() {
        for (const executable of Object.values(bound)) await executable.dispose();
        await likelihood?.dispose();
        await gradients.dispose();
        await moments.dispose();
      },
    };
  }

  /** Files of a policy; see {@linkcode LocalPolicy.files}. */
  policyFiles(trained: Store | undefined): Promise<Record<string, Uint8Array>> {
    if (!trained) {
      throw new TypeError("Cannot write the policy as it must have trained tensors: none");
    }
    return this.trainable.kind === "lora"
      ? adapterFiles(trained, this.trainable.lora, this.config)
      : checkpointFiles(this.config, trained);
  }

  /** Frees the weights, the caches and the compiled programs. Policies are disposed by their owners. */
  async dispose(): Promise<void> {
    for (const executable of this.#executables.values()) await (await executable).dispose();
    await this.#decoders.dispose();
    await this.#merged?.dispose();
    await this.#weights.dispose();
    if (this.#sampled !== this.#weights) await this.#sampled.dispose();
  }
}
