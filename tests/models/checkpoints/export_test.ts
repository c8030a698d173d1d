import { strict as assert } from "node:assert";
import { encodeFloats } from "../../../graph/encodings.ts";
import { fromFloat32, readAsFloat32 } from "../../../graph/tensor_source.ts";
import { createReferenceBackend } from "../../../graph/reference_backend.ts";
import { bytesSource } from "../../../models/checkpoints/byte_source.ts";
import { openGguf } from "../../../models/checkpoints/gguf.ts";
import { type Checkpoint, openCheckpoint } from "../../../models/checkpoints/open.ts";
import { writeSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { halfSplitRows } from "../../../models/checkpoints/tensor_order.ts";
import {
  type ByteStream,
  externalData,
  ggufModel,
  ggufStream,
  ggufTokenizer,
  huggingFaceModel,
  mergedTensors,
  safetensorsStream,
} from "../../../models/export/mod.ts";
import { neighbourRows } from "../../../models/export/neighbour_rows.ts";
import { randomStream } from "../../../core/random.ts";
import { allTargets, type DecoderConfig, loraTensors } from "../../../models/architectures/mod.ts";
import { ggufTokenizer as readGgufTokenizer } from "../../../models/text/gguf_tokenizer.ts";
import { sentencePieceTokenizer } from "../../../models/text/sentencepiece.ts";
import { createTextCodec } from "../../../models/text/text_codec.ts";
import { LanguageModel } from "../../../models/language_model.ts";
import type { LoadedAdapter } from "../../../models/policy_files.ts";
import stored from "../../parity/data/gguf_blocks.json" with { type: "json" };
import { tinyModelFiles } from "../../cli/_tiny_model.ts";
import { countingTensors, sources, tinyConfig } from "../_files.ts";

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

async function collect(stream: ByteStream): Promise<Uint8Array> {
  const out = new Uint8Array(stream.byteLength);
  let at = 0;
  for await (const piece of stream.pieces()) {
    out.set(piece, at);
    at += piece.length;
  }
  assert.equal(at, out.length);
  return out;
}

async function collectAll(
  files: Readonly<Record<string, ByteStream>>,
): Promise<Record<string, Uint8Array>> {
  const out: Record<string, Uint8Array> = {};
  for (const [name, stream] of Object.entries(files)) out[name] = await collect(stream);
  return out;
}

Deno.test("encodeFloats() to q8_0 gives the bytes of the gguf package", () => {
  const { values, bytes } = stored.q8_0_of_floats;
  const floats = new Float32Array(bytesOf(values).buffer);
  assert.deepEqual(encodeFloats("q8_0", floats), bytesOf(bytes));
});

Deno.test("safetensorsStream() writes the bytes of writeSafetensors()", async () => {
  const data = Float32Array.from({ length: 12 }, (_, i) => i / 7);
  const tensors = new Map([["b", [3, 4]], ["a", [12]]] as const);
  for (const encoding of ["f32", "f16", "bf16"] as const) {
    const expected = writeSafetensors(
      new Map([...tensors].map(([name, shape]) => [name, { shape, data }])),
      { encoding },
    );
    const given = new Map(
      [...tensors].map(([name, shape]) => [name, fromFloat32(name, shape, data)]),
    );
    assert.deepEqual(await collect(safetensorsStream(given, encoding)), expected);
  }
});

Deno.test("neighbourRows() is the inverse of halfSplitRows()", async () => {
  const data = Float32Array.from({ length: 24 * 3 }, (_, i) => i);
  const source = fromFloat32("w", [24, 3], data);
  const turned = neighbourRows(source, 6);
  // Rows 0 and 3 of a head rotate against each other: they become neighbours.
  const rows = (await readAsFloat32(turned)).filter((_, i) => i % 3 === 0).map((value) =>
    value / 3
  );
  assert.deepEqual([...rows.slice(0, 6)], [0, 3, 1, 4, 2, 5]);
  assert.deepEqual(await readAsFloat32(halfSplitRows(turned, 6)), data);
  const whole = await turned.read(0, turned.byteLength);
  assert.deepEqual(await turned.read(5, 100), whole.slice(5, 100));
});

Deno.test("externalData() puts tensors at their places, matrices turned", async () => {
  const w = fromFloat32("w", [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
  const places = [
    { name: "w", transposed: true, offset: 0 },
    { name: "w", transposed: false, offset: 32 },
  ];
  const bytes = await collect(externalData(places, new Map([["w", w]])));
  const floats = [...new Float32Array(bytes.buffer)];
  assert.deepEqual(floats, [1, 4, 2, 5, 3, 6, 0, 0, 1, 2, 3, 4, 5, 6]);
});

const PROMPT = { id: "p", content: "Why?" };

/** log π of two responses, summed over their tokens; of the model with an adapter where one is given. */
async function logProbs(
  checkpoint: Checkpoint,
  adapter?: LoadedAdapter,
): Promise<readonly number[]> {
  const model = await LanguageModel.load(
    checkpoint,
    createReferenceBackend(),
    adapter ? { trainable: { kind: "lora", lora: adapter.lora } } : {},
  );
  const policy = adapter ? await model.policyFromTensors(adapter.tensors) : await model.policy();
  const responses = ["So", "No."].map((text) => ({ text }));
  const [group] = await Array.fromAsync(policy.logProbs([{ prompt: PROMPT, responses }]));
  await policy.dispose();
  await model.dispose();
  return group!.map((tokens) => tokens.reduce((sum, one) => sum + one, 0));
}

/** A random adapter on all layers of the tiny model. */
function adapterOf({ config }: Checkpoint): LoadedAdapter {
  const lora = { rank: 3, alpha: 6, targets: allTargets(config) };
  const random = randomStream(1, "adapter");
  const tensors = new Map(
    loraTensors(config, lora).map(({ name, shape }) => {
      const length = shape[0]! * shape[1]!;
      const data = Float32Array.from({ length }, () => (random.next() - 0.5) / 2);
      return [name, { shape, data }];
    }),
  );
  return { lora, tensors, baseModel: undefined };
}

function assertClose(actual: readonly number[], expected: readonly number[], relative: number) {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => {
    const apart = Math.abs(value - expected[i]!) / Math.abs(expected[i]!);
    assert.ok(apart <= relative, `${value} for ${expected[i]}: ${apart} apart`);
  });
}

/** Sums of rounded products: the merged weights are float32, base and adapter are added in another order. */
const MERGED = 1e-5;
/** Rounding of each weight to 11 bits, and to 8 bits with a scale of 11, over two layers. */
const HALF = 1e-3;
const EIGHT_BITS = 2e-2;

Deno.test("a merged model has the log-probabilities of base and adapter in every format", async () => {
  const files = tinyModelFiles();
  const checkpoint = await openCheckpoint(sources(files));
  const { config } = checkpoint;
  const adapter = adapterOf(checkpoint);
  const expected = await logProbs(checkpoint, adapter);
  const base = await logProbs(checkpoint);
  assert.ok(Math.abs(base[0]! - expected[0]!) > 0.1); // the adapter matters
  const tensors = mergedTensors(checkpoint.tensors, adapter);

  const folder = await collectAll(huggingFaceModel(config, tensors, "f32"));
  const reread = await openCheckpoint(sources({ ...files, ...folder }));
  assert.deepEqual(reread.config, config);
  assertClose(await logProbs(reread), expected, MERGED);

  const json = JSON.parse(new TextDecoder().decode(files["tokenizer.json"]));
  const text = await checkpoint.text();
  const tokenizer = ggufTokenizer({ kind: "huggingface", json }, text, config.vocabSize);
  for (
    const [encoding, tolerance] of [["f32", MERGED], ["f16", HALF], ["q8_0", EIGHT_BITS]] as const
  ) {
    const bytes = await collect(ggufModel(config, tensors, { encoding, tokenizer }));
    const gguf = await openCheckpoint({ "m.gguf": bytesSource("m.gguf", bytes) });
    assert.deepEqual(gguf.config, config);
    const codec = await gguf.text();
    assert.equal(codec.template, text.template);
    assert.deepEqual(
      codec.encodePrompt("Über 1 <|end|>\n", "chat"),
      text.encodePrompt("Über 1 <|end|>\n", "chat"),
    );
    assertClose(await logProbs(gguf), expected, tolerance);
    // Once more from the file: its tokenizer is copied, its weights stay as they are.
    const { metadata } = await openGguf(bytesSource("m.gguf", bytes));
    const copied = ggufTokenizer({ kind: "gguf", metadata }, codec, config.vocabSize);
    const again = ggufModel(gguf.config, gguf.tensors, { encoding, tokenizer: copied });
    const twice = await openCheckpoint({ "m.gguf": bytesSource("m.gguf", await collect(again)) });
    assertClose(await logProbs(twice), await logProbs(gguf), MERGED);
  }
});

Deno.test("mergedTensors() reads any byte range of the merged weights", async () => {
  const checkpoint = await openCheckpoint(sources(tinyModelFiles()));
  const merged = mergedTensors(checkpoint.tensors, adapterOf(checkpoint));
  const source = merged.get("model.layers.1.mlp.down_proj.weight")!;
  const whole = await source.read(0, source.byteLength);
  for (const [start, end] of [[0, 4], [5, 300], [90, 1536], [1000, 1000]] as const) {
    assert.deepEqual(await source.read(start, end), whole.slice(start, end));
  }
  assert.throws(
    () => mergedTensors(new Map(), adapterOf(checkpoint)),
    /^RangeError: Cannot merge the adapter as model.layers.0.self_attn.q_proj must be in the model/,
  );
});

Deno.test("ggufTokenizer() writes llama2.c's pieces, which read back to the same ids", async () => {
  const model = {
    pieces: ["<unk>", "<s>", "</s>", " a", "a", "b", "ab", " "],
    scores: [0, 0, 0, -1, -2, -3, -0.5, -4],
    kinds: [2, 3, 3, 1, 1, 1, 1, 1],
    space: " ",
    addSpacePrefix: true,
    literalControls: false,
    bosId: 1,
    eosId: 2,
    addBos: true,
    addEos: false,
  };
  const codec = await createTextCodec(sentencePieceTokenizer(model), { eosTokenIds: [2] });
  const entries = ggufTokenizer({ kind: "sentencepiece", model }, codec, 9);
  const bytes = await collect(ggufStream(entries, new Map()));
  const { metadata } = await openGguf(bytesSource("t.gguf", bytes));
  const reread = await readGgufTokenizer(metadata, "t.gguf");
  assert.equal(reread.vocabSize, 9); // as many as the embedding has rows
  for (const text of ["ab a", "  b", "aab"]) {
    assert.deepEqual(
      reread.encode(text, { addSpecialTokens: true }),
      codec.tokenizer.encode(text, { addSpecialTokens: true }),
      text,
    );
  }
});

Deno.test("ggufTokenizer() refuses tokenizers that GGUF has no name for", async () => {
  const files = tinyModelFiles();
  const { text, config } = await openCheckpoint(sources(files));
  const json = JSON.parse(new TextDecoder().decode(files["tokenizer.json"]));
  const written = (over: object) => {
    const origin = { kind: "huggingface", json: { ...json, ...over } } as const;
    return async () => ggufTokenizer(origin, await text(), config.vocabSize);
  };
  await assert.rejects(
    written({ pre_tokenizer: { type: "Whitespace" } }),
    /^RangeError: Cannot write the tokenizer to GGUF as it must cut text into words by one of the rules/,
  );
  await assert.rejects(
    written({ model: { ...json.model, byte_fallback: true } }),
    /^RangeError: Cannot write the tokenizer to GGUF as it must be a byte-level BPE: BPE with byte fallback$/,
  );
});

const FAMILIES: readonly Partial<DecoderConfig>[] = [
  { architecture: "qwen2", attentionBias: "qkv" },
  { architecture: "qwen3", tieWordEmbeddings: false },
  { architecture: "llama", attentionBias: "all", mlpBias: true },
  {
    architecture: "llama",
    positions: {
      kind: "rotary",
      theta: 5000,
      scaling: { kind: "linear", factor: 2, originalPositions: 16 },
    },
    maxPositions: 32,
  },
  { architecture: "gpt2", positions: { kind: "learned" }, kvHeads: 2, activation: "gelu_tanh" },
];

for (const over of FAMILIES) {
  const what = [over.architecture, over.attentionBias, over.positions?.kind].join(" ").trim();
  Deno.test(`every tensor of ${what} comes back from both formats`, async () => {
    const config: DecoderConfig = { ...tinyConfig, ...over };
    const tensors = new Map(
      [...countingTensors(config)].map(([name, { shape, data }]) => [
        name,
        fromFloat32(name, shape, data),
      ]),
    );
    const files = await collectAll(huggingFaceModel(config, tensors, "f32"));
    const gguf = await collect(
      ggufModel(config, tensors, { encoding: "f32", tokenizer: new Map() }),
    );
    for (const given of [files, { "m.gguf": gguf }]) {
      const reread = await openCheckpoint(sources(given));
      const { positions, maxPositions } = reread.config;
      assert.deepEqual([positions, maxPositions], [config.positions, config.maxPositions]);
      assert.deepEqual([...reread.tensors.keys()].sort(), [...tensors.keys()].sort());
      for (const [name, source] of tensors) {
        assert.deepEqual(
          await readAsFloat32(reread.tensors.get(name)!),
          await readAsFloat32(source),
          name,
        );
      }
    }
  });
}

Deno.test("ggufModel() refuses what it does not write yet", () => {
  const write = (over: Partial<DecoderConfig>) => () =>
    ggufModel({ ...tinyConfig, ...over }, new Map(), { encoding: "f16", tokenizer: new Map() });
  assert.throws(
    write({ architecture: "gemma3" }),
    /^RangeError: Cannot write the model to GGUF as its architecture must be one of llama, .*: gemma3$/,
  );
  assert.throws(write({ windows: [4, null] }), /GGUF as no layer may have a window: 4$/);
  assert.throws(write({ logitCap: 30 }), /GGUF as neither scores nor logits may be capped: 30$/);
  assert.throws(
    () => huggingFaceModel({ ...tinyConfig, scoreCap: 50 }, new Map(), "f32"),
    /^RangeError: Cannot write config.json as only a Gemma may cap scores or logits: .*, 50$/,
  );
});
