/**
 * A language model as a preference oracle.
 *
 * @module
 */

import { fingerprint } from "../../core/hash.ts";
import type { Journal } from "../../core/journal.ts";
import { judge } from "../../core/judgements.ts";
import type {
  CompareOptions,
  ComparisonGroup,
  Judgement,
  PreferenceOracle,
} from "../../core/oracle.ts";
import { type Answered, askingOf } from "./asking.ts";
import type { ChatAnswer, ChatBatchModel, ChatModel } from "./chat_model.ts";
import { type PairwiseTemplate, pairwiseTemplates } from "./pairwise_template.ts";
import { JudgeError, readVerdict, type Verdict } from "./read_verdict.ts";

/** Options of {@linkcode languageModelJudge}. */
export interface LanguageModelJudgeOptions {
  /** The question; {@linkcode pairwiseTemplates}`.short` when not given. */
  readonly template?: PairwiseTemplate;
  /** Whether labels are read from log-probabilities where there are any; true when not given. */
  readonly logProbs?: boolean;
  /** Questions under way at once, of a model that answers one by one; 4 when not given. */
  readonly concurrency?: number;
  /**
   * What an answer without a verdict does: an error (when not given), a pair that counts as not
   * compared, or a whole prompt that does.
   */
  readonly unparsable?: "throw" | "mask-pair" | "mask-prompt";
  /** Where answers are kept by what was asked, so that nothing is asked twice. */
  readonly answers?: Pick<Journal, "read" | "write">;
  /** Tokens, read and written, after which nothing more is asked; those under way are let finish. */
  readonly tokenBudget?: number;
  /** Price of a million tokens. */
  readonly price?: { readonly prompt: number; readonly response: number };
}

/** What a judge has used. */
export interface JudgeMeter {
  /** Questions that were put to the model; its own repeated tries are one. */
  readonly requests: number;
  /** Tokens read. */
  readonly promptTokens: number;
  /** Tokens written. */
  readonly responseTokens: number;
  /** By {@linkcode LanguageModelJudgeOptions.price}. */
  readonly currency: number;
}

/**
 * A judge that asks a language model about each pair of different texts in both orders:
 *
 *     P(y_i ≻ y_j) = ½ (p_ij + 1 − p_ji),   p_ij = P(first is better | y_i first, y_j second),
 *
 * so that what the model says for a place, and not for a response, cancels. With hard verdicts, two
 * that contradict each other are a tie, as in MT-Bench. A judgement's `counts` tell of the pairs it
 * read: `pairs`; `first_place`, the sum of (p_ij + p_ji)/2, so that first_place/pairs − ½ is the bias
 * for the first place; `order_conflicts`, pairs of which both orders prefer the same place (or
 * another, neither being a tie); `soft`, answers read from log-probabilities, `hard`, from the text;
 * `unparsable`, answers without a verdict; `cached`, answers that were not asked for again.
 * `cost` has only what was asked now.
 *
 * Equal texts are ½ and are not asked about. Calling twice gives the same as far as the model answers
 * alike; with `answers`, in any case.
 *
 * @returns The oracle; `meter()` says what it has used since it was made.
 * @throws {RangeError} When an option is out of range; on comparing, when the budget is spent.
 * @throws {JudgeError} On comparing, when an answer has no verdict, unless `unparsable` masks it.
 *
 * @example
 * ```ts
 * import { languageModelJudge } from "./language_model_judge.ts";
 * import assert from "node:assert/strict";
 * // A model that always finds the first response better.
 * const tokens = { prompt: 100, response: 1 };
 * const model = { id: "first", answer: () => Promise.resolve({ text: "A", tokens }) };
 * const prompt = { id: "p", content: "?" }, responses = [{ text: "yes" }, { text: "no" }];
 * for await (const { preferences, counts } of languageModelJudge(model).compare([{ prompt, responses }])) {
 *   assert.equal(preferences[1], 0.5);
 *   assert.deepEqual([counts!.first_place, counts!.order_conflicts], [1, 1]);
 * }
 * ```
 */
export function languageModelJudge(
  model: ChatModel | ChatBatchModel,
  options: LanguageModelJudgeOptions = {},
): PreferenceOracle & { meter(): JudgeMeter } {
  const { template = pairwiseTemplates.short, concurrency = 4, unparsable = "throw" } = options;
  const { answers, tokenBudget = Infinity, price = { prompt: 0, response: 0 } } = options;
  const logProbs = (options.logProbs ?? true) && template.form.kind === "label";
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new RangeError(
      `Cannot judge by a language model as the questions at once must be a whole number from 1 on: ${concurrency}`,
    );
  }
  if (!(tokenBudget > 0)) {
    throw new RangeError(
      `Cannot judge by a language model as its budget of tokens must be positive: ${tokenBudget}`,
    );
  }
  if (!(price.prompt >= 0 && price.response >= 0)) {
    throw new RangeError(
      `Cannot judge by a language model as its prices must not be negative: ${price.prompt} and ${price.response}`,
    );
  }
  const { form, maxTokens } = template;
  if (!Number.isInteger(maxTokens) || maxTokens < 1) {
    throw new RangeError(
      `Cannot judge by a language model as the longest answer must be a whole number of tokens from 1 on: ${maxTokens}`,
    );
  }
  const settings = { template: template.id, form, maxTokens, logProbs };
  const asking = askingOf(model, {
    maxTokens,
    concurrency,
    tokenBudget,
    ...(logProbs ? { labels: labelsOf(form) } : {}),
    ...(answers === undefined ? {} : { answers }),
  });
  const costOf = (prompt: number, response: number) =>
    (prompt * price.prompt + response * price.response) / 1e6;

  function judgementOf(
    group: ComparisonGroup,
    orders: readonly Order[],
    answered: readonly Answered[],
  ): Judgement {
    const counts = { pairs: 0, first_place: 0, order_conflicts: 0, soft: 0, hard: 0 };
    const verdicts = new Map<string, Verdict>();
    let unread = 0, cached = 0, tokens = 0, asked = 0, currency = 0;
    orders.forEach(({ first, second }, index) => {
      const { answer, fresh } = answered[index]!;
      if (fresh) {
        asked++;
        tokens += answer.tokens.prompt + answer.tokens.response;
        currency += costOf(answer.tokens.prompt, answer.tokens.response);
      } else cached++;
      const verdict = readVerdict(answer, form);
      if (verdict === undefined) {
        unread++;
        if (unparsable === "throw") {
          throw new JudgeError(unreadable(model.id, group.prompt.id, form, answer), answer.text);
        }
        return;
      }
      counts[verdict.soft ? "soft" : "hard"]++;
      verdicts.set(orderKey(first, second), verdict);
    });
    const bothOrders = (a: string, b: string) => {
      const there = verdicts.get(orderKey(a, b)), back = verdicts.get(orderKey(b, a));
      return there && back ? [there.first, back.first] as const : undefined;
    };
    for (const { first, second } of orders.filter((_, index) => index % 2 === 0)) {
      const both = bothOrders(first, second);
      if (both === undefined) continue;
      counts.pairs++;
      counts.first_place += (both[0] + both[1]) / 2;
      if ((both[0] - 0.5) * (both[1] - 0.5) > 0) counts.order_conflicts++;
    }
    const text = (index: number) => group.responses[index]!.text;
    const readable = unread > 0 && unparsable === "mask-prompt"
      ? []
      : pairsOf(group).filter(([i, j]) =>
        text(i) === text(j) || bothOrders(text(i), text(j)) !== undefined
      );
    return {
      ...judge({ ...group, pairs: readable }, (i, j) => {
        const both = text(i) === text(j) ? undefined : bothOrders(text(i), text(j))!;
        return both === undefined ? 0.5 : (both[0] + 1 - both[1]) / 2;
      }),
      cost: { tokens, requests: asked, currency },
      counts: { ...counts, unparsable: unread, cached },
    };
  }

  return {
    id: `llm:${model.id}@template=${template.id},${fingerprint(settings)},unparsable=${unparsable}`,
    meter() {
      const asked = asking.asked();
      return { ...asked, currency: costOf(asked.promptTokens, asked.responseTokens) };
    },
    async *compare(groups, { signal }: CompareOptions = {}) {
      signal?.throwIfAborted();
      const orders = groups.map(ordersOf);
      const questions = groups.flatMap(({ prompt }, at) =>
        orders[at]!.map(({ first, second }) => template.question(prompt.content, first, second))
      );
      const results = asking.all(questions, signal);
      try {
        for (const [at, group] of groups.entries()) {
          signal?.throwIfAborted();
          const answered: Answered[] = [];
          while (answered.length < orders[at]!.length) {
            answered.push((await results.next()).value as Answered);
          }
          yield judgementOf(group, orders[at]!, answered);
        }
      } catch (error) {
        signal?.throwIfAborted(); // with its own reason, not the client's
        throw error;
      } finally {
        await results.return(undefined);
      }
    },
  };
}

/** Two texts in the order they are shown. */
interface Order {
  readonly first: string;
  readonly second: string;
}

const orderKey = (first: string, second: string): string => JSON.stringify([first, second]);

function pairsOf({ responses, pairs }: ComparisonGroup): readonly (readonly [number, number])[] {
  if (pairs !== undefined) return pairs;
  return responses.flatMap((_, i) =>
    responses.slice(i + 1).map((_, offset) => [i, i + 1 + offset] as const)
  );
}

/** Each pair of different texts once, one order after the other. */
function ordersOf(group: ComparisonGroup): Order[] {
  judge(group, () => 0.5); // checks the pairs
  const orders: Order[] = [];
  const seen = new Set<string>();
  for (const [i, j] of pairsOf(group)) {
    const [a, b] = [group.responses[i]!.text, group.responses[j]!.text];
    if (a === b || seen.has(orderKey(a, b))) continue;
    seen.add(orderKey(a, b)).add(orderKey(b, a));
    orders.push({ first: a, second: b }, { first: b, second: a });
  }
  return orders;
}

function unreadable(
  model: string,
  promptId: string,
  form: PairwiseTemplate["form"],
  { text, refused }: ChatAnswer,
): string {
  if (refused !== undefined) {
    return refused.replace(/^Cannot .*? as /, `Cannot judge prompt "${promptId}" as `);
  }
  return `Cannot read the answer of ${model} on prompt "${promptId}" as it must have ${
    expected(form)
  }: ${JSON.stringify(shortened(text))}`;
}

function labelsOf({ first, second, tie }: PairwiseTemplate["form"]): string[] {
  return [first, second, ...(tie === undefined ? [] : [tie])];
}

function expected(form: PairwiseTemplate["form"]): string {
  const marks = labelsOf(form).join(", ");
  return form.kind === "label" ? `one of ${marks} and no more` : `one of ${marks} in it`;
}

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 100)}…${text.slice(-100)}` : text;
}
