/**
 * How a language model is asked which of two responses is better.
 *
 * @module
 */

import type { Message, Prompt } from "../../core/policy.ts";

/** How an answer says which response is better. */
export type AnswerForm =
  /** The answer is one of these and no more; the first token's log-probabilities are the best reading. */
  | {
    readonly kind: "label";
    readonly first: string;
    readonly second: string;
    readonly tie?: string;
  }
  /** A mark somewhere in the answer; of several, the first of this list that is there. */
  | {
    readonly kind: "mark";
    readonly first: string;
    readonly second: string;
    readonly tie: string;
  };

/** A question and how its answers are read. */
export interface PairwiseTemplate {
  /** Covers the question's text. */
  readonly id: string;
  /** The question, with the response shown first and the one shown second. */
  question(prompt: Prompt["content"], first: string, second: string): readonly Message[];
  /** How an answer says it. */
  readonly form: AnswerForm;
  /** Longest answer. */
  readonly maxTokens: number;
}

/** Where an answer is to be `[[A]]`, `[[B]]` or `[[C]]`, as in MT-Bench. */
export const VERDICT_MARKS = {
  kind: "mark",
  first: "[[A]]",
  second: "[[B]]",
  tie: "[[C]]",
} as const;

/**
 * The text of a prompt: a single user turn as it is, any other conversation with its roles.
 *
 * @example
 * ```ts
 * import { promptText } from "./pairwise_template.ts";
 * import assert from "node:assert/strict";
 * assert.equal(promptText([{ role: "user", content: "Hi" }]), "Hi");
 * assert.equal(
 *   promptText([{ role: "system", content: "Be brief" }, { role: "user", content: "Hi" }]),
 *   "system: Be brief\n\nuser: Hi",
 * );
 * ```
 */
export function promptText(content: Prompt["content"]): string {
  if (typeof content === "string") return content;
  if (content.length === 1 && content[0]!.role === "user") return content[0]!.content;
  return content.map(({ role, content }) => `${role}: ${content}`).join("\n\n");
}

/** The built-in templates. */
export const pairwiseTemplates: Readonly<
  Record<"short" | "alpaca" | "mt-bench", PairwiseTemplate>
> = {
  /** A letter; ties allowed. */
  short: {
    id: "short",
    form: { kind: "label", first: "A", second: "B", tie: "C" },
    maxTokens: 4,
    question: (prompt, first, second) => [{
      role: "user",
      content: `Which of two responses to a prompt is better?

[Prompt]
${promptText(prompt)}
[End of prompt]

[Response A]
${first}
[End of response A]

[Response B]
${second}
[End of response B]

Judge by correctness, helpfulness and how well the prompt is followed, not by length or order. Answer with one letter and nothing else: A if response A is better, B if response B is better, C if they are equally good.`,
    }],
  },
  /**
   * AlpacaEval 2's `alpaca_eval_clf_gpt4_turbo`: the label m or M, no ties
   * (tatsu-lab/alpaca_eval, `evaluators_configs/alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt`).
   */
  alpaca: {
    id: "alpaca",
    form: { kind: "label", first: "m", second: "M" },
    maxTokens: 1,
    question: (prompt, first, second) => [{
      role: "system",
      content:
        "You are a highly efficient assistant, who evaluates and selects the best large language model (LLMs) based on the quality of their responses to a given instruction. This process will be used to create a leaderboard reflecting the most accurate and human-preferred answers.",
    }, {
      role: "user",
      content:
        `I require a leaderboard for various large language models. I'll provide you with prompts given to these models and their corresponding outputs. Your task is to assess these responses, and select the model that produces the best output from a human perspective.

## Instruction

{
    "instruction": """${promptText(prompt)}""",
}

## Model Outputs

Here are the unordered outputs from the models. Each output is associated with a specific model, identified by a unique model identifier.

{
    {
        "model_identifier": "m",
        "output": """${first}"""
    },
    {
        "model_identifier": "M",
        "output": """${second}"""
    }
}

## Task

Evaluate the models based on the quality and relevance of their outputs, and select the model that generated the best output. Answer by providing the model identifier of the best model. We will use your output as the name of the best model, so make sure your output only contains one of the following model identifiers and nothing else (no quotes, no spaces, no new lines, ...): m or M.

## Best Model Identifier`,
    }],
  },
  /**
   * MT-Bench's `pair-v2`: an explanation, then a verdict
   * (lm-sys/FastChat, `fastchat/llm_judge/data/judge_prompts.jsonl` and `common.py`).
   */
  "mt-bench": {
    id: "mt-bench",
    form: VERDICT_MARKS,
    maxTokens: 2048,
    question: (prompt, first, second) => [{
      role: "system",
      content:
        `Please act as an impartial judge and evaluate the quality of the responses provided by two AI assistants to the user question displayed below. You should choose the assistant that follows the user's instructions and answers the user's question better. Your evaluation should consider factors such as the helpfulness, relevance, accuracy, depth, creativity, and level of detail of their responses. Begin your evaluation by comparing the two responses and provide a short explanation. Avoid any positional biases and ensure that the order in which the responses were presented does not influence your decision. Do not allow the length of the responses to influence your evaluation. Do not favor certain names of the assistants. Be as objective as possible. After providing your explanation, output your final verdict by strictly following this format: "[[A]]" if assistant A is better, "[[B]]" if assistant B is better, and "[[C]]" for a tie.`,
    }, {
      role: "user",
      content: `[User Question]
${promptText(prompt)}

[The Start of Assistant A's Answer]
${first}
[The End of Assistant A's Answer]

[The Start of Assistant B's Answer]
${second}
[The End of Assistant B's Answer]`,
    }],
  },
};
