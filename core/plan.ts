/**
 * What a run of self-play is to do, from its options alone.
 *
 * @module
 */

import { fingerprint } from "./hash.ts";
import type { Json } from "./journal.ts";
import type { Policy, Prompt } from "./policy.ts";
import type { LoopOptions } from "./loop.ts";

/** Refuses options out of their range. @throws {RangeError} Naming the first. */
export function checkOptions<P extends Policy>(options: LoopOptions<P>): void {
  const { iterations, prompts, evaluation, promptsPerBatch = 8, parts = 1 } = options;
  const whole = (name: string, value: number, least: number): void => {
    if (!(Number.isSafeInteger(value) && value >= least)) {
      throw new RangeError(
        `Cannot play as ${name} must be a whole number of at least ${least}: ${value}`,
      );
    }
  };
  whole("iterations", iterations, 1);
  if (evaluation !== undefined) whole("evaluation samples", evaluation.sampling.samples, 1);
  whole("promptsPerBatch", promptsPerBatch, 1);
  whole("parts", parts, 1);
  for (let t = 0; t < iterations; t++) {
    const eta = typeof options.eta === "number" ? options.eta : options.eta(t, iterations);
    if (!(eta > 0 && isFinite(eta))) {
      throw new RangeError(`Cannot play as eta must be a positive number: ${eta} at t = ${t}`);
    }
    if (typeof options.eta === "number") break;
  }
  if (prompts.length === 0) throw new RangeError("Cannot play as there must be prompts: none");
  if (options.promptsPerIteration !== "repeat") {
    const count = options.parts ?? iterations;
    if (prompts.length < count) {
      throw new RangeError(
        `Cannot split prompts over ${count} iterations as each must have one: ${prompts.length} ` +
          `prompts; give more, or use all of them in each iteration`,
      );
    }
  }
  const seen = new Set<string>();
  for (const { id } of [...prompts, ...(evaluation?.heldOut ?? [])]) {
    if (seen.has(id)) throw new RangeError(`Cannot play as prompt ids must be unique: "${id}"`);
    seen.add(id);
  }
}

/** The prompts of iteration t = 0, 1, … */
export function promptsOf<P extends Policy>(
  options: LoopOptions<P>,
  t: number,
): readonly Prompt[] {
  const { prompts, iterations, promptsPerIteration = "split" } = options;
  switch (promptsPerIteration) {
    case "repeat":
      return prompts;
    case "split": {
      const parts = options.parts ?? iterations, part = t % parts;
      return prompts.slice(
        Math.floor(part * prompts.length / parts),
        Math.floor((part + 1) * prompts.length / parts),
      );
    }
    default:
      return promptsPerIteration satisfies never;
  }
}

/** Names the summary of an iteration; hashes everything the iteration depends on. */
export function summaryKey<P extends Policy>(
  options: LoopOptions<P>,
  policy: P,
  iteration: number,
  eta: number,
  prompts: readonly Prompt[],
): string {
  const { source, trainer, seed = 0, evaluation } = options;
  return `${iteration}#` + fingerprint([
    [policy.id, options.policy.id, source.id, trainer.id, seed, eta, prompts],
    evaluation === undefined ? null : [
      ...[evaluation.oracle.id, evaluation.heldOut, evaluation.sampling],
      evaluation.against ?? null,
    ],
  ] as unknown as Json);
}
