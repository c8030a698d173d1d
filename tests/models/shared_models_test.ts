/** Real checkpoints of the shared data. */

import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import { readAsFloat32 } from "../../graph/tensor_source.ts";
import { openCheckpoint } from "../../models/checkpoints/open.ts";
import { huggingFaceTokenizer } from "../../models/text/huggingface_tokenizer.ts";
import { createTextCodec } from "../../models/text/text_codec.ts";
import { sharedPath, skipReason } from "../_shared.ts";

const SMOLLM2 = "models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf";
const SMOLLM2_TOKENIZER = "models/smollm2-135m-instruct/tokenizer.json";
const SMOLLM2_TEMPLATE = "models/smollm2-135m-instruct/chat_template.jinja";
const VICUNA = "data/pairwise/gpt4_vicuna_8x8.jsonl";
const STORIES = "models/stories260k/stories260K.bin";
const STORIES_TOKENIZER = "models/stories260k/tok512.bin";

/** A test that needs files of the shared data, and says so where one is absent. */
function sharedTest(
  name: string,
  needs: readonly string[],
  body: (...paths: string[]) => Promise<void>,
): void {
  const absent = needs.find((path) => !sharedPath(path));
  Deno.test({
    name: absent ? `${name} (${skipReason(absent)})` : name,
    ignore: absent !== undefined,
    fn: () => body(...needs.map((path) => sharedPath(path)!)),
  });
}

const parity = async (name: string) =>
  JSON.parse(await Deno.readTextFile(new URL(`../parity/data/${name}`, import.meta.url)));

sharedTest("openCheckpoint() reads SmolLM2's GGUF with all shapes", [SMOLLM2], async (path) => {
  using opened = await openCheckpointFiles(path);
  const { config, tensors, format } = await openCheckpoint(opened.files);
  assert.equal(format, "gguf");
  assert.deepEqual(config, {
    architecture: "llama",
    vocabSize: 49152,
    hiddenSize: 576,
    intermediateSize: 1536,
    layers: 30,
    heads: 9,
    kvHeads: 3,
    headDim: 64,
    normEps: 1e-5,
    positions: { kind: "rotary", theta: 100_000 },
    maxPositions: 8192,
    tieWordEmbeddings: true,
    bosTokenId: 1,
    eosTokenIds: [2],
  });
  assert.equal(tensors.size, 272);
  assert.equal(tensors.get("model.layers.29.self_attn.q_proj.weight")!.encoding, "q4_1");
  assert.deepEqual([...tensors.get("model.layers.7.mlp.down_proj.weight")!.shape], [576, 1536]);
  const norm = await readAsFloat32(tensors.get("model.norm.weight")!);
  assert.ok(norm.every((value) => Math.abs(value) < 100));
  const q = await readAsFloat32(tensors.get("model.layers.0.self_attn.q_proj.weight")!);
  assert.ok(q.every((value) => Math.abs(value) < 10));
});

sharedTest(
  "encode() from SmolLM2's GGUF equals its tokenizer.json and the tokenizers library on every answer",
  [SMOLLM2, SMOLLM2_TOKENIZER, VICUNA],
  async (ggufPath, tokenizerPath, vicunaPath) => {
    using opened = await openCheckpointFiles(ggufPath);
    const fromGguf = (await (await openCheckpoint(opened.files)).text()).tokenizer;
    const fromJson = await huggingFaceTokenizer(JSON.parse(await Deno.readTextFile(tokenizerPath)));
    const reference = await parity("smollm2_tokens.json"); // made with the Rust library
    const rows = (await Deno.readTextFile(vicunaPath)).trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    let answers = 0;
    rows.forEach((row, at) => {
      const { question_id, lengths, hashes } = reference.answers[at];
      assert.equal(question_id, row.question_id);
      row.responses.forEach((text: string, index: number) => {
        const ids = fromGguf.encode(text);
        assert.deepEqual(ids, fromJson.encode(text));
        assert.equal(ids.length, lengths[index]);
        const bytes = new Uint8Array(Uint32Array.from(ids).buffer);
        const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
        assert.equal(hash, hashes[index], `question ${question_id}, answer ${index}`);
        assert.equal(fromGguf.decode(ids), text);
        answers++;
      });
    });
    assert.equal(answers, 640);
  },
);

sharedTest(
  "encodePrompt() and encodeResponse() give the ids that transformers was given",
  [SMOLLM2, SMOLLM2_TOKENIZER, SMOLLM2_TEMPLATE, VICUNA],
  async (ggufPath, tokenizerPath, templatePath, vicunaPath) => {
    using opened = await openCheckpointFiles(ggufPath);
    const fromGguf = await (await openCheckpoint(opened.files)).text();
    const tokenizer = await huggingFaceTokenizer(
      JSON.parse(await Deno.readTextFile(tokenizerPath)),
      { bos_token: "<|im_start|>", eos_token: "<|im_end|>" },
    );
    const template = await Deno.readTextFile(templatePath);
    const fromFolder = await createTextCodec(tokenizer, { template, eosTokenIds: [2] });
    const questions = new Map(
      (await Deno.readTextFile(vicunaPath)).trim().split("\n").map((line) => JSON.parse(line))
        .map((row) => [row.question_id, row]),
    );
    const { pairs, greedy } = await parity("smollm2.json");
    for (const codec of [fromGguf, fromFolder]) {
      assert.deepEqual(codec.endOfTurnIds, [2]);
      for (const pair of pairs) {
        const { prompt, responses } = questions.get(pair.question_id);
        assert.deepEqual(codec.encodePrompt(prompt, "chat"), pair.prompt_token_ids);
        const response = responses[pair.response_index];
        assert.deepEqual(codec.encodeResponse(response, "chat"), pair.token_ids);
      }
      for (const { prompt, prompt_token_ids, token_ids, text } of greedy) {
        assert.deepEqual(codec.encodePrompt(prompt, "chat"), prompt_token_ids);
        assert.equal(codec.decode(token_ids), text);
      }
      assert.deepEqual(codec.encodePrompt("Hello there", "none"), [19556, 665]); // no BOS is added
    }
  },
);

sharedTest(
  "encode() of stories260K's tokenizer gives llama2.c's ids",
  [STORIES, STORIES_TOKENIZER],
  async (path) => {
    using opened = await openCheckpointFiles(path);
    const { config, tensors, text } = await openCheckpoint(opened.files);
    assert.equal(tensors.size, 2 + 9 * config.layers);
    const codec = await text();
    const sentence = "Once upon a time, there was a little girl";
    const ids = [403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421];
    assert.deepEqual(codec.tokenizer.encode(sentence), ids);
    assert.deepEqual(codec.encodePrompt(sentence, "none"), [1, ...ids]);
    assert.equal(codec.decode([1, ...ids]), sentence);
  },
);

sharedTest(
  "describeTokenizer() writes files that give the ids of SmolLM2's GGUF",
  [SMOLLM2, VICUNA],
  async (path, vicuna) => {
    using opened = await openCheckpointFiles(path);
    const checkpoint = await openCheckpoint(opened.files);
    const { tokenizer, config } = checkpoint.describeTokenizer!()!;
    const read = await huggingFaceTokenizer(JSON.parse(JSON.stringify(tokenizer)), config);
    const { tokenizer: own } = await checkpoint.text();
    const lines = (await Deno.readTextFile(vicuna)).split("\n").filter((line) => line !== "");
    for (const line of lines.slice(0, 10)) {
      for (const text of (JSON.parse(line) as { responses: string[] }).responses) {
        const options = { addSpecialTokens: true };
        assert.deepEqual(read.encode(text, options), own.encode(text, options));
      }
    }
    assert.equal(read.eosId, own.eosId);
  },
);
