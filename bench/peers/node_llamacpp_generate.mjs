/**
 * Times node-llama-cpp: new tokens for a batch of prompts, a sequence each in one context, evaluated at
 * the same time, so that its scheduler puts them into common batches. Temperature 0.7, top-p 0.9; the
 * sequences share the prompts' tokens with the other peers and never end early.
 *
 *     node bench/peers/node_llamacpp_generate.mjs --packages FOLDER --model FILE.gguf --prompts FILE \
 *       [--tokens 128] [--threads 2] [--slots 20]
 *
 * `--packages` is a folder in which `npm install node-llama-cpp` was run. Speaks the line protocol of
 * protocol.py: `run 5 sample` answers {"seconds", "new_tokens", "prompt_tokens", "peak_rss_mib"}; a third
 * word is a number of new tokens in place of --tokens.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";

const { values } = parseArgs({
  options: Object.fromEntries(
    ["packages", "model", "prompts", "tokens", "threads", "slots"].map((name) => [name, {
      type: "string",
    }]),
  ),
});
const tokens = Number(values.tokens ?? 128);
const threads = Number(values.threads ?? 2);
const slots = Number(values.slots ?? 20);
const prompts = JSON.parse(readFileSync(values.prompts, "utf8"));

const require = createRequire(resolve(values.packages, "package.json"));
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(require.resolve("node-llama-cpp")));
const folder = resolve(values.packages, "node_modules/node-llama-cpp/package.json");
const { version } = JSON.parse(readFileSync(folder, "utf8"));

const llama = await getLlama({
  gpu: false,
  build: "never",
  maxThreads: threads,
  logLevel: LlamaLogLevel.error,
});
const model = await llama.loadModel({ modelPath: values.model });
const longest = Math.max(...prompts.map((ids) => ids.length)) + tokens;
const context = await model.createContext({
  contextSize: longest,
  sequences: slots,
  batchSize: 512,
  threads: { ideal: threads, min: threads },
});
const sequences = Array.from({ length: slots }, () => context.getSequence());

function peakRss() {
  const line = /^VmHWM:\s*(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"));
  return Math.floor(Number(line[1]) / 1024);
}

async function generate(sequence, ids, seed, count) {
  await sequence.clearHistory();
  let made = 0;
  const options = { temperature: 0.7, topK: 0, topP: 0.9, seed, yieldEogToken: true };
  for await (const _ of sequence.evaluate(ids, options)) if (++made === count) break;
  return made;
}

async function run(size, count) {
  const rows = Array.from({ length: size }, (_, index) => prompts[index % prompts.length]);
  const started = performance.now();
  const made = await Promise.all(rows.map((ids, row) => generate(sequences[row], ids, row, count)));
  const seconds = (performance.now() - started) / 1000;
  return {
    seconds,
    new_tokens: made.reduce((sum, count) => sum + count, 0),
    prompt_tokens: rows.reduce((sum, ids) => sum + ids.length, 0),
    peak_rss_mib: peakRss(),
  };
}

const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
answer({ ready: true, versions: { "node-llama-cpp": version } });
for await (const line of createInterface({ input: process.stdin })) {
  const [word, size, how = "sample", count = tokens] = line.trim().split(/\s+/);
  if (word === "quit") break;
  if (word !== "run") answer({ error: `Cannot do ${word} as a command must be run or quit` });
  else if (how !== "sample") answer({ error: `Cannot generate as tokens must be sampled: ${how}` });
  else {
    try {
      answer(await run(Number(size), Number(count)));
    } catch (error) {
      answer({ error: String(error) });
    }
  }
}
process.exit(0);
