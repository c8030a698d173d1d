/**
 * Policies π(y | x): what can be sampled from, and what can say how likely a response is.
 *
 * @module
 */

import type { Json } from "./journal.ts";

/** One turn of a conversation. */
export interface Message {
  /** Who says it. */
  readonly role: "system" | "user" | "assistant";
  /** What is said. */
  readonly content: string;
}

/** A prompt x. */
export interface Prompt {
  /** Names the prompt in files, random streams and messages; unique within a run. */
  readonly id: string;
  /** Text of one user turn, or a conversation whose last turn is not the assistant's. */
  readonly content: string | readonly Message[];
  /**
   * What else is known of it, by name: what an oracle reads beside the conversation, such as a
   * reference answer. Policies do not see it.
   */
  readonly fields?: Readonly<Record<string, Json>>;
}

/** Why a response ended: the end of its turn (or a stop string), or the limit on tokens. */
export type FinishReason = "stop" | "length";

/** A response y. */
export interface Response {
  /** The text, without the end of the turn and without the stop string that ended it. */
  readonly text: string;
  /**
   * The token ids that were sampled, with the end-of-turn token where it was sampled, and with the
   * tokens of the stop string that ended the response, which `text` leaves out: they were the
   * policy's choices too. Scoring and training use these; without them the text is tokenised.
   */
  readonly tokenIds?: readonly number[];
  /** Why it ended, where that is known. */
  readonly finishReason?: FinishReason;
  /**
   * log π(y | x) of the policy that sampled it, in nats, summed over `tokenIds`: the model's own, at
   * temperature 1 over the whole vocabulary, whatever the sampler did. With a stop string it is the
   * log-probability of more than `text`: of that string's tokens too.
   */
  readonly logProb?: number;
}

/** How to sample. */
export interface SampleOptions {
  /** K, responses per prompt. */
  readonly samples: number;
  /** Sampling temperature; 0 is greedy. */
  readonly temperature: number;
  /** Smallest probability mass kept (nucleus); 1 keeps all. */
  readonly topP: number;
  /** Number of most likely tokens kept; 0 keeps all. */
  readonly topK?: number;
  /** Tokens less likely than this share of the most likely one are dropped; 0 keeps all. */
  readonly minP?: number;
  /** Longest response in tokens. */
  readonly maxTokens: number;
  /** Texts that end a response; not part of its `text`, while their tokens stay in `tokenIds`. */
  readonly stop?: readonly string[];
  /** Seeds one random stream per (prompt id, sample index). */
  readonly seed: number;
  /** Ends the sampling with an error, the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A prompt with its K responses. */
export interface Sampled {
  /** x. */
  readonly prompt: Prompt;
  /** y_1 … y_K. */
  readonly responses: readonly Response[];
  /**
   * Probability of each response under the policy, where the responses are all there are and each
   * stands once (a tabular policy played exactly). Absent for samples, which count 1/K each.
   */
  readonly weights?: readonly number[];
}

/**
 * Something that answers prompts.
 *
 * Laws: yields each prompt once, in order; the same prompts, options and state give the same
 * responses; streams of (prompt id, sample) are independent of which other prompts are asked.
 */
export interface Sampler {
  /** Covers weights, adapter and template: equal ids mean equal distributions. */
  readonly id: string;
  /** Answers each prompt K times. */
  sample(prompts: readonly Prompt[], options: SampleOptions): AsyncIterable<Sampled>;
}

/** A prompt and responses to be scored. */
export interface ResponseGroup {
  /** x. */
  readonly prompt: Prompt;
  /** Responses y to it. */
  readonly responses: readonly Response[];
}

/** log π(y_t | x, y_<t) in nats, one entry per response of a group, one element per token. */
export type TokenLogProbs = readonly Float32Array[];

/** Something that says how likely given responses are. Yields one entry per group, in order. */
export interface Scorer {
  /** Covers weights, adapter and template: equal ids mean equal probabilities. */
  readonly id: string;
  /** Scores responses by the model's own probabilities, at temperature 1 over the whole vocabulary. */
  logProbs(
    groups: readonly ResponseGroup[],
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterable<TokenLogProbs>;
}

/** A policy that can be trained from: it samples and it scores. A remote server may be a Sampler only. */
export type Policy = Sampler & Scorer;
