/**
 * Decoders of one model: programs with caches, kept between calls where they fit.
 *
 * @module
 */

import type { Backend, Store } from "../../graph/mod.ts";
import type { DecoderConfig } from "../architectures/mod.ts";
import { CACHE, cacheBytesPerToken, cacheTensors } from "../programs/decode.ts";
import type { TextCodec } from "../text/text_codec.ts";
import { DecodePrograms, type DecodeWeights } from "./decode_programs.ts";
import type { Decoder } from "./generate.ts";

/** What the decoders of a model are made of. */
export interface DecoderParts {
  readonly config: DecoderConfig;
  readonly text: TextCodec;
  readonly backend: Backend;
  /** Most responses decoded side by side. */
  readonly slots: number;
  /** Most memory for the caches of one decoder, in bytes, unless K samples need more. */
  readonly cacheBytes: number;
}

/** How much a decoder is to hold. */
export interface DecoderSize {
  /** Tokens of the longest prompt and its response. */
  readonly tokens: number;
  /** K. */
  readonly samples: number;
}

/** Caches of one decoder. */
interface Caches {
  readonly capacity: number;
  readonly slots: number;
  readonly cache: Store;
  readonly prefillCache: Store;
}

/** Rows of the cache that prompts are prefilled in. */
export const PREFILL_ROWS = 8;

/**
 * Each decoder has caches of its own while it is used, so that several may run at the same time; one
 * set of caches is kept for the next.
 */
export class DecoderPool {
  readonly #parts: DecoderParts;
  readonly #programs = new DecodePrograms();
  #idle: Caches | undefined;
  #disposed = false;

  constructor(parts: DecoderParts) {
    this.#parts = parts;
  }

  /** A decoder on some weights; whoever takes it disposes it. */
  async take(weights: DecodeWeights, size: DecoderSize): Promise<Decoder> {
    const { config, text, slots: most, cacheBytes } = this.#parts;
    // Rows and capacity follow from the call alone, so that what is computed together does not depend
    // on the calls before; the memory is kept between calls where it is large enough.
    const needed = 64 * Math.ceil(size.tokens / 64);
    const fitting = Math.floor(cacheBytes / (cacheBytesPerToken(config) * needed));
    const slots = Math.max(size.samples, Math.min(most, fitting));
    const caches = await this.#takeCaches(needed, slots);
    const { capacity, cache, prefillCache } = caches;
    let giveBack = () => this.#keep(caches);
    try {
      const program = await this.#programs.take(weights, capacity);
      giveBack = async () => {
        await program.giveBack();
        await this.#keep(caches);
      };
      const { executable } = program;
      const { stores } = weights;
      const prefill = executable.bind({ ...stores, [CACHE]: prefillCache });
      const step = executable.bind({ ...stores, [CACHE]: cache });
      let disposed = false;
      return {
        prefill,
        step,
        admit: (copies) => cache.copyRows(prefillCache, copies),
        move: (moves) => cache.copyRows(cache, moves),
        prefillRows: PREFILL_ROWS,
        slots,
        capacity,
        endOfTurnIds: text.endOfTurnIds,
        decode: (ids) => text.decode(ids),
        async dispose() {
          if (disposed) return;
          disposed = true;
          await prefill.dispose();
          await step.dispose();
          await giveBack();
        },
      };
    } catch (error) {
      await giveBack();
      throw error;
    }
  }

  async #takeCaches(capacity: number, slots: number): Promise<Caches> {
    const idle = this.#idle;
    this.#idle = undefined;
    if (idle && idle.capacity >= capacity && idle.slots >= slots) return idle;
    if (idle) await disposeCaches(idle);
    const { config, backend } = this.#parts;
    return {
      capacity,
      slots,
      cache: await backend.createStore(cacheTensors(config, slots, capacity)),
      prefillCache: await backend.createStore(cacheTensors(config, PREFILL_ROWS, capacity)),
    };
  }

  /** Keeps caches for the next decoder, or the ones kept already where those are larger. */
  async #keep(caches: Caches): Promise<void> {
    const size = (one: Caches) => one.capacity * one.slots;
    const other = this.#idle;
    if (this.#disposed || (other && size(other) >= size(caches))) {
      return await disposeCaches(caches);
    }
    this.#idle = caches;
    if (other) await disposeCaches(other);
  }

  /** Frees the programs on some weights that are not in use. */
  async forget({ key }: Pick<DecodeWeights, "key">): Promise<void> {
    await this.#programs.forget(key);
  }

  /** Frees the caches and programs that no one uses; the others are freed by their decoders. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#programs.dispose();
    const idle = this.#idle;
    this.#idle = undefined;
    if (idle) await disposeCaches(idle);
  }
}

async function disposeCaches({ cache, prefillCache }: Caches): Promise<void> {
  await cache.dispose();
  await prefillCache.dispose();
}
