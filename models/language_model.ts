/**
 * A checkpoint on a backend: its weights, held once, and the programs that read them.
 *
 * @module
 */

import { losses, type LossName, type Prompt, randomStream, type Response } from "../core/mod.ts";
import type {
  Backend,
  BoundExecutable,
  Executable,
  Program,
  Progress,
  Store,
  TensorSource,
} from "../graph/mod.ts";
import {
  ADAPTER,
  llamaTensors,
  loraScale,
  type LoraShape,
  loraTensors,
  WEIGHTS,
} from "./architectures/llama.ts";
import type { LlamaConfig } from "./checkpoints/config.ts";
import type { Checkpoint } from "./checkpoints/open.ts";
import { type Fingerprint, fingerprint, fingerprintText } from "./fingerprint.ts";
import type { Decoder } from "./generation/generate.ts";
import { LocalPolicy } from "./local_policy.ts";
import { adapterFiles, checkpointFiles } from "./policy_files.ts";
import { CACHE, cacheBytesPerToken, cacheTensors, decodeProgram } from "./programs/decode.ts";
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
import type { TextCodec } from "./text/text_codec.ts";

/** Options of {@linkcode LanguageModel.load}. */
export interface LanguageModelOptions {
  /** How prompts become tokens: the checkpoint's chat template, or plain text. */
  readonly template?: "chat" | "none";
  /** What training fits: nothing, an adapter, or all weights. */
  readonly trainable?: { readonly kind: "none" } | {
    readonly kind: "lora";
    readonly lora: LoraShape;
  } | {
    readonly kind: "all";
  };
  /** Tokens (rows × longest) of one scoring or training run; 2048 when not given. */
  readonly tokensPerBatch?: number;
  /** Most responses decoded side by side; 64 when not given. */
  readonly slots?: number;
  /** Most memory for key and value caches, in bytes; 1 GiB when not given. */
  readonly cacheBytes?: number;
  /** Bytes of weights read. */
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

const PREFILL_ROWS = 8;

/** The programs and stores of one fit; see {@linkcode LanguageModel.fit}. */
export interface Fit {
  /** The tensors being trained, starting from the policy's. */
  readonly trained: Store;
  readonly gradients: Store;
  readonly moments: Store;
  readonly gradient: BoundExecutable;
  readonly norm: BoundExecutable;
  readonly step: BoundExecutable;
  readonly trainable: Trainable;
  dispose(): Promise<void>;
}

/** One checkpoint on one backend. */
export class LanguageModel {
  readonly config: LlamaConfig;
  readonly text: TextCodec;
  readonly backend: Backend;
  readonly template: "chat" | "none";
  readonly trainable: Required<LanguageModelOptions>["trainable"];
  readonly tokensPerBatch: number;
  /** Covers the weights and the template. */
  readonly id: string;
  readonly #weights: Store;
  readonly #slots: number;
  readonly #cacheBytes: number;
  readonly #executables = new Map<string, Promise<Executable>>();
  #caches: { capacity: number; slots: number; cache: Store; prefillCache: Store } | undefined;

  private constructor(
    fields: {
      config: LlamaConfig;
      text: TextCodec;
      backend: Backend;
      weights: Store;
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
    this.trainable = options.trainable ?? { kind: "none" };
    this.tokensPerBatch = options.tokensPerBatch ?? 2048;
    this.#slots = options.slots ?? 64;
    this.#cacheBytes = options.cacheBytes ?? 2 ** 30;
  }

  /**
   * Reads a checkpoint's weights onto a backend.
   *
   * @throws {TypeError} When the chat template is asked for and the checkpoint has none.
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
    const hashes: Fingerprint[] = [];
    const entries = llamaTensors(config).map(({ name }): TensorSource => {
      const source = checkpoint.tensors.get(name)!;
      const hash = fingerprint();
      hashes.push(hash);
      return {
        name,
        shape: source.shape,
        encoding: source.encoding,
        byteLength: source.byteLength,
        async read(start, end, readOptions) {
          const bytes = await source.read(start, end, readOptions);
          hash.add(bytes);
          return bytes;
        },
      };
    });
    const weights = await backend.createStore(entries, {
      ...(options.onProgress ? { onProgress: options.onProgress } : {}),
      ...(options.signal ? { signal: options.signal } : {}),
    });
    const contents = hashes.map((hash) => hash.digest());
    const id = fingerprintText(JSON.stringify([contents, config, template, text.template ?? null]));
    return new LanguageModel({ config, text, backend, weights, id, template }, options);
  }

  /** Device memory held by the weights, in bytes. */
  get weightBytes(): number {
    return this.#weights.bytes;
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
        return { scope: WEIGHTS, tensors: llamaTensors(this.config) };
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
   * The checkpoint as a policy: π_0. A new adapter has A uniform in ±1/√inputs (PEFT's Kaiming
   * initialisation) from a seed, and B = 0, so it changes nothing yet.
   */
  async policy(seed = 0): Promise<LocalPolicy> {
    switch (this.trainable.kind) {
      case "none":
        return new LocalPolicy(this.id, this, undefined);
      case "all":
        return new LocalPolicy(this.id, this, await this.#weights.snapshot());
      case "lora": {
        const tensors = loraTensors(this.config, this.trainable.lora);
        const store = await this.backend.createStore(tensors);
        for (const { name, shape } of tensors) {
          if (!name.endsWith(".lora_A.weight")) continue;
          const random = randomStream(seed, name);
          const bound = 1 / Math.sqrt(shape[1]!);
          const values = new Float32Array(shape[0]! * shape[1]!).map(() =>
            (2 * random.next() - 1) * bound
          );
          await store.write(name, values);
        }
        return this.policyOf(store);
      }
      default:
        return this.trainable satisfies never;
    }
  }

  /** A policy of given trained tensors, which belong to it from then on. */
  async policyOf(trained: Store): Promise<LocalPolicy> {
    const hash = fingerprint();
    // The scale of an adapter and the layers it is on belong to it, as its values do.
    const scale = this.#lora ? loraScale(this.#lora) : null;
    hash.add(new TextEncoder().encode(JSON.stringify([scale, trained.names])));
    for (const name of trained.names) {
      const values = await trained.read(name);
      hash.add(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    }
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
    if (tensors.size !== wanted.length) {
      throw new TypeError(
        `Cannot use the trained tensors as there must be ${wanted.length} of them: ${tensors.size}`,
      );
    }
    for (const { name, shape } of wanted) {
      const found = tensors.get(name);
      if (!found || found.shape.join() !== shape.join()) {
        throw new TypeError(
          `Cannot use the trained tensors as ${name} must have the shape [${shape.join(", ")}]: ` +
            (found ? `[${found.shape.join(", ")}]` : "missing"),
        );
      }
    }
    const store = await this.backend.createStore(wanted);
    for (const { name } of wanted) await store.write(name, tensors.get(name)!.data);
    return this.policyOf(store);
  }

  #compile(key: string, program: () => Program): Promise<Executable> {
    let executable = this.#executables.get(key);
    if (!executable) {
      // Weights that are trained are bound at each run; the others may be packed for good.
      const constants = this.trainable.kind === "all" ? {} : { [WEIGHTS]: this.#weights };
      executable = this.backend.compile(program(), { constants });
      this.#executables.set(key, executable);
    }
    return executable;
  }

  #stores(trained: Store | undefined): Record<string, Store> {
    if (!trained) return {};
    return { [this.trainable.kind === "all" ? WEIGHTS : ADAPTER]: trained };
  }

  /**
   * The decode program on some trained tensors. Caches are made at the first call and again, larger,
   * when a call needs it.
   */
  async decoder(trained: Store | undefined, tokens: number, samples: number): Promise<Decoder> {
    const { config } = this;
    // Rows and capacity follow from the call alone, so that what is computed together does not depend
    // on the calls before; the memory is kept between calls where it is large enough.
    const needed = 64 * Math.ceil(tokens / 64);
    const fitting = Math.floor(this.#cacheBytes / (cacheBytesPerToken(config) * needed));
    const slots = Math.max(samples, Math.min(this.#slots, fitting));
    if (!this.#caches || this.#caches.capacity < needed || this.#caches.slots < slots) {
      await this.#caches?.cache.dispose();
      await this.#caches?.prefillCache.dispose();
      this.#caches = {
        capacity: needed,
        slots,
        cache: await this.backend.createStore(cacheTensors(config, slots, needed)),
        prefillCache: await this.backend.createStore(cacheTensors(config, PREFILL_ROWS, needed)),
      };
    }
    const { capacity, cache, prefillCache } = this.#caches;
    const executable = await this.#compile(
      `decode ${capacity}`,
      () => decodeProgram(config, capacity, this.#lora),
    );
    const stores = this.#stores(trained);
    return {
      prefill: executable.bind({ ...stores, [CACHE]: prefillCache }),
      step: executable.bind({ ...stores, [CACHE]: cache }),
      prefillCache,
      cache,
      prefillRows: PREFILL_ROWS,
      slots,
      capacity,
      endOfTurnIds: this.text.endOfTurnIds,
      decode: (ids) => this.text.decode(ids),
    };
  }

  /** The likelihood program on some trained tensors. */
  async likelihood(trained: Store | undefined): Promise<BoundExecutable> {
    const executable = await this.#compile(
      "likelihood",
      () => likelihoodProgram(this.config, this.#lora),
    );
    return executable.bind(this.#stores(trained));
  }

  /** Starts a fit from a policy: copies what it trained, and makes room for gradients and moments. */
  async fit(policy: LocalPolicy, loss: LossName, optimizer: OptimizerOptions): Promise<Fit> {
    const trainable = this.trainableTensors();
    const { scope, tensors } = trainable;
    const gradient = await this.#compile(
      `gradient ${loss}`,
      () => gradientProgram(this.config, losses[loss], trainable, this.#lora),
    );
    const norm = await this.#compile("norm", () => gradientNormProgram(tensors));
    const step = await this.#compile(
      `step ${JSON.stringify(optimizer)}`,
      () => optimizerProgram(optimizer, trainable),
    );
    const trained = await policy.trained!.snapshot();
    const gradients = await this.backend.createStore(tensors);
    const moments = await this.backend.createStore(momentTensors(optimizer, tensors));
    return {
      trained,
      gradients,
      moments,
      trainable,
      gradient: gradient.bind({ [scope]: trained, [GRADIENTS]: gradients }),
      norm: norm.bind({ [GRADIENTS]: gradients }),
      step: step.bind({ [scope]: trained, [GRADIENTS]: gradients, [MOMENTS]: moments }),
      async dispose() {
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
      ? adapterFiles(trained, this.trainable.lora, this.config.name)
      : checkpointFiles(this.config, trained);
  }

  /** Frees the weights, the caches and the compiled programs. Policies are disposed by their owners. */
  async dispose(): Promise<void> {
    for (const executable of this.#executables.values()) await (await executable).dispose();
    await this.#caches?.cache.dispose();
    await this.#caches?.prefillCache.dispose();
    await this.#weights.dispose();
  }
}
