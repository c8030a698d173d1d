/**
 * What a command is.
 *
 * @module
 */

import type { OptionTable, SomeValues } from "../options/spec.ts";
import type { Progress } from "../progress.ts";

/** What a command gets. */
export interface CommandContext<T extends OptionTable> {
  /** Values of the flags, then of the configuration file. */
  readonly layers: readonly SomeValues<T>[];
  readonly progress: Progress;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Aborts the signal as Ctrl-C does. */
  readonly interrupt: () => void;
  /** Disposed when the command ends, however it ends. */
  readonly resources: AsyncDisposableStack;
  /** Writes a line to standard output. */
  readonly print: (text: string) => void;
}

/** Work that is ready to start. */
export interface Work {
  run(): Promise<void>;
  /** After an interruption: what is kept and how to go on. */
  kept?(): string;
}

/** A command of `sppo`. */
export interface Command<T extends OptionTable = OptionTable> {
  readonly name: string;
  /** One line for the general help. */
  readonly summary: string;
  /** What the command's own help says above its options. */
  readonly description: string;
  /** What it says below them. */
  readonly epilogue?: () => string | Promise<string>;
  readonly options: T;
  /** Checks everything that can be known before long work; what it throws ends with exit code 2. */
  prepare(context: CommandContext<T>): Promise<Work>;
}
