/**
 * Judging K = 5 responses by PairRM, 20 ordered pairs, ours against PyTorch: a DeBERTa-v3 of the base
 * shape (12 layers of 768) with random weights, 512 tokens a pair, float32. PyTorch computes 1 and 4
 * pairs at a time; so do we. The logits of all pairs are compared before anything is measured. What
 * each side multiplies is counted, and set beside the fastest product of either.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-run --allow-sys=cpus,loadavg \
 *       bench/peers/pair_rm.ts --model DIR [--python PYTHON] [--rounds 5] [--json FILE] \
 *       [--markdown docs/performance.md] [--tokens 512] [--pairs 20] [--layers 12]
 *
 * `--model` is a folder that the weights are written to.
 *
 * @module
 */

import type { Backend } from "../../graph/mod.ts";
import { fromFloat32, ProgramBuilder } from "../../graph/mod.ts";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import { peakMemory } from "../../cli/peak_memory.ts";
import { randomStream } from "../../core/random.ts";
import { debertaConfigFromJson } from "../../models/checkpoints/deberta_json.ts";
import { openSafetensors, type PlacedSequence, readJsonObject } from "../../models/mod.ts";
import { pairHead } from "../../models/preference/pair_head.ts";
import { SequenceReader } from "../../models/preference/sequence_reader.ts";
import { debertaTrunk } from "../../models/preference/trunk.ts";
import type { DebertaConfig } from "../../models/architectures/deberta_config.ts";
import { cutIntoBlocks, distanceInputs } from "../../models/architectures/relative_distances.ts";
import { type Contender, interleave, median } from "./_interleave.ts";
import { peerOptions, runComparison, say, wholeNumber } from "./_options.ts";
import { startPeer } from "./_peer.ts";
import { comparison, measurement, thisMachine, writeReport } from "./_report.ts";

const BATCHES = [1, 4] as const;
const VOCABULARY = 32768;
/** Logits of about 1 after 12 layers in float32, in two orders of summation. */
const TOLERANCE = 1e-4;

/** Random tokens; the three openings a third of the length apart. */
function randomSequences(count: number, tokens: number): PlacedSequence[] {
  const random = randomStream(0, "tokens");
  return Array.from({ length: count }, () => ({
    ids: Array.from({ length: tokens }, () => Math.floor(random.next() * VOCABULARY)),
    places: [1, Math.floor(tokens / 3), Math.floor(2 * tokens / 3)],
  }));
}

/** Largest difference. @throws {RangeError} When it is too large. */
function compareLogits(ours: readonly number[], theirs: readonly number[]): number {
  const largest = Math.max(...ours.map((value, index) => Math.abs(value - theirs[index]!)));
  if (!(largest <= TOLERANCE) || ours.length !== theirs.length) {
    throw new RangeError(`Cannot compare as logits must agree to ${TOLERANCE}: ${largest}`);
  }
  return largest;
}

/**
 * Multiplications and additions of the products for one pair, of so many as are computed together.
 * Ours reads distances by block, and needs keys and values alone in the last layer, three places aside;
 * the reference multiplies with all rows of the table, and projects the table in each batch.
 */
function operations(config: DebertaConfig, tokens: number, batch: number) {
  const { hiddenSize, intermediateSize, layers, span } = config;
  const linear = 4 * hiddenSize ** 2 + 2 * hiddenSize * intermediateSize;
  const window = distanceInputs(config, cutIntoBlocks(tokens)).window.data[0]!;
  const block = (distances: number) =>
    2 * tokens * (linear + hiddenSize * (2 * tokens + 2 * distances));
  const table = 2 * (2 * span) * 2 * hiddenSize ** 2;
  return {
    ours: (layers - 1) * block(window) + 2 * tokens * 2 * hiddenSize ** 2,
    theirs: layers * (block(2 * span) + table / batch),
  };
}

const PRODUCT_ROWS = 2048;
const PRODUCT_RUNS = 12;

/** One product of 2048 × hidden by hidden × 4 · hidden; seconds of the fastest run. */
async function productSeconds(backend: Backend, hidden: number): Promise<number> {
  const g = new ProgramBuilder("product");
  const matrix = (name: string, rows: number) => g.parameter(name, name, [rows, hidden]);
  const product = g.linear(matrix("x", PRODUCT_ROWS), matrix("w", 4 * hidden));
  g.output("y", g.reduceMax(product, [0, 1]));
  const random = randomStream(0, "product");
  const store = (name: string, rows: number) => {
    const data = Float32Array.from({ length: rows * hidden }, () => random.next() - 0.5);
    return backend.createStore([fromFloat32(name, [rows, hidden], data)]);
  };
  const [x, w] = [await store("x", PRODUCT_ROWS), await store("w", 4 * hidden)];
  const executable = await backend.compile(g.build(), { constants: { w } });
  const bound = executable.bind({ x });
  let least = Infinity;
  for (let run = 0; run < PRODUCT_RUNS; run++) {
    const started = performance.now();
    await bound.run({});
    least = Math.min(least, (performance.now() - started) / 1000);
  }
  await executable.dispose();
  for (const one of [x, w]) await one.dispose();
  return least;
}

await runComparison(async () => {
  const options = peerOptions({ values: ["tokens", "pairs", "layers"] });
  const { python, model: folder, threads, rounds, warmups } = options;
  const tokens = wholeNumber("tokens", options.own.tokens ?? "512", 16);
  const pairs = wholeNumber("pairs", options.own.pairs ?? "20", 1);
  const layers = wholeNumber("layers", options.own.layers ?? "12", 1);
  const sequences = randomSequences(pairs, tokens);

  await using resources = new AsyncDisposableStack();
  const sequencesPath = await Deno.makeTempFile({ prefix: "sppo-pairs-", suffix: ".json" });
  resources.defer(() => Deno.remove(sequencesPath));
  await Deno.writeTextFile(sequencesPath, JSON.stringify(sequences));
  const machine = thisMachine();

  say("starting PyTorch");
  const peer = resources.use(
    await startPeer(python, "torch_pair_rm.py", [
      ...["--folder", folder, "--sequences", sequencesPath, "--threads", `${threads}`],
      ...["--vocabulary", `${VOCABULARY}`, "--layers", `${layers}`],
    ]),
  );
  say("loading ours");
  const opened = resources.use(await openCheckpointFiles(folder));
  const config = debertaConfigFromJson(
    await readJsonObject(opened.files["config.json"]!, { maxBytes: 1 << 20 }),
  );
  const stored = await openSafetensors(opened.files["model.safetensors"]!);
  const tensors = new Map(
    [...stored.tensors].map(([name, source]) =>
      [name.replace(/^pretrained_model\./, ""), source] as const
    ),
  );
  const backend = await createOnnxBackend({ threads });
  resources.defer(() => backend.dispose());
  const reader = await SequenceReader.load(
    debertaTrunk(config),
    pairHead(config.hiddenSize, 1),
    tensors,
    backend,
    { tokensPerBatch: tokens },
  );
  resources.defer(() => reader.dispose());

  const peak: Record<string, number> = {};
  const logits: Record<string, readonly number[]> = {};
  const ours = (batch: number): Contender => ({
    name: `ours, ${batch} at a time`,
    async run() {
      const started = performance.now();
      const read = await reader.read(sequences, { tokensPerBatch: batch * tokens });
      logits.ours = read.map(([logit]) => logit!);
      return { seconds: (performance.now() - started) / 1000 };
    },
  });
  const theirs = (batch: number): Contender => ({
    name: `PyTorch, ${batch} at a time`,
    async run() {
      const result = await peer.run(batch);
      logits.theirs = result.logits as number[];
      peak.PyTorch = result.peak_rss_mib;
      return result;
    },
  });
  const contenders = BATCHES.flatMap((batch) => [ours(batch), theirs(batch)]);
  await contenders[0]!.run();
  await contenders[1]!.run();
  const difference = compareLogits(logits.ours!, logits.theirs!);
  const onRun = (round: number, who: string, took: number) =>
    say(`round ${round}/${rounds}: ${who} ${took.toFixed(2)} s`);
  const seconds = await interleave(contenders, { rounds, warmups, onRun });
  peak.ours = Math.round(peakMemory() / 2 ** 20);

  const product = { ours: await productSeconds(backend, config.hiddenSize), theirs: Infinity };
  for (let run = 0; run < PRODUCT_RUNS; run++) {
    product.theirs = Math.min(product.theirs, (await peer.run("product")).seconds);
  }
  const inProduct = 2 * PRODUCT_ROWS * 4 * config.hiddenSize ** 2 / 1e9;
  const fastest = inProduct / Math.min(product.ours, product.theirs);
  const rates = contenders.map(({ name }, index) => {
    const work = operations(config, tokens, BATCHES[index >> 1]!);
    const rate = pairs * work[index % 2 === 0 ? "ours" : "theirs"] / 1e9 / median(seconds[name]!);
    return `${name} ${rate.toFixed(0)} (${(100 * rate / fastest).toFixed(0)} %)`;
  });
  const counted = BATCHES.map((batch) => operations(config, tokens, batch));

  await writeReport({
    benchmark: "pair_rm",
    unit: "pairs",
    date: new Date().toISOString().slice(0, 10),
    machine,
    versions: { deno: Deno.version.deno, ...backend.versions, ...peer.versions },
    settings: { pairs, "tokens a pair": tokens, layers, threads, rounds, "warm-ups": warmups },
    checks: { logits: difference },
    measurements: contenders.map(({ name }) => measurement(name, pairs, seconds[name]!)),
    comparisons: BATCHES.flatMap((mine) =>
      BATCHES.map((other) =>
        comparison(
          `${mine} at a time than PyTorch ${other} at a time`,
          seconds[`ours, ${mine} at a time`]!,
          seconds[`PyTorch, ${other} at a time`]!,
        )
      )
    ),
    remarks: [
      `GFLOP of a pair's products: ours ${(counted[0]!.ours / 1e9).toFixed(1)}; PyTorch ` +
      BATCHES.map((batch, at) => `${(counted[at]!.theirs / 1e9).toFixed(1)} at ${batch}`)
        .join(", ") +
      ".",
      `GFLOP/s, and share of the fastest product's: ${rates.join("; ")}.`,
      `One product of 2048 rows, GFLOP/s: ours ${(inProduct / product.ours).toFixed(0)}, PyTorch ${
        (inProduct / product.theirs).toFixed(0)
      }.`,
    ],
    peak_memory_mib: peak,
  }, options);
});
