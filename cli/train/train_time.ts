/**
 * About what time a training command takes on this machine, from a short measurement of it.
 *
 * @module
 */

import type { Backend } from "../../graph/backend.ts";
import { ProgramBuilder } from "../../graph/builder.ts";
import { fromFloat32 } from "../../graph/tensor_source.ts";
import { type DecoderConfig, decoderTensors } from "../../models/architectures/mod.ts";
import { loadBackend, type LoadContext } from "../load_model.ts";
import type { Values } from "../options/spec.ts";
import type { infoOptions } from "../options/tables.ts";

/** What a machine does. */
export interface MachineSpeed {
  /** Floating-point operations a second, of a product of some hundred rows. */
  readonly flops: number;
  /** Bytes of weights read a second, by a product of one row. */
  readonly bytes: number;
}

/** Seconds of a run, and what they come from. */
export interface TrainTime {
  readonly speed: MachineSpeed;
  readonly sampling: number;
  readonly training: number;
}

/** Shape of the measured product: the feed-forward layer of a model of 135 million weights. */
const [ROWS, INNER, COLUMNS] = [512, 576, 1536];
/** Columns of the product of one row, whose weights are more than caches hold. */
const WIDE = 16_384;
const RUNS = 8;

/** The least time of some runs, after one to warm up; whatever else the machine does adds to it. */
async function seconds(backend: Backend, rows: number, columns: number): Promise<number> {
  const g = new ProgramBuilder("product");
  const x = g.input("x", "float32", [rows, INNER]);
  g.output("y", g.linear(x, g.parameter("weights", "w", [columns, INNER])));
  const values = new Float32Array(columns * INNER).map((_, i) => (i % 7 - 3) / 8);
  const weights = await backend.createStore([fromFloat32("w", [columns, INNER], values)]);
  const executable = await backend.compile(g.build(), { constants: { weights } });
  try {
    const bound = executable.bind();
    const input = { shape: [rows, INNER], data: new Float32Array(rows * INNER).fill(0.5) };
    let least = Infinity;
    for (let run = 0; run <= RUNS; run++) {
      const began = performance.now();
      await bound.run({ x: input });
      if (run > 0) least = Math.min(least, (performance.now() - began) / 1000);
    }
    return least;
  } finally {
    await executable.dispose();
    await weights.dispose();
  }
}

/** Measures the machine, in about a second. */
export async function measureSpeed(backend: Backend): Promise<MachineSpeed> {
  return {
    flops: 2 * ROWS * INNER * COLUMNS / await seconds(backend, ROWS, COLUMNS),
    bytes: 4 * INNER * WIDE / await seconds(backend, 1, WIDE),
  };
}

/** The options that time depends on, with the rows that are sampled side by side. */
export type TimeValues =
  & Pick<
    Values<typeof infoOptions>,
    | "promptTokens"
    | "maxTokens"
    | "promptCount"
    | "samples"
    | "iterations"
    | "promptsPerIteration"
    | "epochs"
    | "trainable"
    | "checkpointing"
  >
  & { readonly rows: number };

/**
 * Share of the product's speed that a training step and a decoding step are taken to reach, all else
 * that they do included. Round numbers, not fitted.
 */
const SHARE = { training: 0.5, decoding: 0.6 };

/**
 * Seconds of a run on a machine: responses of the full length to each prompt, scored once, and a pair of
 * each prompt trained on. 2 operations a weight and token forward, 2 for the gradient of activations, 2
 * more for that of weights where all are trained, and 2 where blocks are computed again. The judge's
 * time and evaluations are not in it.
 */
export function timeOn(config: DecoderConfig, values: TimeValues, speed: MachineSpeed): TrainTime {
  const { promptTokens, maxTokens, promptCount, samples, iterations, epochs, rows } = values;
  // An embedding of its own is looked up, not multiplied with.
  const lookedUp = config.tieWordEmbeddings ? 0 : config.vocabSize * config.hiddenSize;
  const weights = -lookedUp +
    decoderTensors(config).reduce(
      (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
      0,
    );
  const each = values.promptsPerIteration === "split" ? promptCount : promptCount * iterations;
  const attention = (tokens: number, past: number) =>
    4 * tokens * past * config.layers * config.heads * config.headDim;

  const prefill = 2 * weights * promptTokens + attention(promptTokens, promptTokens / 2);
  const context = promptTokens + maxTokens / 2;
  const row = (2 * weights + attention(1, context)) / speed.flops;
  const step = Math.max(4 * weights / speed.bytes, rows * row);
  const steps = Math.ceil(each * samples / rows) * maxTokens;
  const sampling = (each * prefill / speed.flops + steps * step) / SHARE.decoding;

  const tokens = promptTokens + 2 * maxTokens;
  const forward = 2 * weights * tokens + attention(tokens, tokens / 2);
  const passes = 1 + // scoring
    epochs * (2 + (values.trainable === "all" ? 1 : 0) + (values.checkpointing ? 1 : 0));
  const training = each * forward * passes / speed.flops / SHARE.training;
  return { speed, sampling, training };
}

/** Measures this machine and estimates. */
export async function trainTime(
  config: DecoderConfig,
  values: TimeValues & Pick<Values<typeof infoOptions>, "backend" | "threads">,
  context: LoadContext,
): Promise<TrainTime> {
  const backend = await loadBackend(values, context.resources);
  return timeOn(config, values, await measureSpeed(backend));
}

/** The estimate in words. */
export function describeTime(
  { speed, sampling, training }: TrainTime,
): readonly (readonly [string, string])[] {
  return [
    [
      "this machine",
      `${(speed.flops / 1e9).toFixed(0)} GFLOP/s, ${(speed.bytes / 1e9).toFixed(1)} GB/s`,
    ],
    ["training lasts", `about ${duration(sampling + training)}`],
    ["  sampling", duration(sampling)],
    ["  fitting", duration(training)],
  ];
}

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(0)} s`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(0)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
