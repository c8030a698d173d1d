/**
 * The tensors of a decoder: what each is for, its name, which is Hugging Face's, and its shape.
 *
 * A linear layer's weight is [outputs, inputs] here for every family, also for GPT-2, whose
 * checkpoints hold the transpose.
 *
 * @module
 */

import type { DecoderConfig } from "./config.ts";
import { families } from "./families.ts";

/** Scope of the checkpoint's own tensors. */
export const WEIGHTS = "weights";

/** Name and shape of a tensor. */
export interface NamedShape {
  /** Name in its store. */
  readonly name: string;
  /** Sizes, outermost axis first. */
  readonly shape: readonly number[];
}

/**
 * What a linear layer of a block is for. `joined` is query, key and value in one matrix, `output` ends
 * attention, `down` ends the feed-forward layer.
 */
export type LinearRole =
  | "query"
  | "key"
  | "value"
  | "joined"
  | "output"
  | "gate"
  | "up"
  | "down";

/** What a norm of a block is for. */
export type NormRole =
  | "beforeAttention"
  | "afterAttention"
  | "beforeMlp"
  | "afterMlp"
  | "queryHeads"
  | "keyHeads";

/** A linear layer of a block. */
export interface LinearLayer {
  /** Name within its block, without `.weight`. */
  readonly path: string;
  /** O. */
  readonly outputs: number;
  /** I. */
  readonly inputs: number;
  /** Whether a bias [O] is added. */
  readonly bias: boolean;
}

/** A norm of a block. */
export interface NormLayer {
  /** Name within its block, without `.weight`. */
  readonly path: string;
  /** Size of the axis it is over. */
  readonly size: number;
}

/** Where the tensors of a decoder are. */
export interface Layout {
  /** Embedding [V, hidden]. */
  readonly embedding: string;
  /** Table of positions [maxPositions, hidden], where positions are learned. */
  readonly positionTable?: string;
  /** The norm behind the last block. */
  readonly finalNorm: string;
  /** Vocabulary matrix [V, hidden], where it is not the embedding. */
  readonly head: string;
  /** What the blocks' numbers follow. */
  readonly blocks: string;
  /** Linear layers of every block. */
  readonly linear: ReadonlyMap<LinearRole, LinearLayer>;
  /** Norms of every block. */
  readonly norms: ReadonlyMap<NormRole, NormLayer>;
  /** Whether norms have a bias beside their weight. */
  readonly normBias: boolean;
}

/** Where the tensors of a decoder are. */
export function layoutOf(config: DecoderConfig): Layout {
  return families[config.architecture].names === "gpt2" ? gpt2Layout(config) : llamaLayout(config);
}

function llamaLayout(config: DecoderConfig): Layout {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, attentionBias, mlpBias } = config;
  const { headNorms, sandwichNorms, gated, norm } = families[config.architecture];
  const qkv = attentionBias !== undefined;
  const mlp = mlpBias === true;
  const linear = (path: string, outputs: number, inputs: number, bias: boolean): LinearLayer => ({
    path,
    outputs,
    inputs,
    bias,
  });
  return {
    embedding: "model.embed_tokens",
    finalNorm: "model.norm",
    head: "lm_head",
    blocks: "model.layers",
    linear: new Map([
      ["query", linear("self_attn.q_proj", heads * headDim, hiddenSize, qkv)],
      ["key", linear("self_attn.k_proj", kvHeads * headDim, hiddenSize, qkv)],
      ["value", linear("self_attn.v_proj", kvHeads * headDim, hiddenSize, qkv)],
      [
        "output",
        linear("self_attn.o_proj", hiddenSize, heads * headDim, attentionBias === "all"),
      ],
      ...(gated
        ? [["gate", linear("mlp.gate_proj", intermediateSize, hiddenSize, mlp)] as const]
        : []),
      ["up", linear("mlp.up_proj", intermediateSize, hiddenSize, mlp)],
      ["down", linear("mlp.down_proj", hiddenSize, intermediateSize, mlp)],
    ]),
    norms: new Map<NormRole, NormLayer>([
      ["beforeAttention", { path: "input_layernorm", size: hiddenSize }],
      // Where layers are normed behind too, their names move along.
      ...(sandwichNorms
        ? [
          ["afterAttention", { path: "post_attention_layernorm", size: hiddenSize }],
          ["beforeMlp", { path: "pre_feedforward_layernorm", size: hiddenSize }],
          ["afterMlp", { path: "post_feedforward_layernorm", size: hiddenSize }],
        ] as const
        : [["beforeMlp", { path: "post_attention_layernorm", size: hiddenSize }]] as const),
      ...(headNorms
        ? [
          ["queryHeads", { path: "self_attn.q_norm", size: headDim }],
          ["keyHeads", { path: "self_attn.k_norm", size: headDim }],
        ] as const
        : []),
    ]),
    normBias: norm === "layer",
  };
}

function gpt2Layout({ hiddenSize, intermediateSize }: DecoderConfig): Layout {
  const linear = (path: string, outputs: number, inputs: number): LinearLayer => ({
    path,
    outputs,
    inputs,
    bias: true,
  });
  return {
    embedding: "transformer.wte",
    positionTable: "transformer.wpe",
    finalNorm: "transformer.ln_f",
    head: "lm_head",
    blocks: "transformer.h",
    linear: new Map([
      ["joined", linear("attn.c_attn", 3 * hiddenSize, hiddenSize)],
      ["output", linear("attn.c_proj", hiddenSize, hiddenSize)],
      ["up", linear("mlp.c_fc", intermediateSize, hiddenSize)],
      ["down", linear("mlp.c_proj", hiddenSize, intermediateSize)],
    ]),
    norms: new Map([
      ["beforeAttention", { path: "ln_1", size: hiddenSize }],
      ["beforeMlp", { path: "ln_2", size: hiddenSize }],
    ]),
    normBias: true,
  };
}

/**
 * Every tensor that a configuration calls for, with its shape. A model with tied embeddings has no
 * `lm_head.weight`.
 */
export function requiredTensors(config: DecoderConfig): ReadonlyMap<string, readonly number[]> {
  const { vocabSize, hiddenSize, maxPositions } = config;
  const { embedding, positionTable, finalNorm, head, blocks, linear, norms, normBias } = layoutOf(
    config,
  );
  const shapes = new Map<string, readonly number[]>();
  const addNorm = (path: string, size: number) => {
    shapes.set(`${path}.weight`, [size]);
    if (normBias) shapes.set(`${path}.bias`, [size]);
  };
  shapes.set(`${embedding}.weight`, [vocabSize, hiddenSize]);
  if (positionTable) shapes.set(`${positionTable}.weight`, [maxPositions, hiddenSize]);
  for (let layer = 0; layer < config.layers; layer++) {
    const block = `${blocks}.${layer}`;
    for (const { path, size } of norms.values()) addNorm(`${block}.${path}`, size);
    for (const { path, outputs, inputs, bias } of linear.values()) {
      shapes.set(`${block}.${path}.weight`, [outputs, inputs]);
      if (bias) shapes.set(`${block}.${path}.bias`, [outputs]);
    }
  }
  addNorm(finalNorm, hiddenSize);
  if (!config.tieWordEmbeddings) shapes.set(`${head}.weight`, [vocabSize, hiddenSize]);
  return shapes;
}

/** Every tensor of the checkpoint that the programs read. */
export function decoderTensors(config: DecoderConfig): NamedShape[] {
  return [...requiredTensors(config)].map(([name, shape]) => ({ name, shape }));
}
