/**
 * A general preference model: embeddings of responses whose skew products are preferences.
 *
 * @module
 */

import type { Message } from "../../core/policy.ts";
import type { Backend } from "../../graph/mod.ts";
import {
  outputsOf,
  type ReaderParts,
  ResponseReader,
  type ResponseReaderOptions,
} from "./response_reader.ts";

/** Options of {@linkcode PreferenceEmbedder.load}. */
export interface PreferenceEmbedderOptions extends ResponseReaderOptions {
  /** Scale embeddings to length 1, as the published models are used; `false` when not given. */
  readonly normalize?: boolean;
}

/** A model that embeds responses, on a backend. */
export class PreferenceEmbedder {
  /** Covers weights, layout and settings. */
  readonly id: string;
  readonly #reader: ResponseReader;
  readonly #normalize: boolean;

  private constructor(reader: ResponseReader, normalize: boolean) {
    this.id = `${reader.id}${normalize ? "/normalized" : ""}`;
    this.#reader = reader;
    this.#normalize = normalize;
  }

  /**
   * Puts a model's parts on a backend.
   *
   * @throws {RangeError} When its head has an odd number of outputs.
   */
  static async load(
    parts: ReaderParts,
    backend: Backend,
    { normalize = false, ...options }: PreferenceEmbedderOptions = {},
  ): Promise<PreferenceEmbedder> {
    const outputs = outputsOf(parts);
    if (outputs < 2 || outputs % 2 !== 0) {
      throw new RangeError(
        `Cannot open the general preference model as its head must have an even number of outputs: ${outputs}`,
      );
    }
    return new PreferenceEmbedder(await ResponseReader.load(parts, backend, options), normalize);
  }

  /** v(y) of each response. */
  async embeddings(
    prompt: string | readonly Message[],
    responses: readonly string[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly vectors: readonly Float32Array[] }> {
    const vectors = await this.#reader.read(prompt, responses, options);
    return { vectors: this.#normalize ? vectors.map(normalized) : vectors };
  }

  /** Frees the weights and the program. */
  dispose(): Promise<void> {
    return this.#reader.dispose();
  }
}

/** A vector of length 1; a zero one stays. */
function normalized(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((value) => value / length);
}
