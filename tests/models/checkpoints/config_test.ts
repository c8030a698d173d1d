// What is read of the config.json of published models, whose fields are copied here.

import assert from "node:assert/strict";
import { configFromHuggingFace, configToHuggingFace } from "../../../models/mod.ts";
import { configFromGguf } from "../../../models/checkpoints/gguf_config.ts";

const gemma2 = {
  model_type: "gemma2",
  attention_bias: false,
  attn_logit_softcapping: 50.0,
  bos_token_id: 2,
  eos_token_id: [1, 107],
  final_logit_softcapping: 30.0,
  head_dim: 128,
  hidden_act: "gelu_pytorch_tanh",
  hidden_activation: "gelu_pytorch_tanh",
  hidden_size: 4608,
  intermediate_size: 36864,
  max_position_embeddings: 8192,
  num_attention_heads: 32,
  num_hidden_layers: 46,
  num_key_value_heads: 16,
  query_pre_attn_scalar: 144,
  rms_norm_eps: 1e-6,
  rope_theta: 10000.0,
  sliding_window: 4096,
  vocab_size: 256000,
};

Deno.test("configFromHuggingFace() finds the caps and every other window of gemma-2-27b-it", () => {
  const config = configFromHuggingFace(gemma2);
  assert.equal(config.scoreCap, 50);
  assert.equal(config.logitCap, 30);
  assert.equal(config.scoreScale, 1 / 12);
  assert.deepEqual(config.windows, Array(23).fill([4096, null]).flat());
  assert.deepEqual(config.positions, { kind: "rotary", theta: 1e4 });
  assert.equal(config.activation, "gelu_tanh");
  assert.equal(config.tieWordEmbeddings, true);
});

Deno.test("configFromGguf() takes llama.cpp's caps, windows and scale of Gemma 2 where none are said", async () => {
  const sizes = {
    block_count: 46,
    context_length: 8192,
    embedding_length: 4608,
    feed_forward_length: 36864,
    vocab_size: 256000,
    "attention.head_count": 32,
    "attention.head_count_kv": 16,
    "attention.key_length": 128,
    "attention.value_length": 128,
    "attention.layer_norm_rms_epsilon": Math.fround(1e-6),
  };
  const open = (more: Readonly<Record<string, number>>) =>
    configFromGguf({
      version: 3,
      metadata: new Map<string, string | number>([
        ["general.architecture", "gemma2"],
        ...Object.entries({ ...sizes, ...more }).map(([key, value]) =>
          [`gemma2.${key}`, value] as const
        ),
      ]),
      tensors: new Map(),
    }, "g.gguf");
  const { bosTokenId: _, eosTokenIds: __, ...expected } = configFromHuggingFace(gemma2);
  assert.deepEqual(await open({}), { ...expected, eosTokenIds: [] });
  const other = await open({ attn_logit_softcapping: 0, final_logit_softcapping: 12.5 });
  assert.deepEqual([other.scoreCap, other.logitCap], [undefined, 12.5]);
});

Deno.test("configFromHuggingFace() takes Gemma 2's own caps where none are said, and none for null", () => {
  const { attn_logit_softcapping: _, ...silent } = gemma2;
  const config = configFromHuggingFace({ ...silent, final_logit_softcapping: null });
  assert.equal(config.scoreCap, 50);
  assert.equal(config.logitCap, undefined);
  const gemma3 = { ...silent, model_type: "gemma3_text", final_logit_softcapping: 20 };
  const capped = configFromHuggingFace(gemma3);
  assert.equal(capped.scoreCap, undefined);
  assert.equal(capped.logitCap, 20);
  for (const one of [config, capped]) {
    assert.deepEqual(configFromHuggingFace(configToHuggingFace(one)), one);
  }
});

Deno.test("configFromHuggingFace() finds the windows and both rotary bases of gemma-3-1b-it", () => {
  const config = configFromHuggingFace({
    model_type: "gemma3_text",
    attention_bias: false,
    attn_logit_softcapping: null,
    bos_token_id: 2,
    eos_token_id: [1, 106],
    final_logit_softcapping: null,
    head_dim: 256,
    hidden_activation: "gelu_pytorch_tanh",
    hidden_size: 1152,
    intermediate_size: 6912,
    max_position_embeddings: 32768,
    num_attention_heads: 4,
    num_hidden_layers: 26,
    num_key_value_heads: 1,
    query_pre_attn_scalar: 256,
    rms_norm_eps: 1e-6,
    rope_local_base_freq: 10000,
    rope_scaling: null,
    rope_theta: 1000000,
    sliding_window: 512,
    sliding_window_pattern: 6,
    vocab_size: 262144,
  });
  const full = config.windows!.flatMap((window, layer) => window === null ? [layer] : []);
  assert.deepEqual(full, [5, 11, 17, 23]); // every sixth block sees everything
  assert.deepEqual(new Set(config.windows), new Set([512, null]));
  assert.deepEqual(config.positions, { kind: "rotary", theta: 1e6, windowTheta: 1e4 });
  assert.equal(config.scoreScale, 1 / 16);
  assert.equal(config.tieWordEmbeddings, true); // the file does not say
  assert.equal(config.activation, "gelu_tanh");
});

const llama = {
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: "silu",
  num_key_value_heads: 8,
  rms_norm_eps: 1e-5,
};

Deno.test("configFromHuggingFace() finds the scaled frequencies of Llama-3.2-1B", () => {
  const config = configFromHuggingFace({
    ...llama,
    model_type: "llama",
    attention_bias: false,
    head_dim: 64,
    hidden_size: 2048,
    intermediate_size: 8192,
    max_position_embeddings: 131072,
    mlp_bias: false,
    num_attention_heads: 32,
    num_hidden_layers: 16,
    rope_scaling: {
      factor: 32.0,
      high_freq_factor: 4.0,
      low_freq_factor: 1.0,
      original_max_position_embeddings: 8192,
      rope_type: "llama3",
    },
    rope_theta: 500000.0,
    tie_word_embeddings: true,
    vocab_size: 128256,
  });
  assert.deepEqual(config.positions, {
    kind: "rotary",
    theta: 500_000,
    scaling: {
      kind: "llama3",
      factor: 32,
      originalPositions: 8192,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
    },
  });
  assert.equal(config.maxPositions, 131072);
  assert.equal(config.attentionBias, undefined);
});

Deno.test("configFromHuggingFace() finds Qwen2.5's biases, no window, and the length that YaRN reaches", () => {
  const config = configFromHuggingFace({
    ...llama,
    model_type: "qwen2",
    hidden_size: 3584,
    intermediate_size: 18944,
    max_position_embeddings: 32768,
    max_window_layers: 28,
    num_attention_heads: 28,
    num_hidden_layers: 28,
    num_key_value_heads: 4,
    rope_scaling: { factor: 4.0, original_max_position_embeddings: 32768, type: "yarn" },
    rope_theta: 1000000.0,
    sliding_window: 131072,
    tie_word_embeddings: false,
    use_sliding_window: false,
    vocab_size: 152064,
  });
  assert.equal(config.attentionBias, "qkv");
  assert.equal(config.windows, undefined);
  assert.equal(config.headDim, 128);
  assert.equal(config.maxPositions, 131072);
  assert.deepEqual(config.positions, {
    kind: "rotary",
    theta: 1e6,
    scaling: {
      kind: "yarn",
      factor: 4,
      originalPositions: 32768,
      attentionFactor: 0.1 * Math.log(4) + 1,
      betaFast: 32,
      betaSlow: 1,
      truncate: true,
    },
  });
});

Deno.test("configFromHuggingFace() finds a window in Mistral-7B-v0.1 and none in v0.3", () => {
  const mistral = {
    ...llama,
    model_type: "mistral",
    hidden_size: 4096,
    intermediate_size: 14336,
    max_position_embeddings: 32768,
    num_attention_heads: 32,
    num_hidden_layers: 32,
    tie_word_embeddings: false,
    vocab_size: 32000,
  };
  const first = configFromHuggingFace({ ...mistral, sliding_window: 4096, rope_theta: 10000.0 });
  assert.deepEqual(first.windows, Array(32).fill(4096));
  const third = configFromHuggingFace({ ...mistral, sliding_window: null, rope_theta: 1e6 });
  assert.equal(third.windows, undefined);
  assert.equal(third.headDim, 128);
});

Deno.test("configFromHuggingFace() finds GPT-2's sizes under its own names", () => {
  const config = configFromHuggingFace({
    model_type: "gpt2",
    activation_function: "gelu_new",
    bos_token_id: 50256,
    eos_token_id: 50256,
    layer_norm_epsilon: 1e-5,
    n_ctx: 1024,
    n_embd: 768,
    n_head: 12,
    n_layer: 12,
    n_positions: 1024,
    vocab_size: 50257,
  });
  assert.deepEqual(config, {
    architecture: "gpt2",
    vocabSize: 50257,
    hiddenSize: 768,
    intermediateSize: 3072,
    layers: 12,
    heads: 12,
    kvHeads: 12,
    headDim: 64,
    normEps: 1e-5,
    positions: { kind: "learned" },
    maxPositions: 1024,
    tieWordEmbeddings: true,
    activation: "gelu_tanh",
    bosTokenId: 50256,
    eosTokenIds: [50256],
  });
});
