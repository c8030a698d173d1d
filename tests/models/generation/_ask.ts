/** Asking the tiny random Llama for responses. */

import type { Prompt, Sampled, SampleOptions } from "../../../core/mod.ts";
import type { Backend } from "../../../graph/mod.ts";
import type { LanguageModel, LocalPolicy } from "../../../models/mod.ts";
import { tinyModel } from "../_tiny_model.ts";

/** How responses are sampled where a test does not say. */
export const SAMPLING = {
  samples: 3,
  temperature: 1,
  topP: 1,
  maxTokens: 10,
  seed: 5,
} satisfies SampleOptions;

/** Token 21 ends turns: it is likely enough that lengths differ. */
export const END = 21;

/** The tiny model and its policy. */
export async function load(
  backend: Backend,
  options: Parameters<typeof tinyModel>[1] = {},
): Promise<{ model: LanguageModel; policy: LocalPolicy }> {
  const model = await tinyModel(backend, options);
  return { model, policy: await model.policy() };
}

/** Everything that was sampled. */
export async function collect(sampled: AsyncIterable<Sampled>): Promise<Sampled[]> {
  const all: Sampled[] = [];
  for await (const one of sampled) all.push(one);
  return all;
}

/** Samples responses to prompts. */
export const ask = (
  policy: LocalPolicy,
  prompts: readonly Prompt[],
  options: Partial<SampleOptions> = {},
): Promise<Sampled[]> => collect(policy.sample(prompts, { ...SAMPLING, ...options }));
