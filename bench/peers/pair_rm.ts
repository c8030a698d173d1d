/**
 * Judging K = 5 responses by PairRM, 20 ordered pairs, ours against PyTorch: a DeBERTa-v3 of the base
 * shape (12 layers of 768) with random weights, 512 tokens a pair, float32. PyTorch computes 1 and 4
 * pairs at a time; so do we. The logits of all pairs are compared before anything is measured.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-run --allow-sys=cpus,loadavg \
 *       bench/peers/pair_rm.ts --model DIR [--python PYTHON] [--rounds 5] [--json FILE] \
 *       [--markdown docs/performance.md] [--tokens 512] [--pairs 20] [--layers 12]
 *
 * `--model` is a folder that the weights are written to.
 *
 * @module
 */

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import { peakMemory } from "../../cli/peak_memory.ts";
import { randomStream } from "../../core/random.ts";
import { debertaConfigFromJson } from "../../models/checkpoints/deberta_json.ts";
import { openSafetensors, type PlacedSequence, readJsonObject } from "../../models/mod.ts";
import { pairHead } from "../../models/preference/pair_head.ts";
import { SequenceReader } from "../../models/preference/sequence_reader.ts";
import { debertaTrunk } from "../../models/preference/trunk.ts";
import { type Contender, interleave } from "./_interleave.ts";
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
    peak_memory_mib: peak,
  }, options);
});
