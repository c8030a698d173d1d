/**
 * Generation, ours against transformers' `generate`: 128 new tokens a row, prefill and sampling
 * included, temperature 0.7, top-p 0.9, float32, for 1, 5 and 20 different chat prompts with one
 * sample each; and ours with K = 5 samples a prompt, which share its prefill.
 *
 * No row ends early on either side, so both make the same number of tokens; that, and the number of
 * prompt tokens, is checked on every run.
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-run --allow-sys=cpus,loadavg \
 *       bench/peers/generate.ts --model FILE.gguf [--python PYTHON] [--rounds 5] [--json FILE] \
 *       [--markdown docs/performance.md] [--prompts FILE] [--tokens 128]
 *
 * `--prompts` is a JSON list of 20 lists of token ids; without it, those of the stored numbers.
 *
 * @module
 */

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import { peakMemory } from "../../cli/peak_memory.ts";
import { type Decoder, LanguageModel, openCheckpoint } from "../../models/mod.ts";
import { type Contender, interleave } from "./_interleave.ts";
import { peerOptions, runComparison, say, wholeNumber } from "./_options.ts";
import { assertSame, ourRun, SAMPLING, total } from "./_our_generation.ts";
import { startPeer } from "./_peer.ts";
import { comparison, measurement, thisMachine, writeReport } from "./_report.ts";
import { storedPrompts } from "./_stored_text.ts";

const BATCHES = [1, 5, 20] as const;
/** Prompts of the runs with `SAMPLES` samples each. */
const SHARED = [1, 4] as const;
const SAMPLES = 5;
/** New tokens of a row in runs that do not count. */
const WARM_UP_TOKENS = 16;

async function readPrompts(path: string | undefined): Promise<readonly (readonly number[])[]> {
  return path === undefined
    ? await storedPrompts()
    : JSON.parse(await Deno.readTextFile(path)) as number[][];
}

await runComparison(async () => {
  const options = peerOptions({ values: ["prompts", "tokens"] });
  const { python, model: path, threads, rounds, warmups } = options;
  const maxTokens = wholeNumber("tokens", options.own.tokens ?? "128", 1);
  const prompts = await readPrompts(options.own.prompts);
  const most = Math.max(...BATCHES);
  if (prompts.length < most) assertSame("prompts", prompts.length, most);

  await using resources = new AsyncDisposableStack();
  const promptsPath = await Deno.makeTempFile({ prefix: "sppo-prompts-", suffix: ".json" });
  resources.defer(() => Deno.remove(promptsPath));
  await Deno.writeTextFile(promptsPath, JSON.stringify(prompts));
  const machine = thisMachine();

  say("starting transformers");
  const peer = resources.use(
    await startPeer(python, "transformers_generate.py", [
      ...["--model", path, "--prompts", promptsPath],
      ...["--tokens", `${maxTokens}`, "--threads", `${threads}`, "--top-k", "0"],
    ]),
  );
  say("loading ours");
  const opened = resources.use(await openCheckpointFiles(path));
  const checkpoint = await openCheckpoint(opened.files);
  const backend = await createOnnxBackend({ threads });
  resources.defer(() => backend.dispose());
  const model = await LanguageModel.load(checkpoint, backend, { slots: most });
  resources.defer(() => model.dispose());
  const longest = Math.max(...prompts.map((ids) => ids.length));
  const decoder: Decoder = {
    ...await model.decoder(undefined, longest + maxTokens, SAMPLES),
    endOfTurnIds: [], // every row is as long as it may be
  };

  const peak: Record<string, number> = {};
  let seed = 0;
  const ours = (name: string, count: number, samples: number): Contender => {
    const run = async (tokens = maxTokens) => {
      const sampling = { samples, maxTokens: tokens, seed: seed++ };
      const result = await ourRun(decoder, prompts.slice(0, count), sampling);
      assertSame("new tokens", result.tokens, count * samples * tokens);
      return result;
    };
    return { name, run, warmUp: () => run(WARM_UP_TOKENS) };
  };
  const theirs = (name: string, count: number): Contender => {
    const run = async (tokens = maxTokens) => {
      const result = await peer.run(count, tokens);
      assertSame("new tokens", result.new_tokens, count * tokens);
      assertSame("prompt tokens", result.prompt_tokens, total(prompts.slice(0, count)));
      peak.transformers = result.peak_rss_mib;
      return result;
    };
    return { name, run, warmUp: () => run(WARM_UP_TOKENS) };
  };
  const rows: { readonly contender: Contender; readonly tokens: number }[] = [];
  const many = (count: number) => `${count} prompt${count > 1 ? "s" : ""}`;
  for (const count of BATCHES) {
    const tokens = count * maxTokens;
    rows.push({ contender: ours(`ours, ${many(count)}`, count, 1), tokens });
    rows.push({ contender: theirs(`transformers, ${many(count)}`, count), tokens });
  }
  for (const count of SHARED) {
    const name = `ours, ${many(count)} × ${SAMPLES} samples`;
    rows.push({ contender: ours(name, count, SAMPLES), tokens: count * SAMPLES * maxTokens });
  }
  const onRun = (round: number, who: string, took: number) =>
    say(`round ${round}/${rounds}: ${who} ${took.toFixed(2)} s`);
  const contenders = rows.map(({ contender }) => contender);
  const seconds = await interleave(contenders, { rounds, warmups, onRun });
  peak.ours = Math.round(peakMemory() / 2 ** 20);

  await writeReport({
    benchmark: "generate",
    date: new Date().toISOString().slice(0, 10),
    machine,
    versions: { deno: Deno.version.deno, ...backend.versions, ...peer.versions },
    settings: {
      "new tokens a row": maxTokens,
      "prompt tokens (20 prompts)": total(prompts.slice(0, most)),
      temperature: SAMPLING.temperature,
      "top-p": SAMPLING.topP,
      threads,
      rounds,
      "warm-ups": warmups,
    },
    checks: { "new tokens": 0, "prompt tokens": 0 },
    measurements: rows.map(({ contender: { name }, tokens }) =>
      measurement(name, tokens, seconds[name]!)
    ),
    comparisons: BATCHES.map((count) =>
      comparison(
        `than transformers, ${many(count)}`,
        seconds[`ours, ${many(count)}`]!,
        seconds[`transformers, ${many(count)}`]!,
      )
    ),
    peak_memory_mib: peak,
  }, options);
});
