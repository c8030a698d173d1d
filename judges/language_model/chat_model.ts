/**
 * What a language-model judge asks, and what it is answered.
 *
 * @module
 */

import type { Message } from "../../core/policy.ts";

/** How a question is to be answered. */
export interface ChatQuestionOptions {
  /** Longest answer. */
  readonly maxTokens: number;
  /** Whether log-probabilities of the answer's first token are wanted, where the model tells them. */
  readonly logProbs: boolean;
  /** Ends the wait. */
  readonly signal?: AbortSignal;
}

/** An answer; survives `JSON.stringify`. */
export interface ChatAnswer {
  /** The whole of it. */
  readonly text: string;
  /** The likeliest first tokens with their log-probabilities, nats, where the model tells them. */
  readonly firstToken?: readonly { readonly token: string; readonly logProb: number }[];
  /** Tokens read and written, as the model counts them. */
  readonly tokens: { readonly prompt: number; readonly response: number };
  /** Why there is no answer, as `Cannot …`, where the model refused the question. */
  readonly refused?: string;
}

/** Something that answers conversations, greedily; `openAiChat` of the models is one. */
export interface ChatModel {
  /** Covers everything an answer depends on, the questions aside. */
  readonly id: string;
  /** Answers one conversation. */
  answer(messages: readonly Message[], options: ChatQuestionOptions): Promise<ChatAnswer>;
}

/** How conversations are to be answered together. */
export interface ChatBatchOptions {
  /** Longest answer. */
  readonly maxTokens: number;
  /**
   * What an answer may begin with. With them nothing is written: `firstToken` has the log-probability of
   * each, and `text` is the likeliest.
   */
  readonly labels?: readonly string[];
  /** Ends the answering. */
  readonly signal?: AbortSignal;
}

/** Something that answers many conversations together, greedily; `localChat` of the models is one. */
export interface ChatBatchModel {
  /** Covers everything an answer depends on, the questions aside. */
  readonly id: string;
  /** Answers conversations, each once, in order. */
  answers(
    conversations: readonly (readonly Message[])[],
    options: ChatBatchOptions,
  ): AsyncIterable<ChatAnswer>;
}
