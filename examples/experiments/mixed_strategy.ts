/**
 * A language model that learns a mixed strategy. Each prompt names three choices, which a judge ranks
 * in an uneven cycle; any other answer loses to all three. No single choice is unbeaten, and the
 * unbeaten mixture is seen only by who asks by how much one is preferred to another.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-env --allow-sys \
 *       examples/experiments/mixed_strategy.ts [--model FILE.gguf]
 *
 * Without a model it is the embedded policy's, all weights; with one an adapter is trained, by the
 * settings of `SETTINGS`, which the options of the same names replace.
 *
 * From one start (the policy is taught to say the choices with given shares), by self-play on the same
 * prompts, with as many samples and optimizer steps: SPPO (soft targets, all K responses), SPPO with a
 * transitive estimator, SPPO with hard labels, iterative DPO. Measured exactly, from the probabilities
 * of the three answers, on each prompt and then averaged: the exploitability of the last iterate, and
 * of the average of the iterates, which is what `mixturePolicy` plays.
 *
 * Writes docs/experiments/mixed_strategy_NAME.json, and its pictures. A run that was stopped goes on
 * from runs/mixed_strategy_NAME.
 *
 * @module
 */

import { basename } from "node:path";
import { parseArgs } from "node:util";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { fileJournal } from "../../cli/file_journal.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import {
  exploitability,
  fingerprint,
  type Json,
  type JudgedOptions,
  type LossSpec,
  mixturePolicy,
  selfPlay,
  type Trainer,
} from "../../core/mod.ts";
import { openEmbeddedPolicy } from "../../models/embedded/mod.ts";
import {
  LanguageModel,
  lmTrainer,
  type LocalPolicy,
  openCheckpoint,
  OPTIMIZERS,
  TRAINING_DEFAULTS,
} from "../../models/mod.ts";
import { choiceGame, choicePrompts, cycleOracle, mixtures } from "./choices.ts";
import { mergeEqual } from "./merge_equal.ts";
import { type Method, type Run, type Step, TITLES, writeReport } from "./mixed_strategy_report.ts";
import { mean, say } from "./output.ts";

/** Settings by what is trained, as options are written. */
const SETTINGS = {
  all: {
    strengths: ".98/.7/.8",
    start: ".8/.1/.1",
    form: "question",
    prompts: "4",
    iterations: "30",
    epochs: "12",
    "learning-rate": "2e-4",
    "start-epochs": "60",
  },
  lora: {
    strengths: ".9999/.8/.8",
    start: ".6/.2/.2",
    form: "continued",
    prompts: "4",
    iterations: "20",
    epochs: "4",
    "learning-rate": "1e-4",
    "start-epochs": "20",
  },
} as const;

function methodOptions(
  method: Method,
  eta: number,
  dpoBeta: number,
): { readonly loss: LossSpec; readonly groups: Pick<JudgedOptions, "selection" | "estimator"> } {
  const soft: LossSpec = { name: "sppo", beta: 1 / eta };
  switch (method) {
    case "sppo":
      return { loss: soft, groups: { selection: "all" } };
    case "sppo-scores":
      return { loss: soft, groups: { selection: "all", estimator: "scores" } };
    case "sppo-hard":
      return {
        loss: { name: "sppo-hard", beta: 1 / eta, against: "previous" },
        groups: { selection: "best-worst" },
      };
    case "dpo":
      return {
        loss: { name: "dpo", beta: dpoBeta, against: "previous", labelSmoothing: 0 },
        groups: { selection: "best-worst" },
      };
    default:
      return method satisfies never;
  }
}

const pooled = (shares: readonly (readonly number[])[]) =>
  [0, 1, 2, 3].map((k) => mean(shares.map((mixture) => mixture[k]!)));

const { values: given } = parseArgs({
  options: {
    model: { type: "string", default: "embedded" },
    methods: { type: "string", default: Object.keys(TITLES).join() },
    seeds: { type: "string", default: "3" },
    samples: { type: "string", default: "16" },
    eta: { type: "string", default: "2" },
    "dpo-beta": { type: "string", default: "0.1" },
    threads: { type: "string", default: "1" },
    strengths: { type: "string" },
    start: { type: "string" },
    form: { type: "string" },
    prompts: { type: "string" },
    iterations: { type: "string" },
    epochs: { type: "string" },
    "learning-rate": { type: "string" },
    "start-epochs": { type: "string" },
    name: { type: "string" },
  },
});
const isEmbedded = given.model === "embedded";
const values = { ...SETTINGS[isEmbedded ? "all" : "lora"], ...given };
const name = given.name ??
  (isEmbedded ? "embedded" : basename(given.model).replace(/\.\w+$/, ""));

const number = (option: Exclude<keyof typeof values, "model" | "methods" | "name" | "form">) => {
  const value = Number(values[option]);
  if (value > 0) return value;
  throw new RangeError(`Cannot run as --${option} must be a positive number: ${values[option]}`);
};
const three = (option: "strengths" | "start") => {
  const parts = values[option].split("/").map(Number);
  if (parts.length === 3 && parts.every((part) => part > 0 && part < 1)) {
    return parts as [number, number, number];
  }
  throw new RangeError(
    `Cannot run as --${option} must be three numbers between 0 and 1, as .9/.6/.7: ${
      values[option]
    }`,
  );
};
const methods = values.methods.split(",").map((method) => {
  if (Object.hasOwn(TITLES, method)) return method as Method;
  throw new RangeError(
    `Cannot run as --methods must be of ${Object.keys(TITLES).join(", ")}: ${method}`,
  );
});
const { form } = values;
if (form !== "question" && form !== "continued") {
  throw new RangeError(`Cannot run as --form must be question or continued: ${form}`);
}
const iterations = number("iterations"), samples = number("samples"), eta = number("eta");
const game = choiceGame(three("strengths")), startShares = three("start");
const asked = choicePrompts(number("prompts"), form), { prompts } = asked;
const oracle = cycleOracle(game, asked.choicesOf);
const gapOf = (shares: readonly (readonly number[])[]) =>
  mean(shares.map((mixture) => exploitability(game.matrix, mixture)));

const backend = await createOnnxBackend({ threads: number("threads") });
using files = isEmbedded ? undefined : await openCheckpointFiles(values.model);
const checkpoint = files === undefined
  ? await openEmbeddedPolicy()
  : await openCheckpoint(files.files);
const model = await LanguageModel.load(checkpoint, backend, {
  ...(form === "continued" ? { template: "none" as const } : {}),
  trainable: isEmbedded ? { kind: "all" } : {
    kind: "lora",
    lora: {
      rank: 8,
      alpha: 16,
      targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    },
  },
});

/** Steps on all prompts at once, at a constant rate. */
const training = {
  ...TRAINING_DEFAULTS,
  optimizer: { ...OPTIMIZERS.adamw, weightDecay: 0 },
  learningRate: number("learning-rate"),
  schedule: "constant",
  warmupRatio: 0,
  epochs: number("epochs"),
  batchSize: prompts.length,
} as const;
/** What a run depends on beside its method, seed and length. */
const settingsKey = fingerprint([
  model.id,
  [game.strengths, startShares, samples, eta, values["dpo-beta"]],
  prompts as unknown as Json,
  [values["start-epochs"], training as unknown as Json],
]);
const journal = fileJournal(`runs/mixed_strategy_${name}/${settingsKey}`);

/** The start: the policy is taught the answers with their shares. */
async function startPolicy(seed: number): Promise<LocalPolicy> {
  const policy = await model.policy(seed);
  const groups = prompts.map((prompt) => ({
    prompt,
    responses: asked.choicesOf(prompt).map((choice, k) => ({
      response: { text: asked.answer(choice), finishReason: "stop" as const },
      target: 0,
      weight: startShares[k]!,
    })),
  }));
  const trainer = lmTrainer(model, {
    ...training,
    loss: { name: "sft" },
    learningRate: 1e-3,
    epochs: number("start-epochs"),
    seed,
  });
  const kept = journal.within(`start-${seed}`);
  const before = await trainer.restore(policy, kept);
  if (before !== undefined) return before;
  const task = { previousPolicy: policy, referencePolicy: policy, groups, iteration: 1 };
  const fit = trainer.train(task, { journal: kept });
  let next = await fit.next();
  while (!next.done) {
    const { step, loss } = next.value;
    if (step! % 10 === 0) say(`start, seed ${seed}: step ${step}, loss ${loss!.toFixed(3)}`);
    next = await fit.next();
  }
  return next.value;
}

async function play(method: Method, seed: number, start: LocalPolicy): Promise<Run> {
  const { loss, groups } = methodOptions(method, eta, number("dpo-beta"));
  const started = performance.now();
  const members: LocalPolicy[] = [];
  const sums = prompts.map(() => [0, 0, 0, 0]);
  const steps: Step[] = [];
  const measure = async (policy: LocalPolicy) => {
    members.push(policy);
    const shares = await mixtures(policy, asked);
    shares.forEach((mixture, x) => mixture.forEach((p, k) => sums[x]![k]! += p));
    const average = sums.map((sum) => sum.map((total) => total / members.length));
    steps.push({
      iteration: steps.length,
      last: gapOf(shares),
      average: gapOf(average),
      mixture: pooled(shares),
      average_mixture: pooled(average),
    });
  };
  await measure(start);
  const trainer: Trainer<LocalPolicy> = lmTrainer(model, { ...training, loss, seed });
  const run = selfPlay({
    policy: start,
    oracle,
    trainer: method === "sppo" || method === "sppo-scores" ? mergeEqual(trainer) : trainer,
    prompts,
    promptsPerIteration: "repeat",
    iterations,
    sampling: { samples, temperature: 1, topP: 1, maxTokens: 8, stop: asked.stop },
    eta,
    promptsPerBatch: prompts.length,
    seed,
    journal: journal.within(`${method}-${seed}`),
    ...groups,
  });
  for await (const event of run) {
    if (event.type !== "policy") continue;
    await measure(event.policy);
    const { iteration, last, average, mixture } = steps.at(-1)!;
    say(
      `${method}, seed ${seed}, ${iteration}: ${last.toFixed(3)}, average ${average.toFixed(3)}, ` +
        `plays ${mixture.map((p) => p.toFixed(2)).join(" ")}`,
    );
  }
  const played = await mixtures(mixturePolicy(members), asked);
  for (const member of members.slice(1)) await member.dispose();
  return {
    method,
    seed,
    steps,
    mixture_policy: gapOf(played),
    seconds: (performance.now() - started) / 1000,
  };
}

const runs: Run[] = [];
const finished = await journal.records("runs");
for (let seed = 0; seed < number("seeds"); seed++) {
  const start = await startPolicy(seed);
  for (const method of methods) {
    const key = `${method}-${seed}-${iterations}`;
    const before = finished.get(key) as unknown as Run | undefined;
    const run = before ?? await play(method, seed, start);
    if (before === undefined) await journal.append("runs", key, run as unknown as Json);
    runs.push(run);
  }
  await start.dispose();
}
await backend.dispose();

const { name: _, ...settings } = values;
await writeReport(name, game, { ...settings }, methods, runs);
