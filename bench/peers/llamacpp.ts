/**
 * Generation from a quantised GGUF file, ours against llama.cpp built for this machine, or against
 * node-llama-cpp: 128 new tokens for 1, 5, 20 and 64 chat prompts at once, prefill included, with as many
 * threads and as many sequences on both sides.
 *
 * Ours samples in the precision that it measures to be the faster for as many rows. Against llama.cpp
 * sampling is left out: it is fed given tokens, and ours takes the likeliest, which costs it some
 * microseconds. With `--sampling`, and against node-llama-cpp, both sides sample (temperature 0.7, top-p
 * 0.9). One peer is alive, and stopped while ours runs.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-run --allow-sys=cpus,loadavg \
 *       bench/peers/llamacpp.ts --model FILE.gguf --python PYTHON [--sampling] \
 *       [--rows 1,5,20,64] [--tokens 128] [--rounds 5] [--json FILE] [--markdown docs/performance.md]
 *     deno run … bench/peers/llamacpp.ts --model FILE.gguf --packages FOLDER [--node node] [--rows 1,5,20] …
 *
 * PYTHON has llama-cpp-python (`pip install --no-binary llama-cpp-python llama-cpp-python`); FOLDER is one
 * where `npm install node-llama-cpp` was run. The prompts are those of the stored numbers, repeated where
 * there are too few.
 *
 * @module
 */

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import { peakMemory } from "../../cli/peak_memory.ts";
import {
  chooseSampling,
  type Decoder,
  LanguageModel,
  openCheckpoint,
  type Precision,
} from "../../models/mod.ts";
import { type Contender, interleave } from "./_interleave.ts";
import { peerOptions, runComparison, say, wholeNumber } from "./_options.ts";
import { assertSame, ourRun, SAMPLING, total } from "./_our_generation.ts";
import { startPeer } from "./_peer.ts";
import { comparison, measurement, thisMachine, writeReport } from "./_report.ts";
import { storedPrompts } from "./_stored_text.ts";

/** New tokens of a row in runs that do not count. */
const WARM_UP_TOKENS = 16;

await runComparison(async () => {
  const own = { values: ["packages", "node", "rows", "tokens"], flags: ["sampling"] };
  const options = peerOptions(own);
  const { python, model: path, threads, rounds, warmups } = options;
  const { packages, node = "node" } = options.own;
  const who = packages === undefined ? "llama.cpp" : "node-llama-cpp";
  const samples = packages !== undefined || options.flags.has("sampling");
  const maxTokens = wholeNumber("tokens", options.own.tokens ?? "128", 1);
  const sizes = (options.own.rows ?? "1,5,20,64").split(",").map((n) => wholeNumber("rows", n, 1));
  const stored = await storedPrompts();
  const promptsOf = (rows: number) =>
    Array.from({ length: rows }, (_, row) => stored[row % stored.length]!);
  const most = Math.max(...sizes);
  const longest = Math.max(...stored.map((ids) => ids.length));

  await using resources = new AsyncDisposableStack();
  const promptsPath = await Deno.makeTempFile({ prefix: "sppo-prompts-", suffix: ".json" });
  resources.defer(() => Deno.remove(promptsPath));
  await Deno.writeTextFile(promptsPath, JSON.stringify(stored));
  const machine = thisMachine();

  say(`starting ${who}`);
  const given = [
    ...["--model", path, "--prompts", promptsPath, "--slots", `${most}`],
    ...["--tokens", `${maxTokens}`, "--threads", `${threads}`],
  ];
  const peer = resources.use(
    packages === undefined
      ? await startPeer(python, "llamacpp_generate.py", given)
      : await startPeer(node, "node_llamacpp_generate.mjs", [...given, "--packages", packages]),
  );

  say("loading ours");
  const opened = resources.use(await openCheckpointFiles(path));
  const checkpoint = await openCheckpoint(opened.files);
  const backend = await createOnnxBackend({ threads });
  resources.defer(() => backend.dispose());
  const decoders = new Map<Precision, Decoder>();
  const decoderOf = async (precision: Precision): Promise<Decoder> => {
    const known = decoders.get(precision);
    if (known) return known;
    const model = await LanguageModel.load(checkpoint, backend, { precision, slots: most });
    resources.defer(() => model.dispose());
    const decoder: Decoder = {
      ...await model.decoder(undefined, longest + maxTokens, 1),
      endOfTurnIds: [], // every row is as long as it may be
    };
    resources.defer(() => decoder.dispose());
    decoders.set(precision, decoder);
    return decoder;
  };

  let peakMib = 0;
  let seed = 0;
  const ours = (rows: number, decoder: Decoder): Contender => {
    const run = async (tokens = maxTokens) => {
      const temperature = samples ? SAMPLING.temperature : 0;
      const sampling = { samples: 1, maxTokens: tokens, seed: seed++, temperature };
      const result = await ourRun(decoder, promptsOf(rows), sampling);
      assertSame("new tokens", result.tokens, rows * tokens);
      return result;
    };
    return { name: `ours, ${rows} rows`, run, warmUp: () => run(WARM_UP_TOKENS) };
  };
  const theirs = (rows: number): Contender => {
    const run = async (tokens = maxTokens) => {
      const result = await peer.run(rows, samples ? "sample" : "given", tokens);
      assertSame("new tokens", result.new_tokens, rows * tokens);
      assertSame("prompt tokens", result.prompt_tokens, total(promptsOf(rows)));
      peakMib = result.peak_rss_mib;
      return result;
    };
    return { name: `${who}, ${rows} rows`, run, warmUp: () => run(WARM_UP_TOKENS) };
  };
  const chosen: Record<string, string> = {};
  const turns: { readonly rows: number; readonly contenders: readonly [Contender, Contender] }[] =
    [];
  for (const rows of sizes) {
    const { precision } = await chooseSampling(checkpoint, backend, { rows });
    chosen[`precision at ${rows}`] = precision;
    turns.push({ rows, contenders: [ours(rows, await decoderOf(precision)), theirs(rows)] });
  }

  const seconds = await interleave(turns.flatMap(({ contenders }) => contenders), {
    rounds,
    warmups,
    onRun: (round, name, took) => say(`round ${round}/${rounds}: ${name} ${took.toFixed(2)} s`),
  });

  await writeReport({
    benchmark: packages === undefined ? "llamacpp" : "node_llamacpp",
    date: new Date().toISOString().slice(0, 10),
    machine,
    versions: { deno: Deno.version.deno, ...backend.versions, ...peer.versions },
    settings: {
      "new tokens a row": maxTokens,
      sampling: samples
        ? `temperature ${SAMPLING.temperature}, top-p ${SAMPLING.topP}`
        : "left out on both sides",
      threads,
      rounds,
      "warm-ups": warmups,
      ...chosen,
    },
    checks: { "new tokens": 0, "prompt tokens": 0 },
    measurements: turns.flatMap(({ rows, contenders }) =>
      contenders.map(({ name }) => measurement(name, rows * maxTokens, seconds[name]!))
    ),
    comparisons: turns.map(({ rows, contenders: [mine, other] }) =>
      comparison(`than ${who}, ${rows} rows`, seconds[mine.name]!, seconds[other.name]!)
    ),
    peak_memory_mib: { ours: Math.round(peakMemory() / 2 ** 20), [who]: peakMib },
  }, options);
});
