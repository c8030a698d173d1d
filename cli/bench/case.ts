/**
 * What is measured: questions, each with some cases.
 *
 * @module
 */

import type { Backend } from "../../graph/backend.ts";

/** A case that is ready to run. */
export interface OpenedCase {
  /** Runs once; its result has come back when it ends. */
  run(): Promise<void>;
  /** Milliseconds that tensors took to the device, and programs to compile. */
  readonly start: { readonly loadMs: number; readonly compileMs: number };
  /** Frees what was opened. */
  dispose(): Promise<void>;
}

/** Something to measure on a backend. */
export interface BenchCase {
  /** Sizes and what is computed, such as `1024×576→1536`. */
  readonly name: string;
  /** Operations of a run, multiplications and additions apart; 0 where memory is all that counts. */
  readonly flops: number;
  /** Bytes that a run has to read and write at least, each once. */
  readonly bytes: number;
  /** Tokens that a run makes or reads, where it is of a whole model. */
  readonly tokens?: number;
  open(backend: Backend): Promise<OpenedCase>;
}

/** A part of self-play that the measurements choose a backend for. */
export type Use = "generation" | "training" | "judging";

/** Something to measure on the host, in which no backend has a part. */
export interface HostCase extends Omit<BenchCase, "open"> {
  open(): Promise<OpenedCase>;
}

/** Cases that answer one question. */
export type Question =
  & {
    /** The question. */
    readonly asks: string;
    /** For what its last case decides which backend is best. */
    readonly decides?: Use;
  }
  & (
    | { readonly on: "backends"; readonly cases: readonly BenchCase[] }
    | { readonly on: "host"; readonly cases: readonly HostCase[] }
  );

/** Frees in the reverse order, and collects the times of a case's start. */
export class CaseParts {
  readonly #resources = new AsyncDisposableStack();
  readonly #start = { loadMs: 0, compileMs: 0 };

  /** Times one part of the start and keeps its result for the case's end. */
  async add<T extends { dispose(): Promise<void> }>(
    part: "loadMs" | "compileMs",
    make: () => Promise<T>,
  ): Promise<T> {
    const began = performance.now();
    const made = await make();
    this.#start[part] += performance.now() - began;
    this.#resources.defer(() => made.dispose());
    return made;
  }

  /** The case that runs so. */
  opened(run: () => Promise<void>): OpenedCase {
    return { run, start: this.#start, dispose: () => this.#resources.disposeAsync() };
  }
}

/** Opens a case; when that fails, what was opened is freed. */
export async function openParts(
  open: (parts: CaseParts) => Promise<() => Promise<void>>,
): Promise<OpenedCase> {
  const parts = new CaseParts();
  try {
    return parts.opened(await open(parts));
  } catch (error) {
    await parts.opened(() => Promise.resolve()).dispose();
    throw error;
  }
}
