/**
 * The questions that `sppo bench` and `deno bench` answer.
 *
 * @module
 */

import type { Question } from "./case.ts";
import {
  attentions,
  decodeProducts,
  optimizerCase,
  prefillProducts,
  rowKernels,
  trainingProducts,
} from "./kernels.ts";
import { decodingCases, judgingCases, trainingCases } from "./models.ts";
import { samplingCases } from "./sampling.ts";

/** Every question by name. */
export const questions = {
  products: {
    asks: "How fast are matrix products at the shapes of training, prefill and decoding?",
    on: "backends",
    cases: [...trainingProducts, ...prefillProducts, ...decodeProducts],
  },
  attention: {
    asks: "How fast is attention?",
    on: "backends",
    cases: attentions,
  },
  rows: {
    asks: "How fast are norms, softmax and log-probabilities of tokens?",
    on: "backends",
    cases: rowKernels,
  },
  optimizer: {
    asks: "What does an optimizer's step cost?",
    on: "backends",
    cases: [optimizerCase(512)],
  },
  decoding: {
    asks: "What do a prefill and a step of decoding cost, as rows are added?",
    on: "backends",
    cases: decodingCases,
    decides: "generation",
  },
  training: {
    asks: "What does a training step cost, with all weights and with an adapter?",
    on: "backends",
    cases: trainingCases,
    decides: "training",
  },
  judging: {
    asks: "What does a judge's reading cost?",
    on: "backends",
    cases: judgingCases,
    decides: "judging",
  },
  sampling: {
    asks: "What does choosing a token cost the host?",
    on: "host",
    cases: samplingCases,
  },
} as const satisfies Readonly<Record<string, Question>>;

/** Name of a question. */
export type QuestionName = keyof typeof questions;

/** All names, in order. */
export const questionNames: readonly QuestionName[] = Object.keys(questions) as QuestionName[];
