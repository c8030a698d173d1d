/**
 * Decode programs on weights that adapters were merged into.
 *
 * @module
 */

import type { Backend, Executable, Store } from "../../graph/mod.ts";
import { ADAPTER, type DecoderConfig, type LoraShape, WEIGHTS } from "../architectures/mod.ts";
import { decodeProgram } from "../programs/decode.ts";
import { MERGED, mergedMatrices, mergeProgram, onMerged } from "../programs/merge.ts";
import type { DecodeWeights } from "./decode_programs.ts";

/** What merging reads. */
export interface MergedWeightsParts {
  readonly config: DecoderConfig;
  readonly lora: LoraShape;
  readonly backend: Backend;
  /** The base, in float32. */
  readonly weights: Store;
}

/**
 * Merges adapters into copies of the matrices they are on. Other tensors are the base's own. The last
 * copy that no program reads any more is kept, and the next adapter merged into it.
 */
export class MergedWeights {
  readonly #parts: MergedWeightsParts;
  #program: Promise<Executable> | undefined;
  #idle: Store | undefined;
  /** Copies that programs read. */
  #used = 0;
  #disposed = false;

  constructor(parts: MergedWeightsParts) {
    this.#parts = parts;
  }

  /** The base with an adapter that does not change while it is used. */
  withAdapter(adapter: Store): DecodeWeights {
    const { backend, config, lora, weights } = this.#parts;
    return {
      key: adapter,
      stores: {},
      open: async () => {
        const merged = await this.#merge(adapter);
        return {
          compile: (capacity) =>
            backend.compile(onMerged(decodeProgram(config, capacity), config, lora), {
              constants: { [WEIGHTS]: weights, [MERGED]: merged },
            }),
          close: () => this.#keep(merged),
        };
      },
    };
  }

  async #merge(adapter: Store): Promise<Store> {
    const { backend, config, lora, weights } = this.#parts;
    this.#program ??= backend.compile(mergeProgram(config, lora));
    const program = await this.#program;
    const idle = this.#idle;
    this.#idle = undefined;
    const merged = idle ?? await backend.createStore(mergedMatrices(config, lora));
    try {
      const bound = program.bind({ [WEIGHTS]: weights, [ADAPTER]: adapter, [MERGED]: merged });
      try {
        await bound.run({});
      } finally {
        await bound.dispose();
      }
    } catch (error) {
      await merged.dispose();
      throw error;
    }
    this.#used++;
    return merged;
  }

  async #keep(merged: Store): Promise<void> {
    if (--this.#used > 0 || this.#idle || this.#disposed) return await merged.dispose();
    this.#idle = merged;
  }

  /** Frees the copy that no program reads; others are freed when theirs are disposed. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    const program = await this.#program?.catch(() => undefined);
    await program?.dispose();
    const idle = this.#idle;
    this.#idle = undefined;
    await idle?.dispose();
  }
}
