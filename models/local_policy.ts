/**
 * A policy that runs here: a language model with one snapshot of what is trained.
 *
 * @module
 */

import type {
  Policy,
  Prompt,
  ResponseGroup,
  Sampled,
  SampleOptions,
  Sampler,
  TokenLogProbs,
} from "../core/mod.ts";
import type { Store } from "../graph/mod.ts";
import { positionsInWords } from "./architectures/mod.ts";
import { type Decoder, generate } from "./generation/generate.ts";
import { mixDecoders } from "./generation/mix_decoders.ts";
import type { LanguageModel } from "./language_model.ts";
import { scoreSequences, type Sequence } from "./sequences.ts";

/** Options of {@linkcode LocalPolicy.logProbs}. */
export interface LogProbsOptions {
  /** Ends the scoring with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Groups scored at a time; large enough to sort by length, small enough to stream. */
const GROUPS_PER_ROUND = 64;

/** A language model at one state of its trained tensors; immutable. */
export class LocalPolicy implements Policy {
  /** Covers weights, adapter and template: equal ids mean equal distributions. */
  readonly id: string;
  /** The checkpoint it is a state of. */
  readonly model: LanguageModel;
  /** The trained tensors (an adapter, or all weights), where the model has any. */
  readonly trained: Store | undefined;

  readonly #shared: boolean;

  /** Made by {@linkcode LanguageModel}; `trained` belongs to the policy from then on unless `shared`. */
  constructor(
    id: string,
    model: LanguageModel,
    trained: Store | undefined,
    { shared = false }: { readonly shared?: boolean } = {},
  ) {
    this.id = id;
    this.model = model;
    this.trained = trained;
    this.#shared = shared;
  }

  /**
   * Samples K responses to each prompt, in order.
   *
   * @throws {RangeError} When a prompt and its response do not fit the model's positions.
   */
  sample(prompts: readonly Prompt[], options: SampleOptions): AsyncGenerator<Sampled> {
    const take: TakeDecoder = (tokens, samples) =>
      this.model.decoder(this.trained, tokens, samples);
    return sampleWith(this.model, take, prompts, options);
  }

  /**
   * Token log-probabilities of given responses, one entry per group, in order.
   *
   * @throws {RangeError} When a prompt and its response do not fit the model's positions.
   */
  async *logProbs(
    groups: readonly ResponseGroup[],
    { signal }: LogProbsOptions = {},
  ): AsyncGenerator<TokenLogProbs> {
    const { maxPositions } = this.model.config;
    for (let start = 0; start < groups.length; start += GROUPS_PER_ROUND) {
      const round = groups.slice(start, start + GROUPS_PER_ROUND);
      const sequences = round.map(({ prompt, responses }) => {
        const promptIds = this.model.encodePrompt(prompt);
        return responses.map((response) => {
          const responseIds = this.model.encodeResponse(response);
          if (promptIds.length + responseIds.length > maxPositions) {
            throw new RangeError(
              `Cannot score as prompt ${prompt.id} and its response must fit ` +
                `${
                  positionsInWords(this.model.config)
                }: ${promptIds.length} + ${responseIds.length}`,
            );
          }
          return { promptIds, responseIds };
        });
      });
      const scored = await this.scoreSequences(sequences.flat(), signal);
      let next = 0;
      for (const group of sequences) yield group.map(() => scored[next++]!);
    }
  }

  /** Token log-probabilities of token sequences, in their order. */
  async scoreSequences(
    sequences: readonly Sequence[],
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    const executable = await this.model.likelihood(this.trained);
    try {
      return await scoreSequences(executable, sequences, this.model.tokensPerBatch, signal);
    } finally {
      await executable.dispose();
    }
  }

  /** The policy as files: a PEFT adapter, or a whole checkpoint when all weights are trained. */
  files(): Promise<Record<string, Uint8Array>> {
    return this.model.policyFiles(this.trained);
  }

  /** Frees the trained tensors, where they are the policy's own. */
  async dispose(): Promise<void> {
    if (this.#shared || !this.trained) return;
    await this.model.forget(this.trained);
    await this.trained.dispose();
  }
}

/** A decoder for so many tokens and samples; whoever takes it disposes it. */
type TakeDecoder = (tokens: number, samples: number) => Promise<Decoder>;

/** Samples K responses to each prompt with the decoder that is taken. */
async function* sampleWith(
  model: LanguageModel,
  take: TakeDecoder,
  prompts: readonly Prompt[],
  options: SampleOptions,
): AsyncGenerator<Sampled> {
  if (prompts.length === 0) return;
  const { maxPositions } = model.config;
  const tokenized = prompts.map((prompt) => ({ prompt, ids: model.encodePrompt(prompt) }));
  const tooLong = tokenized.find(({ ids }) => ids.length + options.maxTokens > maxPositions);
  if (tooLong) {
    throw new RangeError(
      `Cannot sample as prompt ${tooLong.prompt.id} and its response must fit ` +
        `${positionsInWords(model.config)}: ${tooLong.ids.length} + ${options.maxTokens}`,
    );
  }
  const longest = Math.max(...tokenized.map(({ ids }) => ids.length));
  const decoder = await take(
    longest + options.maxTokens,
    options.samples,
  );
  try {
    yield* generate(decoder, tokenized, options);
  } finally {
    await decoder.dispose();
  }
}

/**
 * The geometric mixture of two states of one model, token by token: π_a^(1 − weight) π_b^weight, made
 * anew at each token. Both decode side by side, each with its adapter and its caches on the weights
 * they share.
 *
 * @param weight In [0, 1]: the share of `b` in the exponent.
 * @throws {TypeError} When the two are not of one model.
 * @throws {RangeError} When the weight is not in [0, 1].
 */
export function geometricMixture(a: LocalPolicy, b: LocalPolicy, weight: number): Sampler {
  const { model } = a;
  if (b.model !== model) {
    throw new TypeError("Cannot mix policies as they must be states of one model: they are of two");
  }
  if (!(weight >= 0 && weight <= 1)) {
    throw new RangeError(`Cannot mix policies as the weight must be in [0, 1]: ${weight}`);
  }
  const take: TakeDecoder = async (tokens, samples) => {
    const first = await model.decoder(a.trained, tokens, samples);
    try {
      return mixDecoders(first, await model.decoder(b.trained, tokens, samples), weight);
    } catch (error) {
      await first.dispose();
      throw error;
    }
  };
  return {
    id: `geometric-mixture-${weight}-${a.id}-${b.id}`,
    sample: (prompts, options) => sampleWith(model, take, prompts, options),
  };
}
