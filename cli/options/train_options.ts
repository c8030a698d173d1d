/**
 * The options of `sppo train`, and its presets.
 *
 * @module
 */

import { type ObjectiveName, objectives } from "../../core/objectives/objectives.ts";
import { DEFAULT_TOKENS_PER_BATCH } from "../../models/language_model_options.ts";
import {
  backend,
  common,
  memory,
  model,
  promptColumn,
  sampling,
  template,
  trainArithmetic,
} from "./shared.ts";
import type { OptionTable, SomeValues } from "./spec.ts";

const objectiveNames = Object.keys(objectives) as readonly ObjectiveName[];

/** Options of `sppo train`. */
export const trainOptions = {
  ...model,
  ...template,
  prompts: {
    type: "text",
    value: "FILE",
    resume: "content",
    group: "Data",
    help: "prompts to train on: .jsonl, .json, .csv, .txt or .parquet",
  },
  pairs: {
    type: "text",
    value: "FILE",
    resume: "content",
    group: "Data",
    help: "pairs (chosen, rejected) or demonstrations to train on, in place of --prompts",
  },
  ...promptColumn,
  heldOut: {
    type: "text",
    value: "FILE|N|X",
    resume: "content",
    group: "Data",
    help:
      "prompts to evaluate on: a file, or how many (or which share) of the prompts to keep apart",
  },
  judge: {
    type: "text",
    value: "JUDGE",
    resume: "content",
    group: "Data",
    help: "what compares responses: a short form (sppo help judge), a TypeScript module, or none",
  },
  out: {
    type: "text",
    value: "DIR",
    required: true,
    flagOnly: true,
    resume: "free",
    group: "Data",
    help: "folder of the run; one that was begun is continued",
  },
  preset: {
    type: "choice",
    choices: ["lora", "paper"],
    default: "lora",
    group: "Recipe",
    help: "values of the options that are not given",
  },
  iterations: {
    type: "integer",
    min: 1,
    default: 3,
    resume: "more",
    group: "Recipe",
    help: "rounds of self-play (of given pairs: 1)",
  },
  samples: {
    type: "integer",
    min: 1,
    default: 5,
    group: "Recipe",
    help: "K, responses per prompt (spin: 1, online-dpo: 2, best-of-n: N, 16)",
  },
  promptsPerIteration: {
    type: "choice",
    choices: ["split", "repeat"],
    default: "split",
    group: "Recipe",
    help: "split the prompts over the iterations, or use all in each",
  },
  eta: {
    type: "number",
    above: 0,
    group: "Recipe",
    help: "step size of the game: targets are eta (win rate - 1/2) nats; 1/beta",
  },
  beta: {
    type: "number",
    above: 0,
    group: "Recipe",
    help: "1/eta, as losses of pairs have it (default: the objective's, else 1/eta of the preset)",
  },
  etaSchedule: {
    type: "choice",
    choices: ["constant", "horizon", "decay"],
    default: "constant",
    group: "Recipe",
    help: "eta in all of T iterations, eta/sqrt(T) in all, or eta/sqrt(t) in iteration t",
  },
  estimator: {
    type: "choice",
    choices: ["matrix", "scores"],
    default: "matrix",
    group: "Recipe",
    help: "win rates from the judge's table, or from one score per response",
  },
  preferenceTemperature: {
    type: "number",
    above: 0,
    group: "Recipe",
    help: "divides differences of the judge's logits (default: its own probabilities)",
  },
  selfTerm: {
    type: "choice",
    choices: ["include", "exclude"],
    default: "include",
    group: "Recipe",
    help: "whether a response's comparison with itself, 1/2, counts in its win rate",
  },
  selection: {
    type: "choice",
    choices: ["best-worst", "all", "best"],
    group: "Recipe",
    help:
      "train on the best and the worst response, on all K, or on the best (default: the objective's)",
  },
  normalizer: {
    type: "choice",
    choices: ["half", "sample"],
    default: "half",
    group: "Recipe",
    help: "log Z as eta/2, or estimated from the K responses",
  },
  loss: {
    type: "choice",
    choices: objectiveNames,
    value: "OBJECTIVE",
    default: "sppo",
    group: "Recipe",
    help: "what is learnt from what; listed below",
  },
  reference: {
    type: "choice",
    choices: ["previous", "start"],
    group: "Recipe",
    help: "policy that a loss of pairs departs from (default: previous; online-dpo: start)",
  },
  labelSmoothing: {
    type: "number",
    min: 0,
    max: 0.499,
    group: "Recipe",
    help: "share of labels taken to be wrong, of dpo (default: 0) and robust (default: 0.1)",
  },
  margin: {
    type: "number",
    min: 0,
    group: "Recipe",
    help: "by how much simpo has the chosen response lead (default: 0.5)",
  },
  clip: {
    type: "number",
    above: 0,
    group: "Recipe",
    help: "where rlhf and nash-md clip the ratio of policies: 1 +- this (default: 0.2)",
  },
  reward: {
    type: "choice",
    choices: ["win-rate", "score"],
    default: "win-rate",
    group: "Recipe",
    help: "rlhf's reward: the win rate, or the score of a judge with logits (a reward model)",
  },
  mixture: {
    type: "number",
    min: 0,
    max: 1,
    default: 0.5,
    group: "Recipe",
    help: "share of the start in the exponent of nash-md's opponent",
  },
  ...sampling,
  ...trainArithmetic,
  trainable: {
    type: "choice",
    choices: ["lora", "all"],
    group: "Training",
    help: "train a low-rank adapter, or all weights",
  },
  loraRank: {
    type: "integer",
    min: 1,
    default: 16,
    group: "Training",
    help: "rank of the adapter",
  },
  loraAlpha: {
    type: "number",
    above: 0,
    group: "Training",
    help: "the adapter is scaled by alpha over rank (default: twice the rank)",
  },
  rslora: {
    type: "switch",
    default: false,
    group: "Training",
    help: "scale the adapter by alpha over the square root of its rank (rsLoRA)",
  },
  loraTargets: {
    type: "list",
    value: "NAMES",
    default: ["all-linear"],
    group: "Training",
    help: "linear layers with an adapter, by the ends of their names (q_proj, ...)",
  },
  learningRate: {
    type: "number",
    above: 0,
    group: "Training",
    help: "largest learning rate",
  },
  optimizer: {
    type: "choice",
    choices: ["adamw", "rmsprop"],
    group: "Training",
    help: "optimizer; its state starts anew in each iteration",
  },
  schedule: {
    type: "choice",
    choices: ["linear", "cosine", "constant"],
    default: "linear",
    group: "Training",
    help: "how the learning rate falls after the warm-up",
  },
  warmupRatio: {
    type: "number",
    min: 0,
    max: 1,
    default: 0.1,
    group: "Training",
    help: "share of the steps over which the learning rate rises",
  },
  scheduleSteps: {
    type: "integer",
    min: 1,
    group: "Training",
    help: "length of the schedule in steps (default: the fit's own)",
  },
  epochs: {
    type: "integer",
    min: 1,
    group: "Training",
    help: "passes over the selected responses in each iteration",
  },
  batch: {
    type: "integer",
    min: 1,
    group: "Training",
    help: "prompts (pairs) per optimizer step",
  },
  tokensPerBatch: {
    type: "integer",
    min: 1,
    default: DEFAULT_TOKENS_PER_BATCH,
    group: "Training",
    help: "tokens computed at once; a step accumulates over as many parts as it needs",
  },
  logitsMemory: {
    type: "size",
    group: "Training",
    help: "most memory for logits at once (default: 32 MiB; 512 MiB where all weights are trained)",
  },
  keepEncoded: {
    type: "switch",
    default: false,
    group: "Training",
    help: "train the adapter over the checkpoint's 4- and 8-bit weights as they are (QLoRA)",
  },
  checkpointing: {
    type: "switch",
    default: false,
    resume: "free",
    group: "Training",
    help: "compute blocks again for the gradient: less memory, a third more time",
  },
  maxGradNorm: {
    type: "number",
    min: 0,
    default: 1,
    group: "Training",
    help: "gradients longer than this are scaled down to it; 0 leaves them",
  },
  weightDecay: {
    type: "number",
    min: 0,
    default: 0,
    group: "Training",
    help: "weight decay: decoupled with adamw, added to the gradient (L2) with rmsprop",
  },
  maxLength: {
    type: "integer",
    min: 2,
    default: 1024,
    group: "Training",
    help: "longest prompt with response in tokens",
  },
  tooLong: {
    type: "choice",
    choices: ["skip", "cut"],
    default: "skip",
    group: "Training",
    help: "leave out responses longer than that, or cut them",
  },
  checkpointEvery: {
    type: "integer",
    min: 1,
    default: 10,
    group: "Training",
    help: "steps between checkpoints of a fit",
  },
  ...memory,
  promptsPerBatch: {
    type: "integer",
    min: 1,
    default: 32,
    group: "Machine",
    help: "prompts answered together; a kill loses at most one batch of answers",
  },
  evalSamples: {
    type: "integer",
    min: 1,
    group: "Evaluation",
    help: "responses per held-out prompt (default: as --samples)",
  },
  ...backend,
  ...common,
} as const satisfies OptionTable;

/**
 * Values that the presets put below what is given. `paper` is the recipe of Wu et al. 2024
 * (uclaml/SPPO `run_sppo_mistral.sh`); `lora` was chosen for adapters on small models by the runs of
 * `docs/experiments/smollm2.md`: the winner's likelihood rises, the policy moves.
 */
export const presets: Readonly<
  Record<"paper" | "lora", SomeValues<typeof trainOptions>>
> = {
  lora: {
    eta: 400,
    trainable: "lora",
    optimizer: "adamw",
    learningRate: 5e-4,
    epochs: 3,
    batch: 5,
  },
  paper: {
    eta: 1000,
    trainable: "all",
    optimizer: "rmsprop",
    learningRate: 5e-7,
    schedule: "linear",
    warmupRatio: 0.1,
    epochs: 1,
    batch: 64,
    temperature: 0.7,
    topP: 0.9,
  },
};
