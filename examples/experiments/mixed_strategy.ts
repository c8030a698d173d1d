/**
 * A language model that learns a mixed strategy. Each prompt names three choices, which a judge ranks
 * in an uneven cycle: the first is preferred to the second with .98, the second to the third with .7,
 * the third to the first with .8; any other answer loses to all three with .98. No single choice is
 * unbeaten, and the unbeaten mixture, about .20 : .31 : .49, is seen only by who asks by how much.
 *
 *     deno run --allow-read --allow-write=docs/experiments --allow-ffi --allow-env --allow-sys \
 *       examples/experiments/mixed_strategy.ts [--model embedded] [--seeds 3] [--iterations 30]
 *
 * From one start (the embedded policy is taught to say the first choice with .8), by self-play on the
 * same prompts, with as many samples and optimizer steps: SPPO (soft targets, all K responses), SPPO
 * with a transitive estimator, SPPO with hard labels, iterative DPO. Measured exactly, from the
 * probabilities of the three answers, on each prompt and then averaged: the exploitability of the last
 * iterate, and of the average of the iterates, which is what `mixturePolicy` plays.
 *
 * Writes docs/experiments/mixed_strategy_NAME.json, and its pictures.
 *
 * @module
 */

import { basename } from "node:path";
import { parseArgs } from "node:util";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import { linePlot, type PlotSeries } from "../../cli/plots/line_plot.ts";
import { renderSvg } from "../../cli/plots/render.ts";
import { type Mixture3, simplexPlot } from "../../cli/plots/simplex_plot.ts";
import { standardError } from "../../cli/progress.ts";
import {
  discardingJournal,
  exploitability,
  type JudgedOptions,
  type LossSpec,
  mixturePolicy,
  type Prompt,
  selfPlay,
} from "../../core/mod.ts";
import { vonNeumannWinner } from "../../games/mod.ts";
import { openEmbeddedPolicy } from "../../models/embedded/mod.ts";
import {
  LanguageModel,
  lmTrainer,
  type LocalPolicy,
  openCheckpoint,
  OPTIMIZERS,
  TRAINING_DEFAULTS,
} from "../../models/mod.ts";
import { choicePrompts, cycleOracle, GAME, mixtures, OTHER_LOSES, STRENGTHS } from "./choices.ts";

/** How the embedded policy begins. */
const START = [0.8, 0.1, 0.1] as const;
const OUT = new URL("../../docs/experiments/", import.meta.url);

type Method = "sppo" | "sppo-scores" | "sppo-hard" | "dpo";

const TITLES: Readonly<Record<Method, string>> = {
  sppo: "SPPO",
  "sppo-scores": "SPPO, transitive estimator",
  "sppo-hard": "SPPO, hard labels",
  dpo: "iterative DPO",
};

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

const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
const gapOf = (shares: readonly (readonly number[])[]) =>
  mean(shares.map((mixture) => exploitability(GAME, mixture)));
const pooled = (shares: readonly (readonly number[])[]) =>
  [0, 1, 2, 3].map((k) => mean(shares.map((mixture) => mixture[k]!)));

interface Step {
  readonly iteration: number;
  /** Exploitability per prompt, averaged: of π_t, and of the mean of π_0 … π_t. */
  readonly last: number;
  readonly average: number;
  /** Mean over prompts, of π_t and of the average. */
  readonly mixture: readonly number[];
  readonly average_mixture: readonly number[];
}

interface Run {
  readonly method: Method;
  readonly seed: number;
  readonly steps: readonly Step[];
  /** The average's exploitability once more, by asking mixturePolicy of all iterates. */
  readonly mixture_policy: number;
  readonly seconds: number;
}

const say = (text: string) => standardError.write(`${text}\n`);

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "embedded" },
    methods: { type: "string", default: "sppo,sppo-scores,sppo-hard,dpo" },
    seeds: { type: "string", default: "3" },
    iterations: { type: "string", default: "30" },
    prompts: { type: "string", default: "4" },
    samples: { type: "string", default: "16" },
    eta: { type: "string", default: "2" },
    "dpo-beta": { type: "string", default: "0.1" },
    "learning-rate": { type: "string", default: "2e-4" },
    epochs: { type: "string", default: "12" },
    threads: { type: "string", default: "1" },
    name: { type: "string" },
  },
});
const number = (name: Exclude<keyof typeof values, "model" | "methods" | "name">) => {
  const value = Number(values[name]);
  if (value > 0) return value;
  throw new RangeError(`Cannot run as --${name} must be a positive number: ${values[name]}`);
};
const methods = values.methods.split(",").map((method) => {
  if (Object.hasOwn(TITLES, method)) return method as Method;
  throw new RangeError(
    `Cannot run as --methods must be of ${Object.keys(TITLES).join(", ")}: ${method}`,
  );
});
const iterations = number("iterations"), samples = number("samples");
const isEmbedded = values.model === "embedded";
const choices = choicePrompts(number("prompts"));
const prompts = [...choices.keys()].map((content, index): Prompt => ({ id: `${index}`, content }));
const choicesOf = ({ content }: Prompt) => choices.get(content as string)!;
const oracle = cycleOracle(choices);

const backend = await createOnnxBackend({ threads: number("threads") });
using files = isEmbedded ? undefined : await openCheckpointFiles(values.model);
const checkpoint = files === undefined
  ? await openEmbeddedPolicy()
  : await openCheckpoint(files.files);
const model = await LanguageModel.load(checkpoint, backend, {
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

/** The start: the embedded policy is taught the answers with their shares, another model is as it is. */
async function startPolicy(seed: number): Promise<LocalPolicy> {
  const policy = await model.policy(seed);
  if (!isEmbedded) return policy;
  const groups = prompts.map((prompt) => ({
    prompt,
    responses: choicesOf(prompt).map((text, k) => ({
      response: { text, finishReason: "stop" as const },
      target: 0,
      weight: START[k]!,
    })),
  }));
  const trainer = lmTrainer(model, {
    ...training,
    loss: { name: "sft" },
    learningRate: 1e-3,
    epochs: 60,
    seed,
  });
  const task = { previousPolicy: policy, referencePolicy: policy, groups, iteration: 1 };
  const fit = trainer.train(task, { journal: discardingJournal() });
  let next = await fit.next();
  while (!next.done) next = await fit.next();
  return next.value;
}

async function play(method: Method, seed: number, start: LocalPolicy): Promise<Run> {
  const { loss, groups } = methodOptions(method, number("eta"), number("dpo-beta"));
  const started = performance.now();
  const members: LocalPolicy[] = [];
  const sums = prompts.map(() => [0, 0, 0, 0]);
  const steps: Step[] = [];
  const measure = async (policy: LocalPolicy) => {
    members.push(policy);
    const shares = await mixtures(policy, prompts, choicesOf);
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
  const run = selfPlay({
    policy: start,
    oracle,
    trainer: lmTrainer(model, { ...training, loss, seed }),
    prompts,
    promptsPerIteration: "repeat",
    iterations,
    sampling: { samples, temperature: 1, topP: 1, maxTokens: 8 },
    eta: number("eta"),
    promptsPerBatch: prompts.length,
    seed,
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
  const asked = await mixtures(mixturePolicy(members), prompts, choicesOf);
  for (const member of members.slice(1)) await member.dispose();
  return {
    method,
    seed,
    steps,
    mixture_policy: gapOf(asked),
    seconds: (performance.now() - started) / 1000,
  };
}

const runs: Run[] = [];
for (let seed = 0; seed < number("seeds"); seed++) {
  const start = await startPolicy(seed);
  for (const method of methods) runs.push(await play(method, seed, start));
  await start.dispose();
}
await backend.dispose();

const { mixture: equilibrium } = await vonNeumannWinner(GAME);
const summary = methods.map((method) => {
  const own = runs.filter((run) => run.method === method);
  const ends = (key: "last" | "average") => own.map(({ steps }) => steps.at(-1)![key]);
  return {
    method,
    average: { mean: mean(ends("average")), by_seed: ends("average") },
    last: { mean: mean(ends("last")), by_seed: ends("last") },
    average_mixture: [0, 1, 2, 3].map((k) =>
      mean(own.map(({ steps }) => steps.at(-1)!.average_mixture[k]!))
    ),
  };
});
const name = values.name ??
  (isEmbedded ? "embedded" : basename(values.model).replace(/\.\w+$/, ""));
const settings = {
  strengths: STRENGTHS,
  other_loses: OTHER_LOSES,
  equilibrium: [...equilibrium],
  pure: [0, 1, 2].map((k) => exploitability(GAME, [0, 1, 2, 3].map((j) => j === k ? 1 : 0))),
  ...values,
};
const rounded = (_: string, x: unknown) => typeof x === "number" ? Number(x.toPrecision(5)) : x;
await Deno.writeTextFile(
  new URL(`mixed_strategy_${name}.json`, OUT),
  `${JSON.stringify({ settings, summary, runs }, rounded, 1)}\n`,
);

/** Mean over seeds of one figure by iteration, with the lowest and the highest. */
function curve(method: Method, key: "last" | "average"): PlotSeries {
  const own = runs.filter((run) => run.method === method);
  const points = own[0]!.steps.map(({ iteration }) => {
    const all = own.map(({ steps }) => steps[iteration]![key]);
    return { x: iteration, y: mean(all), low: Math.min(...all), high: Math.max(...all) };
  });
  return { name: TITLES[method], points };
}

for (const key of ["average", "last"] as const) {
  const spec = linePlot({
    title: key === "average"
      ? "Exploitability of the average"
      : "Exploitability of the last iterate",
    subtitle: `${name}: mean over prompts and ${values.seeds} seeds, lowest to highest seed`,
    x: { title: "iteration" },
    y: { title: "exploitability", include: [0] },
    dots: false,
    series: methods.map((method) => curve(method, key)),
  });
  await Deno.writeTextFile(
    new URL(`mixed_strategy_${name}_${key}.svg`, OUT),
    await renderSvg(spec),
  );
}
/** The three choices' shares of what named one. */
function ofThree(mixture: readonly number[]): Mixture3 {
  const total = mixture[0]! + mixture[1]! + mixture[2]!;
  return [mixture[0]! / total, mixture[1]! / total, mixture[2]! / total];
}
await Deno.writeTextFile(
  new URL(`mixed_strategy_${name}_simplex.svg`, OUT),
  await renderSvg(simplexPlot({
    title: "Mean mixture of the average",
    subtitle: `${name}, seed 0, mean over prompts`,
    corners: ["first", "second", "third"],
    paths: methods.map((method) => ({
      name: TITLES[method],
      mixtures: runs.find((run) => run.method === method)!.steps
        .map((step) => ofThree(step.average_mixture)),
    })),
    marks: [{ name: "equilibrium", mixture: ofThree([...equilibrium]) }],
  })),
);
for (const { method, average, last } of summary) {
  say(`${method}: average ${average.mean.toFixed(4)}, last ${last.mean.toFixed(4)}`);
}
