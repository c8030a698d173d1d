/**
 * What does merging an adapter into float32 weights give to sampling? A trained adapter of rank 16 on all
 * linear layers, apart and merged, and `fast` with it apart: 1, 5 and 20 prompts of one sample, and an
 * iteration's 32 prompts × 5 samples by a policy that was not asked before, its merging included.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-sys=cpus,loadavg --allow-env \
 *       bench/sampled_adapter.ts --model FILE.gguf [--rounds 2] [--tokens 128] \
 *       [--markdown docs/performance.md]
 *
 * @module
 */

import { createOnnxBackend } from "../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../cli/file_source.ts";
import { peakMemory } from "../cli/peak_memory.ts";
import { randomStream } from "../core/mod.ts";
import {
  LanguageModel,
  type LanguageModelOptions,
  type LocalPolicy,
  openCheckpoint,
} from "../models/mod.ts";
import { type Contender, interleave } from "./peers/_interleave.ts";
import { peerOptions, runComparison, say, wholeNumber } from "./peers/_options.ts";
import { assertSame, ourRun, SAMPLING, total } from "./peers/_our_generation.ts";
import { comparison, measurement, thisMachine, writeReport } from "./peers/_report.ts";
import { storedPrompts } from "./peers/_stored_text.ts";

const LORA = { rank: 16, alpha: 32, targets: ["all-linear"] };
const WAYS = {
  apart: { precision: "float32", sampledAdapter: "apart" },
  merged: { precision: "float32", sampledAdapter: "merged" },
  fast: { precision: "fast", sampledAdapter: "apart" },
} as const satisfies Record<string, LanguageModelOptions>;
type Way = keyof typeof WAYS;
const NAMES = Object.keys(WAYS) as Way[];
const ROWS = [1, 5, 20] as const;
/** Of an iteration. */
const ITERATION = { prompts: 32, samples: 5 };
const SLOTS = 64;

/** A policy with an adapter that was trained as far as its B is not zero. */
async function trained(model: LanguageModel, seed: number): Promise<LocalPolicy> {
  const tensors = model.trainableTensors().tensors.map(({ name, shape }) => {
    const random = randomStream(seed, name);
    const data = Float32Array.from(
      { length: shape[0]! * shape[1]! },
      () => (random.next() - 0.5) / 50,
    );
    return [name, { shape, data }] as const;
  });
  return await model.policyFromTensors(new Map(tensors));
}

await runComparison(async () => {
  const { model: path, threads, rounds, warmups, own, ...files } = peerOptions({
    values: ["tokens"],
  });
  const maxTokens = wholeNumber("tokens", own.tokens ?? "128", 2);
  const stored = await storedPrompts();
  const prompts = Array.from({ length: ITERATION.prompts }, (_, i) => stored[i % stored.length]!);
  const capacity = Math.max(...prompts.map((ids) => ids.length)) + maxTokens;
  const machine = thisMachine();

  await using resources = new AsyncDisposableStack();
  const opened = resources.use(await openCheckpointFiles(path));
  const checkpoint = await openCheckpoint(opened.files);
  const backend = await createOnnxBackend({ threads });
  resources.defer(() => backend.dispose());
  const tokens = (count: number, samples: number) => count * samples * maxTokens;
  let seed = 0;

  const readying: number[] = [];
  const models = {} as Record<Way, LanguageModel>;
  for (const way of NAMES) {
    say(`loading ${way}`);
    models[way] = await LanguageModel.load(checkpoint, backend, {
      ...WAYS[way],
      slots: SLOTS,
      trainable: { kind: "lora", lora: LORA },
    });
    resources.defer(() => models[way].dispose());
  }
  /** Samples on the decoder of a policy; `endless`, so that all rows are as long. */
  const sample = async (
    [way, policy]: readonly [Way, LocalPolicy],
    [count, samples, length]: readonly [number, number, number],
  ): Promise<number> => {
    const began = performance.now();
    const decoder = await models[way].decoder(policy.trained, capacity, samples);
    const ready = (performance.now() - began) / 1000;
    if (way === "merged" && count === ITERATION.prompts) readying.push(ready);
    try {
      const endless = { ...decoder, endOfTurnIds: [] };
      const run = await ourRun(endless, prompts.slice(0, count), {
        ...{ samples, maxTokens: length, seed: seed++ },
      });
      assertSame("new tokens", run.tokens, count * samples * length);
      return ready + run.seconds;
    } finally {
      await decoder.dispose();
    }
  };
  const rowsName = (way: Way, count: number) => `${way}, ${count} row${count > 1 ? "s" : ""}`;
  const iterationName = (way: Way) => `${way}, an iteration`;
  const policies = {} as Record<Way, LocalPolicy>;
  for (const way of NAMES) {
    policies[way] = await trained(models[way], 0);
    resources.defer(() => policies[way].dispose());
  }
  const byRows = ROWS.flatMap((count) =>
    NAMES.map((way): Contender => {
      const run = async (length = maxTokens) => ({
        seconds: await sample([way, policies[way]], [count, 1, length]),
      });
      return { name: rowsName(way, count), run, warmUp: () => run(16) };
    })
  );
  const iterations = NAMES.map((way): Contender => {
    const { prompts, samples } = ITERATION;
    const run = async (length = maxTokens) => {
      const policy = await trained(models[way], seed++);
      const took = await sample([way, policy], [prompts, samples, length]);
      await policy.dispose();
      return { seconds: took };
    };
    return { name: iterationName(way), run, warmUp: () => run(8) };
  });
  const settings = {
    ...{ rounds, warmups },
    onRun: (round: number, who: string, took: number) =>
      say(`round ${round}/${rounds}: ${who} ${took.toFixed(2)} s`),
  };
  // One after the other: a policy that was not asked before ends the programs of the one before.
  const seconds = {
    ...await interleave(byRows, settings),
    ...await interleave(iterations, settings),
  };

  const ratio = (name: string, way: Way, of: (way: Way) => string) =>
    comparison(`${way} than apart, ${name}`, seconds[of(way)]!, seconds[of("apart")]!);
  const sizes = [
    ...ROWS.map((count) => ({
      name: `${count} row${count > 1 ? "s" : ""}`,
      tokens: tokens(count, 1),
      of: (way: Way) => rowsName(way, count),
    })),
    {
      name: "an iteration",
      tokens: tokens(ITERATION.prompts, ITERATION.samples),
      of: iterationName,
    },
  ];
  await writeReport({
    benchmark: "sampled_adapter",
    date: new Date().toISOString().slice(0, 10),
    machine,
    versions: { deno: Deno.version.deno, ...backend.versions },
    settings: {
      "new tokens a row": maxTokens,
      "prompt tokens (32 prompts)": total(prompts),
      temperature: SAMPLING.temperature,
      "top-p": SAMPLING.topP,
      ...{ rank: LORA.rank, slots: SLOTS, threads, rounds, "warm-ups": warmups },
    },
    checks: { "new tokens": 0 },
    measurements: sizes.flatMap(({ of, tokens }) =>
      NAMES.map((way) => measurement(of(way), tokens, seconds[of(way)]!))
    ),
    comparisons: sizes.flatMap(({ name, of }) =>
      (["merged", "fast"] as const).map((way) => ratio(name, way, of))
    ),
    peak_memory_mib: { "all three": Math.round(peakMemory() / 2 ** 20) },
    remarks: [
      `To merge an adapter and to compile for it took ${Math.min(...readying).toFixed(2)} to ${
        Math.max(...readying).toFixed(2)
      } s, which an iteration has once.`,
    ],
  }, files);
});
