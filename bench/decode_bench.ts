/**
 * What does a step of decoding cost as rows are added, and what a prefill? A Llama of the embedded
 * policy's size, with 64 tokens in the cache.
 *
 * @module
 */

import type { BoundExecutable, HostTensor } from "../graph/mod.ts";
import { LanguageModel } from "../models/mod.ts";
import { EMBEDDED_SIZE, onnxBackend, randomIds, randomLlama } from "./_models.ts";

const PAST = 64;
const BATCHES = [1, 5, 20] as const;

/** The inputs of `decodeProgram` for rows that all have the same number of new tokens. */
function inputs(rows: number, time: number, past: number): Record<string, HostTensor> {
  const each = (of: (row: number, t: number) => number) => ({
    shape: [rows, time],
    data: Int32Array.from({ length: rows * time }, (_, at) => of(Math.floor(at / time), at % time)),
  });
  const perRow = (of: (row: number) => number) => ({
    shape: [rows],
    data: Int32Array.from({ length: rows }, (_, row) => of(row)),
  });
  const ids = randomIds("decode", rows * time);
  return {
    ids: each((row, t) => ids[row * time + t]!),
    positions: each((_, t) => past + t),
    past: perRow(() => past),
    count: perRow(() => time),
    last: perRow((row) => row * time + time - 1),
    inverse_temperature: { shape: [1], data: Float32Array.of(1 / 0.7) },
  };
}

function runOf(executable: BoundExecutable, rows: number, time: number, past: number) {
  const given = inputs(rows, time, past);
  return async () => {
    await executable.run(given);
  };
}

const backend = await onnxBackend();
const model = await LanguageModel.load(randomLlama(EMBEDDED_SIZE), backend, {
  template: "none",
  slots: Math.max(...BATCHES),
});
const decoder = await model.decoder(undefined, 128, 1);

for (const rows of BATCHES) {
  Deno.bench({
    name: `one token of ${rows} row${rows > 1 ? "s" : ""}`,
    group: "decode step",
    baseline: rows === 1,
    fn: runOf(decoder.step, rows, 1, PAST),
  });
}
for (const rows of [1, decoder.prefillRows]) {
  Deno.bench({
    name: `prefill of ${rows} × ${PAST} tokens`,
    group: "prefill",
    baseline: rows === 1,
    fn: runOf(decoder.prefill, rows, PAST, 0),
  });
}
