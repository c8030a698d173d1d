/**
 * Generation from a quantised GGUF file, ours against llama.cpp built for this machine and against
 * node-llama-cpp: 128 new tokens for 1, 5, 20 and 64 chat prompts at once, prefill included, with as many
 * threads and as many sequences on every side.
 *
 * Ours samples in the precision that it measures to be the faster for as many rows. Against llama.cpp
 * there are two comparisons: sampling on both sides (temperature 0.7, top-p 0.9); and without, where
 * llama.cpp is fed given tokens and ours takes the likeliest, which costs it some microseconds.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-run --allow-sys=cpus,loadavg \
 *       bench/peers/llamacpp.ts --model FILE.gguf --python PYTHON [--packages FOLDER] [--node node] \
 *       [--rows 1,5,20,64] [--tokens 128] [--rounds 5] [--json FILE] [--markdown docs/performance.md]
 *
 * PYTHON has llama-cpp-python (`pip install --no-binary llama-cpp-python llama-cpp-python`); FOLDER is one
 * where `npm install node-llama-cpp` was run, without it that peer is left out. The prompts are those of
 * the stored numbers, repeated where there are too few.
 *
 * @module
 */

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import { peakMemory } from "../../cli/peak_memory.ts";
import {
  choosePrecision,
  type Decoder,
  LanguageModel,
  openCheckpoint,
  type Precision,
} from "../../models/mod.ts";
import { type Contender, interleave } from "./_interleave.ts";
import { peerOptions, runComparison, say, wholeNumber } from "./_options.ts";
import { assertSame, ourRun, SAMPLING, total } from "./_our_generation.ts";
import { type Peer, startPeer } from "./_peer.ts";
import { comparison, measurement, thisMachine, writeReport } from "./_report.ts";
import { storedPrompts } from "./_stored_text.ts";

/** Rows beyond which node-llama-cpp is left out: its sequences take it minutes. */
const NODE_ROWS = 20;

await runComparison(async () => {
  const options = peerOptions({ values: ["packages", "node", "rows", "tokens"] });
  const { python, model: path, threads, rounds, warmups } = options;
  const { packages, node = "node" } = options.own;
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

  const given = [
    ...["--model", path, "--prompts", promptsPath],
    ...["--tokens", `${maxTokens}`, "--threads", `${threads}`],
  ];
  say("starting llama.cpp");
  const native = resources.use(
    await startPeer(python, "llamacpp_generate.py", [...given, "--slots", `${most}`]),
  );
  const nodeRows = sizes.filter((rows) => rows <= NODE_ROWS);
  let packaged: Peer | undefined;
  if (packages !== undefined && nodeRows.length > 0) {
    say("starting node-llama-cpp");
    const slots = `${Math.max(...nodeRows)}`;
    const args = [...given, "--packages", packages, "--slots", slots];
    packaged = resources.use(await startPeer(node, "node_llamacpp_generate.mjs", args));
  }

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

  const peak: Record<string, number> = {};
  const chosen: Record<string, string> = {};
  const entries: { readonly contender: Contender; readonly tokens: number }[] = [];
  const pairs: { readonly name: string; readonly ours: string; readonly theirs: string }[] = [];
  let seed = 0;
  const addOurs = (name: string, rows: number, decoder: Decoder, temperature: number) => {
    const run = async () => {
      const sampling = { samples: 1, maxTokens, seed: seed++, temperature };
      const result = await ourRun(decoder, promptsOf(rows), sampling);
      assertSame("new tokens", result.tokens, rows * maxTokens);
      return result;
    };
    entries.push({ contender: { name, run }, tokens: rows * maxTokens });
  };
  const addTheirs = (name: string, rows: number, peer: Peer, who: string, how: string) => {
    const run = async () => {
      const result = await peer.run(rows, how);
      assertSame("new tokens", result.new_tokens, rows * maxTokens);
      assertSame("prompt tokens", result.prompt_tokens, total(promptsOf(rows)));
      peak[who] = result.peak_rss_mib;
      return result;
    };
    entries.push({ contender: { name, run }, tokens: rows * maxTokens });
  };
  for (const rows of sizes) {
    const { precision } = await choosePrecision(checkpoint, backend, { rows });
    chosen[`precision at ${rows}`] = precision;
    const decoder = await decoderOf(precision);
    const [ours, plain] = [`ours, ${rows} rows`, `ours, ${rows} rows, greedy`];
    const [theirs, fed] = [`llama.cpp, ${rows} rows`, `llama.cpp, ${rows} rows, no sampling`];
    addOurs(ours, rows, decoder, SAMPLING.temperature);
    addTheirs(theirs, rows, native, "llama.cpp", "sample");
    addOurs(plain, rows, decoder, 0);
    addTheirs(fed, rows, native, "llama.cpp", "given");
    pairs.push({ name: `than llama.cpp, ${rows} rows`, ours, theirs });
    pairs.push({ name: `than llama.cpp, ${rows} rows, no sampling`, ours: plain, theirs: fed });
    if (packaged && rows <= NODE_ROWS) {
      const name = `node-llama-cpp, ${rows} rows`;
      addTheirs(name, rows, packaged, "node-llama-cpp", "sample");
      pairs.push({ name: `than ${name}`, ours, theirs: name });
    }
  }

  const onRun = (round: number, who: string, took: number) =>
    say(`round ${round}/${rounds}: ${who} ${took.toFixed(2)} s`);
  const contenders = entries.map(({ contender }) => contender);
  const seconds = await interleave(contenders, { rounds, warmups, onRun });
  peak.ours = Math.round(peakMemory() / 2 ** 20);

  await writeReport({
    benchmark: "llamacpp",
    date: new Date().toISOString().slice(0, 10),
    machine,
    versions: {
      deno: Deno.version.deno,
      ...backend.versions,
      ...native.versions,
      ...packaged?.versions,
    },
    settings: {
      "new tokens a row": maxTokens,
      temperature: SAMPLING.temperature,
      "top-p": SAMPLING.topP,
      threads,
      rounds,
      "warm-ups": warmups,
      ...chosen,
    },
    checks: { "new tokens": 0, "prompt tokens": 0 },
    measurements: entries.map(({ contender: { name }, tokens }) =>
      measurement(name, tokens, seconds[name]!)
    ),
    comparisons: pairs.map(({ name, ours, theirs }) =>
      comparison(name, seconds[ours]!, seconds[theirs]!)
    ),
    peak_memory_mib: peak,
  }, options);
});
