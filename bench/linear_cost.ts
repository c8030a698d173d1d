/**
 * How the cost of an iteration grows with the number of prompts, the number K of responses to each and
 * their length: time of generation and of a training step, as multiples of the smallest. A random Llama
 * of 5.5 million weights; the least of some runs, in turns. Draws docs/linear_cost.svg.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-sys=cpus,loadavg --allow-env \
 *       bench/linear_cost.ts [--rounds 3] [--svg docs/linear_cost.svg] [--markdown docs/performance.md]
 *
 * @module
 */

import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { createOnnxBackend } from "../backends/onnx/mod.ts";
import { randomIds, randomLlama } from "../cli/bench/random_models.ts";
import { linePlot, type PlotSeries } from "../cli/plots/line_plot.ts";
import { renderSvg } from "../cli/plots/render.ts";
import { peakMemory } from "../cli/peak_memory.ts";
import {
  allTargets,
  type Decoder,
  type DecoderConfig,
  LanguageModel,
  OPTIMIZERS,
  TRAINING_DEFAULTS,
} from "../models/mod.ts";
import type { PreparedGroup } from "../models/training/prepare.ts";
import { takeStep } from "../models/training/step.ts";

import { type Contender, interleave } from "./peers/_interleave.ts";
import { runComparison, say, wholeNumber } from "./peers/_options.ts";
import { ourRun } from "./peers/_our_generation.ts";
import { measurement, thisMachine, writeReport } from "./peers/_report.ts";

const CONFIG: DecoderConfig = {
  architecture: "llama",
  vocabSize: 4096,
  hiddenSize: 256,
  intermediateSize: 704,
  layers: 6,
  heads: 4,
  kvHeads: 2,
  headDim: 64,
  normEps: 1e-5,
  positions: { kind: "rotary", theta: 10_000 },
  maxPositions: 2048,
  tieWordEmbeddings: true,
  eosTokenIds: [0],
};

/** What is made of one prompt, and of how many prompts. */
interface Load {
  readonly prompts: number;
  readonly responses: number;
  /** Of a response. */
  readonly tokens: number;
}

const SMALLEST: Load = { prompts: 4, responses: 4, tokens: 48 };
const PROMPT_TOKENS = 32;
const GROWN = ["prompts", "responses", "tokens"] as const;
const TITLES = { prompts: "prompts", responses: "K", tokens: "length" } as const;
const FACTORS = [1, 2, 4, 8, 16];
const WORK = ["generation", "training step"] as const;

/**
 * Operations of as many tokens after a prompt: 2 per weight and token, and those of attention.
 *
 * @param seen Keys that a token's scores are computed for, on average: when sampling those before it, in
 * a training step those of the whole sequence, of which the mask hides half.
 */
function operations(tokens: number, seen: number): number {
  const { hiddenSize: d, intermediateSize, heads, kvHeads, headDim, layers, vocabSize } = CONFIG;
  const block = 2 * d * headDim * (heads + kvHeads) + 3 * d * intermediateSize;
  const weights = layers * block + vocabSize * d;
  return tokens * (2 * weights + 4 * seen * heads * headDim * layers);
}

function promptIds(prompt: number): number[] {
  return randomIds(`prompt ${prompt}`, PROMPT_TOKENS);
}

function groupsOf({ prompts, responses, tokens }: Load): PreparedGroup[] {
  return Array.from({ length: prompts }, (_, prompt) => ({
    responses: Array.from({ length: responses }, (_, response) => ({
      promptIds: promptIds(prompt),
      responseIds: randomIds(`response ${prompt} ${response}`, tokens),
      target: response % 2 === 0 ? 0.5 : -0.5,
      weight: 1 / responses,
      winRate: 0.5,
      anchorLogProbs: new Float32Array(tokens).fill(-8),
    })),
  }));
}

await runComparison(async () => {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    options: { rounds: { ...text, default: "3" }, svg: text, json: text, markdown: text },
  });
  const rounds = wholeNumber("rounds", values.rounds, 1);
  const machine = thisMachine();
  await using resources = new AsyncDisposableStack();
  const backend = await createOnnxBackend();
  resources.defer(() => backend.dispose());
  const largest = Math.max(...FACTORS);
  const model = await LanguageModel.load(randomLlama(CONFIG), backend, {
    template: "none",
    trainable: { kind: "lora", lora: { rank: 16, alpha: 32, targets: allTargets(CONFIG) } },
    tokensPerBatch: 4096,
    slots: 64,
  });
  resources.defer(() => model.dispose());
  const policy = await model.policy();
  const decoder: Decoder = {
    ...await model.decoder(
      policy.trained,
      PROMPT_TOKENS + SMALLEST.tokens * largest,
      SMALLEST.responses * largest,
    ),
    endOfTurnIds: [],
  };
  resources.defer(() => decoder.dispose());
  const fit = await model.fit(policy, { name: "sppo", beta: 1 }, OPTIMIZERS.adamw);
  resources.defer(async () => {
    await fit.trained.dispose();
    await fit.dispose();
  });
  const options = {
    ...TRAINING_DEFAULTS,
    learningRate: 1e-6,
    tokensPerBatch: model.tokensPerBatch,
  };

  const seen = new Map<string, { readonly contender: Contender; readonly tokens: number }>();
  const nameOf = (work: string, { prompts, responses, tokens }: Load) =>
    `${work}: ${prompts} prompts × ${responses} × ${tokens} tokens`;
  let step = 0;
  for (const grown of GROWN) {
    for (const factor of FACTORS) {
      const load = { ...SMALLEST, [grown]: SMALLEST[grown] * factor };
      const tokens = load.prompts * load.responses * load.tokens;
      const groups = groupsOf(load);
      const prompts = Array.from({ length: load.prompts }, (_, prompt) => promptIds(prompt));
      const generate = {
        name: nameOf("generation", load),
        run: () => {
          const sampling = { samples: load.responses, maxTokens: load.tokens, seed: 0 };
          return ourRun(decoder, prompts, sampling);
        },
      };
      const train = {
        name: nameOf("training step", load),
        run: async () => {
          const started = performance.now();
          await takeStep(fit, options, groups, ++step);
          return { seconds: (performance.now() - started) / 1000 };
        },
      };
      for (const contender of [generate, train]) seen.set(contender.name, { contender, tokens });
    }
  }
  const seconds = await interleave([...seen.values()].map(({ contender }) => contender), {
    rounds,
    warmups: 1,
    onRun: (round, name, took) => say(`round ${round}/${rounds}: ${name} ${took.toFixed(3)} s`),
  });
  const least = (work: string, load: Load) => Math.min(...seconds[nameOf(work, load)]!);
  const series = WORK.flatMap((work) =>
    GROWN.map((grown): PlotSeries => ({
      name: `${work}, ${TITLES[grown]}`,
      points: FACTORS.map((factor) => ({
        x: factor,
        y: least(work, { ...SMALLEST, [grown]: SMALLEST[grown] * factor }) / least(work, SMALLEST),
      })),
    }))
  );
  const expected = (name: string, of: (factor: number) => number): PlotSeries => ({
    name,
    points: FACTORS.map((x) => ({ x, y: of(x) })),
  });
  const { tokens } = SMALLEST;
  const byLength = (work: typeof WORK[number], seen: (tokens: number) => number) => {
    const of = (count: number) => operations(count, seen(count));
    return expected(`operations: ${work}`, (factor) => of(tokens * factor) / of(tokens));
  };
  const spec = linePlot({
    title: "Cost against prompts, responses and length",
    subtitle: `Of ${SMALLEST.prompts} prompts, K = ${SMALLEST.responses}, ${tokens} tokens; ` +
      `${machine.cpu}, ${machine.cores} cores`,
    x: { title: "times as many", scale: "log", base: 2 },
    y: { title: "times as long", scale: "log", base: 2 },
    series: [
      ...series,
      expected("linear", (factor) => factor),
      byLength("generation", (tokens) => PROMPT_TOKENS + (tokens - 1) / 2),
      byLength("training step", (tokens) => PROMPT_TOKENS + tokens),
    ],
  });
  const ends = new Set(WORK.flatMap((work) => [
    nameOf(work, SMALLEST),
    ...GROWN.map((grown) => nameOf(work, { ...SMALLEST, [grown]: SMALLEST[grown] * largest })),
  ]));
  const path = values.svg ?? fileURLToPath(new URL("../docs/linear_cost.svg", import.meta.url));
  await Deno.writeTextFile(path, await renderSvg(spec));

  await writeReport({
    benchmark: "linear_cost",
    date: new Date().toISOString().slice(0, 10),
    machine,
    versions: { deno: Deno.version.deno, ...backend.versions },
    settings: {
      "tokens a prompt": PROMPT_TOKENS,
      threads: backend.limits.threads,
      rounds,
    },
    checks: {},
    measurements: [...seen].filter(([name]) => ends.has(name)).map(([name, { tokens }]) =>
      measurement(name, tokens, seconds[name]!)
    ),
    comparisons: [],
    remarks: series.map(({ name, points }) =>
      `${name}: ${points.at(-1)!.x} times as many took ${
        points.at(-1)!.y.toFixed(1)
      } times as long.`
    ),
    peak_memory_mib: { ours: Math.round(peakMemory() / 2 ** 20) },
  }, { json: values.json, markdown: values.markdown });
});
