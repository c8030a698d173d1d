/**
 * A checkpoint's weights on a backend, in the encodings that its uses ask for.
 *
 * @module
 */

import type { Backend, Store } from "../graph/mod.ts";
import { decoderTensors } from "./architectures/mod.ts";
import type { Checkpoint } from "./checkpoints/open.ts";
import { type ContentHash, contentHash } from "./content_hash.ts";
import { hashedSource } from "./hashed_source.ts";
import type { LanguageModelOptions } from "./language_model_options.ts";

/** Weights of a decoder. */
export interface LoadedWeights {
  /** What scoring and training read. */
  readonly weights: Store;
  /** What sampling reads: the same store, or one in which matrices stayed encoded. */
  readonly sampled: Store;
  /** Hashes of the tensors' bytes, in the decoder's order. */
  readonly contents: readonly string[];
}

/**
 * Reads a checkpoint's weights.
 *
 * @throws {TypeError} When sampling is to be fast, or weights to stay encoded, where they are trained or
 * the backend keeps none of them encoded; or an adapter to be merged where there is none or weights stay
 * encoded.
 */
export async function loadWeights(
  checkpoint: Checkpoint,
  backend: Backend,
  options: LanguageModelOptions,
): Promise<LoadedWeights> {
  const { precision = "float32", trainable: { kind } = { kind: "none" }, onProgress, signal } =
    options;
  const fast = precision === "fast";
  if (kind === "all" && fast) {
    throw new TypeError(
      "Cannot sample fast as the weights must stay those of the checkpoint: all are trained (use the precision `float32`)",
    );
  }
  if (kind === "all" && options.keepEncoded) {
    throw new TypeError(
      "Cannot keep the weights encoded as they must not be trained: all are (train an adapter)",
    );
  }
  if (options.sampledAdapter === "merged") checkMergeable(options);
  const hashes: ContentHash[] = [];
  const sources = decoderTensors(checkpoint.config).map(({ name }) => ({
    ...checkpoint.tensors.get(name)!,
    name,
  }));
  const hashed = sources.map((source) => {
    const hash = contentHash();
    hashes.push(hash);
    return hashedSource(source, source.name, hash);
  });
  const reading = { ...(onProgress ? { onProgress } : {}), ...(signal ? { signal } : {}) };
  // Training has its float32 weights beside, unless they are not wanted.
  const keepEncoded = options.keepEncoded || (fast && kind === "none");
  const stores: Store[] = [];
  try {
    const weights = await backend.createStore(hashed, { ...reading, keepEncoded });
    stores.push(weights);
    const sampled = fast && !keepEncoded
      ? await backend.createStore(sources, { ...reading, keepEncoded: true })
      : weights;
    stores.push(sampled);
    if (fast || keepEncoded) checkEncoded(sampled, fast, backend.name, sources);
    return { weights, sampled, contents: hashes.map((hash) => hash.digest()) };
  } catch (error) {
    for (const store of new Set(stores)) await store.dispose();
    throw error;
  }
}

/** Refuses to merge an adapter where there is none, or into weights that it would be rounded to. */
function checkMergeable(
  { precision = "float32", trainable: { kind } = { kind: "none" }, keepEncoded = false }:
    LanguageModelOptions,
): void {
  const doing = "Cannot merge the adapter to sample";
  if (kind !== "lora") {
    throw new TypeError(`${doing} as there must be one: the model is loaded with ${kind} trained`);
  }
  if (precision === "fast" || keepEncoded) {
    throw new TypeError(
      `${doing} as the weights must be float32, to which nothing is rounded: they are encoded ` +
        `(sample with the adapter apart, or ${
          keepEncoded ? "without keepEncoded" : "with the precision `float32`"
        })`,
    );
  }
}

/** Refuses what was asked for when nothing stayed encoded. */
function checkEncoded(
  store: Store,
  fast: boolean,
  backend: string,
  sources: readonly { readonly encoding: string }[],
): void {
  if (store.names.some((name) => store.encoding(name) !== "f32")) return;
  const found = new Set(sources.map(({ encoding }) => encoding));
  throw new TypeError(
    `Cannot ${
      fast ? "sample fast" : "keep the weights encoded"
    } as the ${backend} backend must keep ` +
      `some of the checkpoint's matrices encoded (q4_0, q4_1, q8_0): they are ` +
      [...found].join(", ") + (fast ? " (use the precision `float32`)" : ""),
  );
}
