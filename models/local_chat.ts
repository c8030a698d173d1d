/**
 * A policy that answers conversations: by its likeliest words, or by how likely given labels are. Judges
 * ask it.
 *
 * @module
 */

import type { Message, Prompt } from "../core/mod.ts";
import { positionsInWords } from "./architectures/mod.ts";
import type { LocalPolicy } from "./local_policy.ts";

/** An answer. */
export interface LocalAnswer {
  /** The whole of it; with labels, the likeliest. */
  readonly text: string;
  /** With labels, each with its log-probability, nats. */
  readonly firstToken?: readonly { readonly token: string; readonly logProb: number }[];
  /** Tokens read and written. */
  readonly tokens: { readonly prompt: number; readonly response: number };
  /** Why there is no answer: the question is too long. */
  readonly refused?: string;
}

/** How conversations are answered. */
export interface LocalChatOptions {
  /** Longest answer. */
  readonly maxTokens: number;
  /** What an answer may begin with; nothing is written then. */
  readonly labels?: readonly string[];
  /** Ends the answering with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Conversations answered together; enough for full batches, few enough to stream. */
const QUESTIONS_PER_ROUND = 64;

/**
 * A local policy that answers conversations, many together.
 *
 * With labels, log p(label) is the policy's own log-probability of the label's tokens as the beginning of
 * its answer, without an end of the turn; of a label that may be written with a space before it, the two
 * spellings count together. The question is computed once for all labels. Without, the answer is
 * decoded greedily.
 *
 * A model without a chat template sees the turns' texts with an empty line between them. A question that
 * does not fit the model's positions is refused, the others are answered.
 *
 * @throws {RangeError} On answering, when a label has no token.
 */
export function localChat(policy: LocalPolicy): {
  readonly id: string;
  answers(
    conversations: readonly (readonly Message[])[],
    options: LocalChatOptions,
  ): AsyncGenerator<LocalAnswer>;
} {
  const { model } = policy;
  const { maxPositions } = model.config;
  const promptOf = (messages: readonly Message[], index: number): Prompt => ({
    id: `question ${index + 1}`,
    content: model.template === "chat"
      ? messages
      : messages.map(({ content }) => content).join("\n\n"),
  });

  async function labelled(
    questions: readonly (readonly number[])[],
    labels: readonly Spelled[],
    signal: AbortSignal | undefined,
  ): Promise<LocalAnswer[]> {
    const sequences = questions.flatMap((promptIds) =>
      labels.flatMap(({ spellings }) =>
        spellings.map((responseIds) => ({ promptIds, responseIds }))
      )
    );
    const scored = await policy.scoreSequences(sequences, signal);
    let next = 0;
    return questions.map(({ length }) => {
      const firstToken = labels.map(({ label, spellings }) => ({
        token: label,
        logProb: logSumExp(spellings.map(() => scored[next++]!.reduce((sum, x) => sum + x, 0))),
      }));
      const best = firstToken.reduce((a, b) => b.logProb > a.logProb ? b : a);
      return { text: best.token, firstToken, tokens: { prompt: length, response: 0 } };
    });
  }

  async function* written(
    prompts: readonly Prompt[],
    questions: readonly (readonly number[])[],
    { maxTokens, signal }: LocalChatOptions,
  ): AsyncGenerator<LocalAnswer> {
    const greedy = { samples: 1, temperature: 0, topP: 1, maxTokens, seed: 0 };
    let at = 0;
    for await (
      const { responses: [response] } of policy.sample(
        prompts,
        signal === undefined ? greedy : { ...greedy, signal },
      )
    ) {
      const { text, tokenIds = [] } = response!;
      const tokens = { prompt: questions[at++]!.length, response: tokenIds.length };
      yield { text, tokens };
    }
  }

  return {
    id: `local:${policy.id}`,
    async *answers(conversations, options) {
      const { labels, maxTokens, signal } = options;
      const spelled = labels?.map((label) => spell(policy, label));
      const room = spelled
        ? Math.max(...spelled.flatMap(({ spellings }) => spellings.map(({ length }) => length)))
        : maxTokens;
      for (let start = 0; start < conversations.length; start += QUESTIONS_PER_ROUND) {
        signal?.throwIfAborted();
        const prompts = conversations.slice(start, start + QUESTIONS_PER_ROUND)
          .map((messages, index) => promptOf(messages, start + index));
        const ids = prompts.map((prompt) => model.encodePrompt(prompt));
        const fits = ids.map(({ length }) => length + room <= maxPositions);
        const [asked, questions] = [prompts, ids].map((all) => all.filter((_, at) => fits[at])) as [
          Prompt[],
          number[][],
        ];
        const answers = spelled
          ? (await labelled(questions, spelled, signal)).values()
          : written(asked, questions, options);
        try {
          for (const [at, { length }] of ids.entries()) {
            if (!fits[at]) {
              yield {
                text: "",
                tokens: { prompt: 0, response: 0 },
                refused: `Cannot answer as a question with ${room} tokens after it must fit ${
                  positionsInWords(model.config)
                }: ${length} + ${room}`,
              };
              continue;
            }
            yield (await answers.next()).value as LocalAnswer;
          }
        } finally {
          await answers.return?.(undefined);
        }
      }
    },
  };
}

/** A label with the token ids of its spellings. */
interface Spelled {
  readonly label: string;
  readonly spellings: readonly (readonly number[])[];
}

function spell({ model: { text: { tokenizer } } }: LocalPolicy, label: string): Spelled {
  const spellings = [label, ` ${label}`].map((text) => tokenizer.encode(text));
  const different = spellings.filter((ids, at) =>
    ids.length > 0 && spellings.findIndex((other) => other.join() === ids.join()) === at
  );
  if (different.length === 0) {
    throw new RangeError(`Cannot ask for a label as it must have tokens: ${JSON.stringify(label)}`);
  }
  return { label, spellings: different };
}

function logSumExp(values: readonly number[]): number {
  const most = Math.max(...values);
  if (most === -Infinity) return most;
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}
