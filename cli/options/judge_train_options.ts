/**
 * The options of `sppo judge train`.
 *
 * @module
 */

import { backend, common, model, promptColumn } from "./shared.ts";
import type { OptionTable } from "./spec.ts";
import { trainOptions } from "./train_options.ts";

/** Options of `sppo judge train`. */
export const judgeTrainOptions = {
  ...model,
  labels: {
    type: "text",
    value: "FILE",
    required: true,
    group: "Data",
    help:
      "labelled pairs: prompt with responses and preferences or verdicts, or chosen and rejected",
  },
  ...promptColumn,
  heldOut: {
    type: "text",
    value: "FILE|N|X",
    default: "0.2",
    group: "Data",
    help: "prompts to report on: a file, or how many (or which share) of the prompts to keep apart",
  },
  out: {
    type: "text",
    value: "DIR",
    required: true,
    group: "Data",
    help: "folder for the judge and report.json",
  },
  head: {
    type: "choice",
    choices: ["bradley-terry", "general-preference"],
    default: "bradley-terry",
    group: "Judge",
    help: "one reward of a response, or an embedding that can go round in circles",
  },
  dimension: {
    type: "integer",
    min: 2,
    max: 1024,
    default: 8,
    group: "Judge",
    help: "numbers of an embedding; even (general-preference)",
  },
  tau: {
    type: "number",
    above: 0,
    default: 0.1,
    group: "Judge",
    help: "divides products of embeddings (general-preference)",
  },
  maxTokens: {
    type: "integer",
    min: 2,
    default: 1024,
    group: "Judge",
    help: "most tokens of a prompt with its response; the beginning of longer ones is left out",
  },
  trainable: {
    type: "choice",
    choices: ["head", "lora"],
    default: "head",
    group: "Training",
    help: "the head alone, or an adapter on the model too",
  },
  loraRank: trainOptions.loraRank,
  loraAlpha: trainOptions.loraAlpha,
  loraTargets: trainOptions.loraTargets,
  epochs: {
    type: "integer",
    min: 1,
    default: 3,
    group: "Training",
    help: "times each pair is seen",
  },
  learningRate: {
    type: "number",
    above: 0,
    group: "Training",
    help: "largest learning rate (default: 2e-3 for a head alone, 2e-4 with an adapter)",
  },
  weightDecay: {
    type: "number",
    min: 0,
    default: 0.1,
    group: "Training",
    help: "AdamW's weight decay",
  },
  pairsPerStep: {
    type: "integer",
    min: 1,
    default: 64,
    group: "Training",
    help: "pairs of one optimizer step",
  },
  tokensPerBatch: {
    type: "integer",
    min: 16,
    default: 1024,
    group: "Machine",
    help: "tokens computed at once",
  },
  seed: { type: "integer", default: 0, group: "Training", help: "of the start and of the order" },
  ...backend,
  ...common,
} as const satisfies OptionTable;
