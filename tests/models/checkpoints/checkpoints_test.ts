import { strict as assert } from "node:assert";
import { readAsFloat32 } from "../../../graph/tensor_source.ts";
import { bytesSource, httpSource } from "../../../models/checkpoints/byte_source.ts";
import {
  configFromHuggingFace,
  configToHuggingFace,
} from "../../../models/checkpoints/huggingface_config.ts";
import { openCheckpoint } from "../../../models/checkpoints/open.ts";
import { halfSplitRows, shifted, transposed } from "../../../models/checkpoints/tensor_order.ts";
import { openSafetensors, writeSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { writeCheckpoint } from "../../../models/checkpoints/write.ts";
import { fromFloat32 } from "../../../graph/tensor_source.ts";
import {
  countingTensors,
  interleaveRows,
  sources,
  tinyCheckpoint,
  tinyConfig,
  tinyGguf,
  tinyLlama2c,
} from "../_files.ts";

const untied = { ...tinyConfig, tieWordEmbeddings: false };

async function assertSameTensors(
  files: Record<string, Uint8Array>,
  config = tinyConfig,
  tolerance = 0,
) {
  const checkpoint = await openCheckpoint(sources(files));
  const expected = countingTensors(config);
  assert.deepEqual([...checkpoint.tensors.keys()], [...expected.keys()]);
  for (const [name, { shape, data }] of expected) {
    const source = checkpoint.tensors.get(name)!;
    assert.deepEqual([...source.shape], [...shape]);
    const values = await readAsFloat32(source);
    const far = values.findIndex((value, i) => Math.abs(value - data[i]!) > tolerance);
    assert.equal(far, -1, name);
  }
  return checkpoint;
}

Deno.test("openCheckpoint() reads back what writeCheckpoint() wrote in float32", async () => {
  const { config, format } = await assertSameTensors(tinyCheckpoint());
  assert.equal(format, "huggingface");
  assert.deepEqual(config, tinyConfig);
  await assertSameTensors(writeCheckpoint(untied, countingTensors(untied)), untied);
});

Deno.test("openCheckpoint() reads float16 and bfloat16 within their rounding", async () => {
  const tensors = countingTensors(tinyConfig); // values up to 16, in steps of 1/64
  for (const [encoding, tolerance] of [["f16", 2 ** -7], ["bf16", 2 ** -4]] as const) {
    await assertSameTensors(
      writeCheckpoint(tinyConfig, tensors, { encoding }),
      tinyConfig,
      tolerance,
    );
  }
});

Deno.test("openCheckpoint() undoes llama.cpp's permutation of GGUF's rows", async () => {
  const { config, format, metadata } = await assertSameTensors({ "tiny.gguf": tinyGguf() });
  assert.equal(format, "gguf");
  assert.deepEqual(config, tinyConfig);
  assert.equal(metadata.get("general.name"), "tiny");
  await assertSameTensors({ "tiny.gguf": tinyGguf({}, untied) }, untied);
});

Deno.test("openCheckpoint() reads llama2.c's checkpoints, tied and not", async () => {
  const { config, format } = await assertSameTensors({ "tiny.bin": tinyLlama2c() });
  assert.equal(format, "llama2c");
  assert.deepEqual(config, { ...tinyConfig, eosTokenIds: [1, 2] });
  await assertSameTensors({ "tiny.bin": tinyLlama2c(untied) }, untied);
});

Deno.test("openCheckpoint() reads shards by their index", async () => {
  const tensors = [...countingTensors(tinyConfig)];
  const shards = {
    "a.safetensors": writeSafetensors(new Map(tensors.slice(0, 7))),
    "b.safetensors": writeSafetensors(new Map(tensors.slice(7))),
  };
  const weight_map = Object.fromEntries(
    tensors.map(([name], i) => [name, i < 7 ? "a.safetensors" : "b.safetensors"]),
  );
  const index = new TextEncoder().encode(JSON.stringify({ weight_map }));
  const config = tinyCheckpoint()["config.json"]!;
  const files = { "config.json": config, "model.safetensors.index.json": index, ...shards };
  await assertSameTensors(files);
  const { "b.safetensors": _, ...lacking } = files;
  await assert.rejects(
    openCheckpoint(sources(lacking)),
    /^Error: Cannot open the checkpoint as every shard must be beside its index: b.safetensors is absent$/,
  );
});

Deno.test("halfSplitRows() gives any byte range of the reordered rows", async () => {
  const config = { ...tinyConfig, heads: 4, headDim: 6 };
  const data = Float32Array.from({ length: 24 * 3 }, (_, i) => i);
  const stored = interleaveRows({ shape: [24, 3], data }, config.headDim);
  const source = halfSplitRows(fromFloat32("w", [24, 3], stored.data), config.headDim);
  const whole = await source.read(0, source.byteLength);
  assert.deepEqual(new Float32Array(whole.slice().buffer), data);
  for (let start = 0; start <= whole.length; start += 7) {
    for (let end = start; end <= whole.length; end += 11) {
      assert.deepEqual(await source.read(start, end), whole.subarray(start, end));
    }
  }
});

Deno.test("transposed() and shifted() give any byte range, and read again after a failure", async () => {
  const data = Float32Array.from({ length: 6 }, (_, i) => i / 4);
  const stored = fromFloat32("w", [2, 3], data);
  let broken = true;
  const source = {
    ...stored,
    read: (start: number, end: number) =>
      broken ? Promise.reject(new Error("gone")) : stored.read(start, end),
  };
  const cases = [
    [transposed(source), [3, 2], [0, 0.75, 0.25, 1, 0.5, 1.25]],
    [shifted(source, -1), [2, 3], [-1, -0.75, -0.5, -0.25, 0, 0.25]],
  ] as const;
  for (const [tensor, shape, values] of cases) {
    broken = true;
    await assert.rejects(tensor.read(0, 4), /^Error: gone$/);
    broken = false;
    assert.deepEqual(tensor.shape, shape);
    const whole = new Uint8Array(Float32Array.from(values).buffer);
    for (let start = 0; start <= whole.length; start += 3) {
      for (let end = start; end <= whole.length; end += 3) {
        assert.deepEqual(await tensor.read(start, end), whole.subarray(start, end));
      }
    }
  }
  const packed = { ...stored, encoding: "q8_0" } as const;
  assert.throws(() => transposed(packed), /^RangeError: Cannot transpose w as it must be a matrix/);
  assert.throws(() => shifted(packed, 1), /^RangeError: Cannot read w as a norm's weight must be/);
});

Deno.test("openSafetensors() refuses headers that contradict the file", async () => {
  const entry = (over: object) => ({ dtype: "F32", shape: [2], data_offsets: [0, 8], ...over });
  const file = (header: object, dataBytes: number) => {
    const json = new TextEncoder().encode(JSON.stringify(header));
    const bytes = new Uint8Array(8 + json.length + dataBytes);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
    bytes.set(json, 8);
    return bytesSource("m.safetensors", bytes);
  };
  const cases: readonly (readonly [object, number, RegExp])[] = [
    [{ a: entry({ shape: [3] }) }, 8, /a of type F32 and shape \[3\] must take 12 bytes: 8$/],
    [{ a: entry({}) }, 4, /a must lie within the 4 bytes of data: it ends at 8$/],
    [{ a: entry({}), b: entry({}) }, 8, /its tensors must not overlap: a and b$/],
    [{ a: entry({}) }, 12, /must cover its 12 bytes of data \(is it cut short\?\): 8$/],
    [{ a: entry({ dtype: "F31" }) }, 8, /the type of a must be known: "F31"$/],
    [{ a: entry({ shape: [-2] }) }, 8, /the shape of a must be a list of sizes: \[-2\]$/],
    [{ a: entry({ data_offsets: [8, 0] }) }, 8, /must take 8 bytes: -8$/],
    [{ a: 3 }, 8, /the shape of a must be a list of sizes: none$/],
  ];
  for (const [header, dataBytes, message] of cases) {
    await assert.rejects(openSafetensors(file(header, dataBytes)), (error: Error) => {
      assert.ok(error instanceof SyntaxError);
      assert.match(error.message, /^Cannot read m\.safetensors as /);
      assert.match(error.message, message);
      return true;
    });
  }
  const long = new Uint8Array(16);
  long.fill(255, 0, 8);
  await assert.rejects(
    openSafetensors(bytesSource("m.safetensors", long)),
    /SyntaxError: Cannot read m.safetensors as its header must fit into its 16 bytes/,
  );
});

Deno.test("openCheckpoint() names what it does not support", async () => {
  const json = configToHuggingFace(tinyConfig);
  const cases: readonly (readonly [object, RegExp])[] = [
    [
      { model_type: "mamba" },
      /^RangeError: Cannot open the model as its architecture in config.json must be one of llama, mistral, qwen2, qwen3, gemma2, gemma3_text, gpt2: "mamba"$/,
    ],
    [
      { rope_scaling: { rope_type: "longrope" } },
      /rope_scaling in config.json is not supported yet: "longrope"$/,
    ],
    [
      { rope_parameters: { rope_type: "llama3" }, rope_scaling: undefined },
      /^TypeError: Cannot read config.json's rope scaling as factor must be a number: none$/,
    ],
    [
      { rope_scaling: { type: "linear", factor: -1 } },
      /factor of the rotary scaling must be a positive number: -1$/,
    ],
    [{ partial_rotary_factor: 0.5 }, /partial_rotary_factor/],
    [{ model_type: "gpt2", n_embd: 8, n_head: 2, scale_attn_weights: false }, /scale_attn_weights/],
    // No other family's program in transformers caps anything.
    [
      { attn_logit_softcapping: 50 },
      /^RangeError: Cannot open the model as attn_logit_softcapping in config.json is not supported yet: 50$/,
    ],
    [{ model_type: "qwen3", final_logit_softcapping: 30 }, /final_logit_softcapping/],
    [
      { model_type: "gemma2", attn_logit_softcapping: -1 },
      /the cap of the scores must be a positive number: -1$/,
    ],
    [
      { model_type: "qwen2", use_sliding_window: true, layer_types: ["chunked_attention"] },
      /layer_types in config.json is not supported yet: "chunked_attention"$/,
    ],
    [
      { model_type: "mistral", sliding_window: 0 },
      /the sliding window must be a whole number from 1/,
    ],
    [{ sliding_window: 4096 }, /sliding_window/],
    [{ hidden_act: "relu" }, /hidden_act in config.json is not supported yet: "relu"$/],
    [{ quantization_config: {} }, /quantization_config/],
    [{ num_key_value_heads: 3 }, /2 heads must be a multiple of the key-value heads: 3$/],
    [{ vocab_size: -1 }, /the vocabulary size must be a whole number from 1/],
    [{ hidden_size: "8" }, /^TypeError: Cannot read config.json as hidden_size must be a number/],
  ];
  for (const [over, message] of cases) {
    assert.throws(() => configFromHuggingFace({ ...json, ...over }), message);
  }
  const gguf = (over: Parameters<typeof tinyGguf>[0]) =>
    openCheckpoint(sources({ "m.gguf": tinyGguf(over) }));
  await assert.rejects(
    gguf({ "general.architecture": "mamba" }),
    /must be one of llama, qwen2, qwen3, gemma2, gemma3, gpt2: "mamba"$/,
  );
  await assert.rejects(
    gguf({ "llama.rope.scaling.type": "longrope" }),
    /is not supported yet: "longrope"$/,
  );
  await assert.rejects(
    gguf({
      "llama.rope.scaling.type": "yarn",
      "llama.rope.scaling.factor": 4,
      "llama.rope.scaling.yarn_attn_factor": 2,
    }),
    /yarn_attn_factor in m.gguf's metadata is not supported yet: 2$/,
  );
  await assert.rejects(gguf({ "llama.expert_count": 8 }), /expert_count/);
  await assert.rejects(
    gguf({ "llama.attn_logit_softcapping": 50 }),
    /^RangeError: Cannot open the model as llama.attn_logit_softcapping in m.gguf's metadata is not supported yet: 50$/,
  );
  await assert.rejects(gguf({ "llama.final_logit_softcapping": 30 }), /final_logit_softcapping/);
  await assert.rejects(openCheckpoint({}), /^Error: Cannot open the checkpoint as it must have/);
});

Deno.test("openCheckpoint() names a tensor that is absent, misshapen or superfluous", async () => {
  const files = tinyCheckpoint();
  const open = (change: (tensors: ReturnType<typeof countingTensors>) => void) => {
    const tensors = countingTensors(tinyConfig);
    change(tensors);
    return openCheckpoint(sources({ ...files, "model.safetensors": writeSafetensors(tensors) }));
  };
  await assert.rejects(
    open((tensors) => tensors.delete("model.norm.weight")),
    /must have the tensor model.norm.weight: it has not$/,
  );
  await assert.rejects(
    open((tensors) =>
      tensors.set("model.norm.weight", { shape: [4, 2], data: new Float32Array(8) })
    ),
    /model.norm.weight must have shape \[8\]: \[4, 2\]$/,
  );
  await assert.rejects(
    open((tensors) => tensors.set("model.extra", { shape: [1], data: new Float32Array(1) })),
    /every tensor must be part of the model: model.extra is not$/,
  );
  // Tied weights are sometimes stored twice; the copy is left alone.
  const checkpoint = await open((tensors) =>
    tensors.set("lm_head.weight", tensors.get("model.embed_tokens.weight")!)
  );
  assert.ok(!checkpoint.tensors.has("lm_head.weight"));
});

Deno.test("httpSource() reads ranges and refuses servers that do not serve them", async () => {
  const file = tinyGguf();
  let ranges = true;
  const handler = (request: Request) => {
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("range") ?? "");
    if (!ranges || !match) return new Response(file.slice());
    const [start, end] = [Number(match[1]), Number(match[2])];
    return new Response(file.slice(start, end + 1), {
      status: 206,
      headers: { "content-range": `bytes ${start}-${end}/${file.length}` },
    });
  };
  const answer = (url: string, init: RequestInit) =>
    Promise.resolve(handler(new Request(url, init)));
  const url = "http://localhost/models/tiny.gguf";
  const source = await httpSource(url, { fetch: answer });
  assert.equal(source.name, "tiny.gguf");
  assert.equal(source.size, file.length);
  assert.deepEqual(await source.read(3, 10), file.slice(3, 13));
  const { tensors } = await openCheckpoint({ "tiny.gguf": source });
  assert.equal(tensors.size, countingTensors(tinyConfig).size);
  ranges = false;
  await assert.rejects(
    httpSource(url, { fetch: answer }),
    /^Error: Cannot read tiny.gguf as the server must answer range requests with status 206: 200$/,
  );
});

Deno.test("read() of a byte source ends with the signal's reason when it was aborted", async () => {
  const source = bytesSource("b", new Uint8Array(4));
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(source.read(0, 4, { signal }), /^Error: enough$/);
});
