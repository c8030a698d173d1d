/**
 * `--memory` in words: what is kept to and how, or why it cannot be.
 *
 * @module
 */

import { type RunMemory, totalBytes } from "../../models/memory/parts.ts";
import { peakMemory } from "../peak_memory.ts";
import { byteSize } from "../progress.ts";

/** How far below what is seen the estimate may be (docs/cli.md): the budget is divided by as much. */
const MARGIN = 1.2;

/** What an estimate must be within, for the peak to be within so much memory. */
export function budgetOf(memory: number): number {
  return memory / MARGIN;
}

/** @throws {RangeError} When the backend is one whose memory is not estimated. */
export function checkMemoryBackend(backend: string): void {
  if (backend === "onnx") return;
  throw new RangeError(
    `Cannot keep to --memory as the memory of --backend must be known, as that of onnx is: ${backend}`,
  );
}

/**
 * The line that says how a command keeps to its memory.
 *
 * @param flags Options that were changed for it.
 */
export function keptLine(memory: number, needed: RunMemory, flags: readonly string[]): string {
  const about = `about ${byteSize(totalBytes(needed))} at the peak, within --memory ${
    byteSize(memory)
  }`;
  return `Memory: ${about}${flags.length === 0 ? "" : `, with ${flags.join(" ")}`}`;
}

/** The line that says what the process took, and whether that was within what it was to keep to. */
export function peakLine(memory: number | undefined): string {
  const peak = peakMemory();
  const kept = memory === undefined
    ? ""
    : `, ${peak <= memory ? "within" : "above"} --memory ${byteSize(memory)}`;
  return `Peak memory ${byteSize(peak)}${kept}`;
}

/**
 * The refusal of a command that does not fit, with what it takes most for and what would do.
 *
 * @param what That does not fit, such as `the smallest batches (--tokens-per-batch 64)`.
 * @param remedies Beside more memory.
 */
export function memoryRefusal(
  memory: number,
  needed: RunMemory,
  what: string,
  remedies: readonly string[] = [],
): RangeError {
  const least = Math.ceil(totalBytes(needed) * MARGIN / 2 ** 20);
  const largest = Object.entries({ ...needed }).sort((a, b) => b[1] - a[1]).slice(0, 3)
    .map(([name, bytes]) => `${name} ${byteSize(bytes)}`).join(", ");
  return new RangeError(
    `Cannot keep to --memory ${byteSize(memory)} as ${what} must fit: about ${
      byteSize(totalBytes(needed))
    } (${largest}); give ${[`--memory ${least}MiB`, ...remedies].join(", or ")}`,
  );
}
