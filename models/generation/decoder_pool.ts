/**
 * Decoders of one model: caches and decode programs, kept between calls where they fit.
 *
 * @module
 */

import type { Backend, Executable, Program, Store } from "../../graph/mod.ts";
import type { DecoderConfig, LoraShape } from "../architectures/mod.ts";
import { CACHE, cacheBytesPerToken, cacheTensors, decodeProgram } from "../programs/decode.ts";
import type { TextCodec } from "../text/text_codec.ts";
import type { Decoder } from "./generate.ts";

/** What the decoders of a model are made of. */
export interface DecoderParts {
  readonly config: DecoderConfig;
  readonly text: TextCodec;
  readonly backend: Backend;
  readonly lora: LoraShape | undefined;
  /** Most responses decoded side by side. */
  readonly slots: number;
  /** Most memory for the caches of one decoder, in bytes, unless K samples need more. */
  readonly cacheBytes: number;
  compile(program: Program): Promise<Executable>;
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

/** The decode program of one capacity. */
interface DecodeProgram {
  readonly executable: Promise<Executable>;
  /** Decoders that use it now. */
  users: number;
}

/** Rows of the cache that prompts are prefilled in. */
export const PREFILL_ROWS = 8;

/** Programs kept while no one uses them: one to sample with and one to evaluate with. */
const PROGRAMS_KEPT = 2;

/**
 * Each decoder has caches of its own while it is used, so that several may run at the same time; one
 * set of caches is kept for the next.
 */
export class DecoderPool {
  readonly #parts: DecoderParts;
  /** By capacity, the one used last at the end. */
  readonly #programs = new Map<number, DecodeProgram>();
  #idle: Caches | undefined;
  #disposed = false;

  constructor(parts: DecoderParts) {
    this.#parts = parts;
  }

  /** A decoder on the stores of the other scopes; whoever takes it disposes it. */
  async take(stores: Readonly<Record<string, Store>>, size: DecoderSize): Promise<Decoder> {
    const { config, text, slots: most, cacheBytes } = this.#parts;
    // Rows and capacity follow from the call alone, so that what is computed together does not depend
    // on the calls before; the memory is kept between calls where it is large enough.
    const needed = 64 * Math.ceil(size.tokens / 64);
    const fitting = Math.floor(cacheBytes / (cacheBytesPerToken(config) * needed));
    const slots = Math.max(size.samples, Math.min(most, fitting));
    const caches = await this.#takeCaches(needed, slots);
    const { capacity, cache, prefillCache } = caches;
    const program = this.#program(capacity);
    const giveBack = async (): Promise<void> => {
      program.users--;
      await this.#keep(caches);
      await this.#forgetPrograms();
    };
    try {
      const executable = await program.executable;
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

  #program(capacity: number): DecodeProgram {
    let program = this.#programs.get(capacity);
    if (program) {
      this.#programs.delete(capacity);
    } else {
      const { config, lora, compile } = this.#parts;
      program = { executable: compile(decodeProgram(config, capacity, lora)), users: 0 };
    }
    program.users++;
    this.#programs.set(capacity, program);
    return program;
  }

  async #forgetPrograms(): Promise<void> {
    const unused = [...this.#programs].filter(([, { users }]) => users === 0);
    for (const [capacity, { executable }] of unused) {
      if (this.#programs.size <= PROGRAMS_KEPT) return;
      this.#programs.delete(capacity);
      const compiled = await executable.catch(() => undefined);
      await compiled?.dispose();
    }
  }

  /** Frees the caches and programs that no one uses; the others are freed by their decoders. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    for (const { executable } of this.#programs.values()) {
      const compiled = await executable.catch(() => undefined);
      await compiled?.dispose();
    }
    this.#programs.clear();
    const idle = this.#idle;
    this.#idle = undefined;
    if (idle) await disposeCaches(idle);
  }
}

async function disposeCaches({ cache, prefillCache }: Caches): Promise<void> {
  await cache.dispose();
  await prefillCache.dispose();
}
