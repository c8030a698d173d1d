/**
 * One set of names and row orders for the tensors of a decoder: those of Hugging Face.
 *
 * Rotary embeddings come in two conventions. Hugging Face rotates the halves of a head against each
 * other (element i with i + d/2); Meta's original, llama2.c and llama.cpp rotate neighbours (2i with
 * 2i + 1). The same model in the other convention has the rows of its query and key projections
 * permuted within each head; {@linkcode halfSplitRows} undoes that as bytes are read.
 *
 * @module
 */

import { encodedByteLength } from "../../graph/encodings.ts";
import { checkByteRange, type TensorSource } from "../../graph/tensor_source.ts";

const GGUF_NAMES: ReadonlyMap<string, string> = new Map([
  ["token_embd.weight", "model.embed_tokens.weight"],
  ["output_norm.weight", "model.norm.weight"],
  ["output.weight", "lm_head.weight"],
]);

const GGUF_BLOCK_NAMES: ReadonlyMap<string, string> = new Map([
  ["attn_norm", "input_layernorm"],
  ["attn_q", "self_attn.q_proj"],
  ["attn_k", "self_attn.k_proj"],
  ["attn_v", "self_attn.v_proj"],
  ["attn_output", "self_attn.o_proj"],
  ["ffn_norm", "post_attention_layernorm"],
  ["ffn_gate", "mlp.gate_proj"],
  ["ffn_up", "mlp.up_proj"],
  ["ffn_down", "mlp.down_proj"],
]);

/**
 * The Hugging Face name of a GGUF tensor; the name itself where it is no tensor of a Llama.
 *
 * @example
 * ```ts
 * import { canonicalName } from "./names.ts";
 * import { strict as assert } from "node:assert";
 *
 * assert.equal(canonicalName("blk.3.attn_q.weight"), "model.layers.3.self_attn.q_proj.weight");
 * ```
 */
export function canonicalName(ggufName: string): string {
  const whole = GGUF_NAMES.get(ggufName);
  if (whole !== undefined) return whole;
  const match = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(ggufName);
  const inner = match && GGUF_BLOCK_NAMES.get(match[2]!);
  return inner ? `model.layers.${match[1]}.${inner}.${match[3]}` : ggufName;
}

/** The same tensor under another name. */
export function renamed(source: TensorSource, name: string): TensorSource {
  return {
    name,
    shape: source.shape,
    encoding: source.encoding,
    byteLength: source.byteLength,
    read: (start, end, options) => source.read(start, end, options),
  };
}

/**
 * A query or key projection with its rows in Hugging Face's order, from one in neighbour order: row
 * j·d/2 + i of a head is row 2i + j of the stored head (j = 0, 1). Rows keep their encoding; a read
 * fetches the heads it touches in one piece.
 *
 * Source: `LlamaModel.permute` in llama.cpp's `convert_hf_to_gguf.py`, inverted.
 *
 * @param source Weight [heads · headDim, in].
 */
export function halfSplitRows(source: TensorSource, headDim: number): TensorSource {
  const [rows = 0, columns = 0] = source.shape;
  if (source.shape.length !== 2 || rows % headDim !== 0) {
    throw new RangeError(
      `Cannot reorder the rows of ${source.name} as they must be whole heads of ${headDim}: [${source.shape}]`,
    );
  }
  const rowBytes = encodedByteLength(source.encoding, columns);
  const headBytes = rowBytes * headDim;
  const half = headDim / 2;
  return {
    name: source.name,
    shape: source.shape,
    encoding: source.encoding,
    byteLength: source.byteLength,
    async read(start, end, options) {
      checkByteRange(source.name, source.byteLength, start, end);
      if (start === end) return new Uint8Array(0);
      const from = Math.floor(start / headBytes) * headBytes;
      const to = Math.ceil(end / headBytes) * headBytes;
      const stored = await source.read(from, to, options);
      const ordered = new Uint8Array(stored.length);
      for (let head = 0; head < stored.length; head += headBytes) {
        for (let row = 0; row < headDim; row++) {
          const storedRow = 2 * (row % half) + Math.floor(row / half);
          const at = head + storedRow * rowBytes;
          ordered.set(stored.subarray(at, at + rowBytes), head + row * rowBytes);
        }
      }
      return ordered.subarray(start - from, end - from);
    },
  };
}
