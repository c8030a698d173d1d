/**
 * Compiled decode programs, by the weights and the capacity they are compiled for.
 *
 * @module
 */

import type { Executable, Store } from "../../graph/mod.ts";

/** Weights that decode programs are compiled on. */
export interface DecodeWeights {
  /** Equal keys are the same weights, and share programs. */
  readonly key: unknown;
  /** Stores that programs on them are bound to, beside the caches. */
  readonly stores: Readonly<Record<string, Store>>;
  /** Makes them ready, where that takes something. */
  open(): Promise<OpenWeights>;
}

/** Weights that are ready. */
export interface OpenWeights {
  /** Compiles the decode program of a capacity, in tokens of a row. */
  compile(capacity: number): Promise<Executable>;
  /** Gives up what was made for them, after their programs are disposed. */
  close(): Promise<void>;
}

/** Weights that are there already. */
export function plainWeights(
  key: string,
  stores: Readonly<Record<string, Store>>,
  compile: OpenWeights["compile"],
): DecodeWeights {
  const close = () => Promise.resolve();
  return { key, stores, open: () => Promise.resolve({ compile, close }) };
}

/** A program in use; whoever takes it gives it back. */
export interface TakenProgram {
  readonly executable: Executable;
  giveBack(): Promise<void>;
}

interface Entry {
  readonly executable: Promise<Executable>;
  /** Decoders that use it now. */
  users: number;
}

interface ProgramsOnWeights {
  readonly weights: Promise<OpenWeights>;
  /** By capacity, the one used last at the end. */
  readonly programs: Map<number, Entry>;
  users: number;
}

/** Programs kept while no one uses them: one to sample with and one to evaluate with. */
const PROGRAMS_KEPT = 2;

/**
 * Programs are kept for the next call on the same weights. Before programs are made on further weights
 * those that no one uses are disposed, with what was made for their weights, so that policies that
 * follow each other take the memory of one.
 */
export class DecodePrograms {
  readonly #byWeights = new Map<unknown, ProgramsOnWeights>();
  #disposed = false;

  /** The program of a capacity on some weights. */
  async take({ key, open }: DecodeWeights, capacity: number): Promise<TakenProgram> {
    if (!this.#byWeights.has(key)) {
      for (const other of [...this.#byWeights.keys()]) await this.forget(other);
    }
    let on = this.#byWeights.get(key);
    if (!on) this.#byWeights.set(key, on = { weights: open(), programs: new Map(), users: 0 });
    const { weights, programs } = on;
    const entry = programs.get(capacity) ??
      { executable: weights.then((open) => open.compile(capacity)), users: 0 };
    programs.delete(capacity);
    programs.set(capacity, entry);
    entry.users++;
    on.users++;
    const giveBack = async (): Promise<void> => {
      entry.users--;
      on.users--;
      await forgetPrograms(programs);
      if (this.#disposed) await this.forget(key);
    };
    try {
      return { executable: await entry.executable, giveBack };
    } catch (error) {
      // What failed is tried anew by the next call.
      if (programs.get(capacity) === entry) programs.delete(capacity);
      await giveBack();
      if (programs.size === 0) await this.forget(key);
      throw error;
    }
  }

  /** Frees the programs on some weights and what was made for these, unless they are in use. */
  async forget(key: unknown): Promise<void> {
    const on = this.#byWeights.get(key);
    if (!on || on.users > 0) return;
    this.#byWeights.delete(key);
    for (const entry of on.programs.values()) await disposeProgram(entry);
    const weights = await on.weights.catch(() => undefined);
    await weights?.close();
  }

  /** Frees what no one uses; the rest is freed when it is given back. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    for (const key of [...this.#byWeights.keys()]) await this.forget(key);
  }
}

async function forgetPrograms(programs: Map<number, Entry>): Promise<void> {
  const unused = [...programs].filter(([, { users }]) => users === 0);
  for (const [capacity, entry] of unused) {
    if (programs.size <= PROGRAMS_KEPT) return;
    programs.delete(capacity);
    await disposeProgram(entry);
  }
}

async function disposeProgram({ executable }: Entry): Promise<void> {
  const compiled = await executable.catch(() => undefined);
  await compiled?.dispose();
}
