/**
 * Checks files that `sppo export` wrote in other JavaScript runtimes; exit code 1 where they differ.
 *
 *     npm install --ignore-scripts node-llama-cpp @huggingface/transformers   (in a folder elsewhere)
 *     node check_export.mjs RESPONSES FILE.gguf | ONNX_FOLDER                 (copied there)
 *
 * RESPONSES is the output of `sppo generate --temperature 0` on the same model. A GGUF file is loaded by
 * node-llama-cpp: its tokenizer must give our ids of each prompt in its chat template, and its greedy
 * tokens must be ours. A folder is loaded by transformers.js, which must generate the same text.
 */

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import process from "node:process";

const [responses, model] = process.argv.slice(2);
const rows = readFileSync(responses, "utf8").trim().split("\n").map((line) => JSON.parse(line))
  .map(({ prompt, responses: [{ text, token_ids }] }) => ({ prompt, text, ids: token_ids }));

async function checkGguf() {
  const { getLlama } = await import("node-llama-cpp");
  const llama = await getLlama({ gpu: false, build: "never", logLevel: "error" });
  const loaded = await llama.loadModel({ modelPath: resolve(model) });
  const { chat_template: chatTemplate } = loaded.fileInfo.metadata.tokenizer;
  const { Template } = await import("@huggingface/jinja");
  const context = await loaded.createContext({ contextSize: 512, threads: 1 });
  let same = 0;
  for (const { prompt, ids } of rows) {
    const text = new Template(chatTemplate).render({
      messages: [{ role: "user", content: prompt }],
      add_generation_prompt: true,
    });
    const sequence = context.getSequence();
    const tokens = [];
    for await (
      const token of sequence.evaluate(loaded.tokenize(text, true), {
        temperature: 0,
        yieldEogToken: true,
      })
    ) {
      tokens.push(token);
      if (tokens.length >= ids.length) break;
    }
    sequence.dispose();
    const equal = tokens.join() === ids.join();
    if (!equal) {
      process.stdout.write(
        `${JSON.stringify({ prompt, ours: ids.join(" "), theirs: tokens.join(" ") })}\n`,
      );
    }
    same += equal;
  }
  await llama.dispose();
  return same;
}

async function checkOnnx() {
  const { pipeline, env } = await import("@huggingface/transformers");
  env.allowRemoteModels = false;
  env.localModelPath = dirname(resolve(model));
  const generate = await pipeline("text-generation", model.split("/").pop(), {
    dtype: "fp32",
    device: "cpu",
  });
  let same = 0;
  for (const { prompt, text, ids } of rows) {
    const [{ generated_text: turns }] = await generate([{ role: "user", content: prompt }], {
      max_new_tokens: ids.length,
      do_sample: false,
    });
    const theirs = turns.at(-1).content;
    if (theirs !== text) {
      process.stdout.write(`${JSON.stringify({ prompt, ours: text, theirs })}\n`);
    }
    same += theirs === text;
  }
  return same;
}

const same = await (model.endsWith(".gguf") ? checkGguf() : checkOnnx());
process.stdout.write(`${model}: ${same} of ${rows.length} the same\n`);
process.exit(same === rows.length ? 0 : 1);
