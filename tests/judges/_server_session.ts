/**
 * What a judge and a sampler ask a real server, and what comes of it: the same questions whether the
 * server is there or its answers are replayed.
 *
 * @module
 */

import { languageModelJudge, pairwiseTemplates } from "../../judges/mod.ts";
import { openAiChat } from "../../models/remote/openai_chat.ts";
import { openAiSampler } from "../../models/remote/openai_sampler.ts";

const prompt = (id: string, content: string) => ({ id, content });
const GROUPS = [
  {
    prompt: prompt("capital", "What is the capital of France?"),
    responses: ["Paris.", "It is Berlin, of course.", "I like trains."].map((text) => ({ text })),
  },
  {
    prompt: prompt("sky", "Why is the sky blue? Answer in one sentence."),
    responses: [
      "Because air scatters blue light more than red.",
      "Because.",
    ].map((text) => ({ text })),
  },
];

/** How a template fared. */
export interface SessionJudgement {
  readonly preferences: readonly (number | null)[];
  readonly counts: Readonly<Record<string, number>>;
}

/** What comes of it. */
export interface Session {
  /** Labels from log-probabilities: the short template and AlpacaEval's. */
  readonly soft: readonly SessionJudgement[];
  /** Labels from the text; what has none is masked. */
  readonly hard: readonly SessionJudgement[];
  /** MT-Bench's marks in 24 tokens; what has none is masked. */
  readonly marks: readonly SessionJudgement[];
  /** Two answers to each of two prompts, and why they ended. */
  readonly sampled:
    readonly (readonly { readonly text: string; readonly finishReason?: string }[])[];
}

/** Asks a server, at `baseUrl`, for its model. */
export async function serverSession(baseUrl: string, model: string): Promise<Session> {
  const chat = openAiChat({ baseUrl, model });
  const judged = async (options: Parameters<typeof languageModelJudge>[1]) => {
    const oracle = languageModelJudge(chat, {
      unparsable: "mask-pair",
      concurrency: 2,
      ...options,
    });
    const judgements: SessionJudgement[] = [];
    for await (const { preferences, counts } of oracle.compare(GROUPS)) {
      judgements.push({
        preferences: Array.from(preferences, (p) => Number.isNaN(p) ? null : p),
        counts: counts!,
      });
    }
    return judgements;
  };
  const short = { ...pairwiseTemplates.short, maxTokens: 1 };
  const sampler = openAiSampler({ baseUrl, model, concurrency: 2 });
  const sampled = [];
  for await (
    const { responses } of sampler.sample(GROUPS.map(({ prompt }) => prompt), {
      samples: 2,
      temperature: 0.7,
      topP: 0.9,
      maxTokens: 12,
      seed: 1,
    })
  ) sampled.push(responses);
  return {
    soft: [
      ...await judged({ template: short }),
      ...await judged({ template: pairwiseTemplates.alpaca }),
    ],
    hard: await judged({ template: pairwiseTemplates.short, logProbs: false }),
    marks: await judged({ template: { ...pairwiseTemplates["mt-bench"], maxTokens: 24 } }),
    sampled,
  };
}
