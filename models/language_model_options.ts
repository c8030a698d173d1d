/**
 * How a checkpoint is put on a backend.
 *
 * @module
 */

import type { Progress } from "../graph/mod.ts";
import type { LoraShape } from "./architectures/mod.ts";
import type { Precision } from "./generation/precision.ts";
import type { SampledAdapter } from "./generation/sampled_adapter.ts";

/** Most responses decoded side by side, when not given. */
export const DEFAULT_SLOTS = 64;

/** Tokens of one scoring or training run, when not given. */
export const DEFAULT_TOKENS_PER_BATCH = 1024;

/** Most memory for key and value caches, when not given. */
export const DEFAULT_CACHE_BYTES: number = 2 ** 30;

/** Options of `LanguageModel.load`. */
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
  /**
   * Whether the checkpoint's 4- and 8-bit matrices stay encoded for scoring and training too, beside an
   * adapter (QLoRA, Dettmers et al. 2023, arXiv:2305.14314). The arithmetic stays float32: forward
   * products read them as they are, and the gradient decodes one matrix at a time. False when not given:
   * training is faster with float32 weights.
   */
  readonly keepEncoded?: boolean;
  /** How responses are sampled; float32 when not given. Scoring and training are always float32. */
  readonly precision?: Precision;
  /**
   * How an adapter takes part in sampling; `apart` when not given. `merged` needs float32 weights, holds a
   * second copy of the matrices that the adapter is on, and is made anew for each policy; it is faster
   * where a policy samples many tokens. Scoring and training always have it apart.
   */
  readonly sampledAdapter?: SampledAdapter;
  /**
   * Tokens of one scoring or training run, prompts × longest + responses × longest; 1024 when not
   * given.
   */
  readonly tokensPerBatch?: number;
  /**
   * Most memory for the logits of one scoring or training run, in bytes. The vocabulary is walked in as
   * few parts as that allows for `tokensPerBatch` response tokens (a single longer sequence takes more).
   * When not given: 32 MiB, or 512 MiB where all weights are trained, as the gradient of the
   * vocabulary's own computes the logits of several parts again.
   */
  readonly logitsBytes?: number;
  /**
   * Whether training computes the inside of each block again for the gradient instead of keeping it:
   * less memory, the same gradients, about a third more time. False when not given.
   */
  readonly checkpointing?: boolean;
  /** Most responses decoded side by side; {@linkcode DEFAULT_SLOTS} when not given. */
  readonly slots?: number;
  /** Most memory for key and value caches, in bytes; 1 GiB when not given. */
  readonly cacheBytes?: number;
  /** Bytes of weights read. */
  readonly onProgress?: (progress: Progress) => void;
  /** Ends the loading with the signal's reason. */
  readonly signal?: AbortSignal;
}
