/**
 * How far is fast sampling from the policy? Both precisions of one checkpoint read the stored prompts
 * and the beginnings of their answers (`tests/parity/data/smollm2.json`), token by token, and the
 * distributions of the next token are compared over the answers.
 *
 *     deno run --allow-read --allow-ffi --allow-sys=cpus bench/precision_divergence.ts --model FILE.gguf \
 *       [--tokens 32] [--threads 2]
 *
 * Not a bench of `deno task bench`: it measures a difference, not time.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { createOnnxBackend } from "../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../cli/file_source.ts";
import { type Decoder, LanguageModel, openCheckpoint, type Precision } from "../models/mod.ts";
import { storedAnswers } from "./peers/_stored_text.ts";

/** Writes a line to standard output. */
function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

const { values: options } = parseArgs({
  options: {
    model: { type: "string" },
    tokens: { type: "string", default: "32" },
    threads: { type: "string", default: "2" },
  },
});
if (options.model === undefined) {
  throw new TypeError("Cannot start as --model must name a GGUF file");
}
const answerTokens = Number(options.tokens);

/** Next-token logits [rows · V] after one more token of each row. */
async function step(decoder: Decoder, ids: readonly number[], past: number): Promise<Float32Array> {
  const each = (value: number) => Int32Array.from(ids, () => value);
  const shape = [ids.length];
  const { logits } = await decoder.step.run({
    ids: { shape: [ids.length, 1], data: Int32Array.from(ids) },
    positions: { shape: [ids.length, 1], data: each(past) },
    past: { shape, data: each(past) },
    count: { shape, data: each(1) },
    last: { shape, data: Int32Array.from(ids, (_, row) => row) },
    inverse_temperature: { shape: [1], data: Float32Array.of(1) },
  });
  return Float32Array.from(logits!.data);
}

function logSoftmax(logits: Float32Array): Float64Array {
  const most = logits.reduce((a, b) => Math.max(a, b));
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  const normalizer = most + Math.log(sum);
  return Float64Array.from(logits, (logit) => logit - normalizer);
}

const opened = await openCheckpointFiles(options.model);
const checkpoint = await openCheckpoint(opened.files);
const backend = await createOnnxBackend({ threads: Number(options.threads) });
const answers = await storedAnswers();
const rows = answers.map(({ promptIds, responseIds }) => ({
  ids: [...promptIds, ...responseIds.slice(0, answerTokens)],
  prompt: promptIds.length,
}));
const longest = Math.max(...rows.map(({ ids }) => ids.length));

async function load(precision: Precision) {
  const model = await LanguageModel.load(checkpoint, backend, { precision, slots: rows.length });
  return { model, decoder: await model.decoder(undefined, longest, rows.length) };
}
const exact = await load("float32");
const fast = await load("fast");

const divergences: number[] = [];
const moves: number[] = [];
let agree = 0;
for (let at = 0; at + 1 < longest; at++) {
  const ids = rows.map(({ ids }) => ids[at] ?? 0);
  const [p, q] = [await step(exact.decoder, ids, at), await step(fast.decoder, ids, at)];
  const size = p.length / rows.length;
  rows.forEach(({ ids, prompt }, row) => {
    const next = ids[at + 1];
    if (at + 1 < prompt || next === undefined) return;
    const own = logSoftmax(p.subarray(row * size, (row + 1) * size));
    const other = logSoftmax(q.subarray(row * size, (row + 1) * size));
    let divergence = 0;
    own.forEach((logProb, token) => divergence += Math.exp(logProb) * (logProb - other[token]!));
    divergences.push(divergence);
    moves.push(Math.abs(own[next]! - other[next]!));
    const best = (values: Float64Array) => values.indexOf(values.reduce((a, b) => Math.max(a, b)));
    if (best(own) === best(other)) agree++;
  });
}
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const share = (values: readonly number[], part: number) =>
  [...values].sort((a, b) => a - b)[Math.floor(part * (values.length - 1))]!;
say(`tokens ${divergences.length}, of ${rows.length} answers`);
say(
  `KL(float32 || fast) per token, nats: mean ${mean(divergences).toExponential(2)}, ` +
    `99 % below ${share(divergences, 0.99).toExponential(2)}, most ${
      share(divergences, 1).toExponential(2)
    }`,
);
say(
  `|difference of the log-probability of the next token|: mean ${mean(moves).toFixed(4)}, ` +
    `most ${share(moves, 1).toFixed(4)}`,
);
say(`same likeliest token: ${(100 * agree / divergences.length).toFixed(1)} %`);
for (const { model, decoder } of [exact, fast]) {
  await decoder.dispose();
  await model.dispose();
}
await backend.dispose();
opened[Symbol.dispose]();
