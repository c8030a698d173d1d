/**
 * Questions put to a language model: each once, none beyond a budget, all of them counted.
 *
 * @module
 */

import { fingerprint } from "../../core/hash.ts";
import type { Journal } from "../../core/journal.ts";
import type { Message } from "../../core/policy.ts";
import type { ChatAnswer, ChatBatchModel, ChatModel } from "./chat_model.ts";
import { runAhead } from "./run_ahead.ts";

/** How a model is asked. */
export interface AskingOptions {
  /** Longest answer. */
  readonly maxTokens: number;
  /** Labels whose log-probabilities are wanted, where the model tells them; none: its text alone. */
  readonly labels?: readonly string[];
  /** Questions under way at once, of a model that answers one by one. */
  readonly concurrency: number;
  /** Where answers are kept. */
  readonly answers?: Pick<Journal, "read" | "write">;
  /** Tokens after which nothing more is asked. */
  readonly tokenBudget: number;
}

/** An answer, and whether it was asked for now. */
export interface Answered {
  readonly answer: ChatAnswer;
  readonly fresh: boolean;
}

/** What was asked since it was made. */
export interface Asked {
  readonly requests: number;
  readonly promptTokens: number;
  readonly responseTokens: number;
}

/** What puts questions to a model. */
export interface Asking {
  /** Answers in the order of the questions; the same question is asked once. */
  all(
    questions: readonly (readonly Message[])[],
    signal?: AbortSignal,
  ): AsyncGenerator<Answered, undefined>;
  /** What it took so far. */
  asked(): Asked;
}

/**
 * Puts questions to a model that answers them one by one, several under way, or all together.
 *
 * @throws {RangeError} When the budget is spent, or the model counts no tokens beside a budget.
 */
export function askingOf(model: ChatModel | ChatBatchModel, options: AskingOptions): Asking {
  const { maxTokens, labels, concurrency, answers, tokenBudget } = options;
  const logProbs = labels !== undefined;
  let requests = 0, promptTokens = 0, responseTokens = 0;

  const nameOf = (messages: readonly Message[]) => {
    const turns = messages.map(({ role, content }) => [role, content]);
    const key = fingerprint([
      ...[model.id, maxTokens, logProbs, turns],
      // One by one, a model gives its likeliest tokens, whatever the labels are.
      ...("answers" in model && labels ? [labels] : []),
    ]);
    return `${key.slice(0, 2)}/${key.slice(2)}.json`;
  };

  async function kept(name: string): Promise<Answered | undefined> {
    const bytes = await answers?.read(name);
    return bytes && { answer: JSON.parse(new TextDecoder().decode(bytes)), fresh: false };
  }

  function checkBudget(): void {
    const used = promptTokens + responseTokens;
    if (used >= tokenBudget) {
      throw new RangeError(
        `Cannot ask ${model.id} as its budget of ${tokenBudget} tokens must not be spent: ${used} are`,
      );
    }
  }

  async function keep(name: string, answer: ChatAnswer): Promise<Answered> {
    requests++;
    if (answer.refused !== undefined) return { answer, fresh: true };
    if (tokenBudget < Infinity && answer.tokens.prompt + answer.tokens.response === 0) {
      throw new RangeError(
        `Cannot keep to a budget of tokens as ${model.id} must count them: it does not`,
      );
    }
    promptTokens += answer.tokens.prompt;
    responseTokens += answer.tokens.response;
    await answers?.write(name, new TextEncoder().encode(JSON.stringify(answer)));
    return { answer, fresh: true };
  }

  function oneByOne(
    model: ChatModel,
    questions: readonly (readonly Message[])[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Answered, undefined> {
    const first = new Map<string, Promise<Answered>>();
    const tasks = questions.map((messages) => async (ending: AbortSignal): Promise<Answered> => {
      const name = nameOf(messages);
      const before = first.get(name);
      if (before !== undefined) return { ...await before, fresh: false };
      const answered = (async () => {
        const known = await kept(name);
        if (known !== undefined) return known;
        checkBudget();
        return await keep(
          name,
          await model.answer(messages, { maxTokens, logProbs, signal: ending }),
        );
      })();
      first.set(name, answered);
      return await answered;
    });
    return runAhead(tasks, concurrency, signal);
  }

  async function* together(
    model: ChatBatchModel,
    questions: readonly (readonly Message[])[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Answered, undefined> {
    const names = questions.map(nameOf);
    const known = new Map<string, Answered>();
    const missing = new Map<string, readonly Message[]>();
    for (const [at, name] of names.entries()) {
      if (known.has(name) || missing.has(name)) continue;
      const before = await kept(name);
      if (before === undefined) missing.set(name, questions[at]!);
      else known.set(name, before);
    }
    const stream = model.answers([...missing.values()], {
      maxTokens,
      ...(labels === undefined ? {} : { labels }),
      ...(signal === undefined ? {} : { signal }),
    })[Symbol.asyncIterator]();
    try {
      for (const name of names) {
        const before = known.get(name);
        if (before !== undefined) {
          yield before;
          continue;
        }
        checkBudget();
        const { done, value } = await stream.next();
        if (done === true) {
          throw new RangeError(
            `Cannot ask ${model.id} as it must answer each question: ${missing.size} were asked`,
          );
        }
        const answered = await keep(name, value);
        known.set(name, { ...answered, fresh: false });
        yield answered;
      }
    } finally {
      await stream.return?.();
    }
  }

  return {
    all: (questions, signal) =>
      "answers" in model ? together(model, questions, signal) : oneByOne(model, questions, signal),
    asked: () => ({ requests, promptTokens, responseTokens }),
  };
}
