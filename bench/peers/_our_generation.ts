/**
 * Our side of the comparisons of generation.
 *
 * @module
 */

import { type Decoder, generate } from "../../models/mod.ts";

/** As the recipe has it. */
export const SAMPLING = { temperature: 0.7, topP: 0.9 };

/** @throws {RangeError} When two counts differ. */
export function assertSame(what: string, found: unknown, expected: number): void {
  if (found !== expected) {
    throw new RangeError(
      `Cannot compare as there must be ${expected} ${what} on both sides: ${found}`,
    );
  }
}

/** Tokens of all prompts. */
export function total(prompts: readonly (readonly number[])[]): number {
  return prompts.reduce((sum, ids) => sum + ids.length, 0);
}

/** One run of ours. */
export async function ourRun(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  options: {
    readonly samples: number;
    readonly maxTokens: number;
    readonly seed: number;
    readonly temperature?: number;
  },
): Promise<{ seconds: number; tokens: number }> {
  const started = performance.now();
  const tokenized = prompts.map((ids, index) => ({ prompt: { id: `${index}`, content: "" }, ids }));
  let tokens = 0;
  for await (const { responses } of generate(decoder, tokenized, { ...SAMPLING, ...options })) {
    for (const { tokenIds } of responses) tokens += tokenIds!.length;
  }
  return { seconds: (performance.now() - started) / 1000, tokens };
}
