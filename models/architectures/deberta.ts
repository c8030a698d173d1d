/**
 * DeBERTa-v2 and v3 as a tensor program: an encoder whose attention has, beside content to content,
 * terms of content to distance and distance to content (He et al. 2021, arXiv:2006.03654 and
 * arXiv:2111.09543).
 *
 *     score(i, j) = (q_i · k_j + q_i · kʳ[δ(i, j)] + k_j · qʳ[δ(i, j)]) / √(D · (1 + terms))
 *
 * kʳ and qʳ are the projected embeddings of distances, one row for each of 2 · span buckets, and δ is
 * {@linkcode distanceRow} of i − j. transformers computes products with all rows and gathers T × T
 * of them per head. Here positions are cut into blocks; a block is multiplied with the rows of the
 * distances it meets, in order, and the result skewed, which is contiguous copies.
 *
 * Source of names and numbers: transformers `models/deberta_v2/modeling_deberta_v2.py`.
 *
 * @module
 */

import { type Dim, product, type ProgramBuilder, type Value } from "../../graph/mod.ts";
import type { DebertaConfig } from "./deberta_config.ts";
import { selectRows } from "./decoder.ts";
import { WEIGHTS } from "./layout.ts";

/** Inputs of an encoder's program, declared by {@linkcode debertaInputs}. */
export interface DebertaInputs {
  /** int32 [B, T], T = blocks · rows; rows padded at the end. */
  readonly ids: Value;
  /** int32 [B]: tokens of each row that are real. */
  readonly lengths: Value;
  /** int32 [places · B], positions in the flattened [B · T] whose hidden states are wanted. */
  readonly selected: Value;
  /** int32 [blocks, T + rows], of `distanceWindows`. */
  readonly queryWindows: Value;
  /** int32 [blocks, T + rows], of `distanceWindows`. */
  readonly keyWindows: Value;
}

/** Declares, for so many places a row, the inputs `ids`, `lengths`, `selected`, `query_windows` and `key_windows`. */
export function debertaInputs(g: ProgramBuilder, places: number): DebertaInputs {
  const windows = (name: string) => g.input(name, "int32", ["blocks", "window"]);
  return {
    ids: g.input("ids", "int32", ["batch", product("blocks", "rows")]),
    lengths: g.input("lengths", "int32", ["batch"]),
    selected: g.input("selected", "int32", [product(places, "batch")]),
    queryWindows: windows("query_windows"),
    keyWindows: windows("key_windows"),
  };
}

/**
 * Final hidden states of the selected positions. In the last block, what follows attention is computed
 * at those alone.
 *
 * @returns float32 [places · B, hiddenSize].
 */
export function debertaHidden(
  g: ProgramBuilder,
  config: DebertaConfig,
  inputs: DebertaInputs,
): Value {
  const { hiddenSize, intermediateSize, layers, span } = config;
  const weight = (name: string, shape: readonly number[]) => g.parameter(WEIGHTS, name, shape);
  const linear = (path: string, x: Value, outputs: number): Value =>
    g.linear(x, weight(`${path}.weight`, [outputs, x.shape.at(-1) as number]), {
      bias: weight(`${path}.bias`, [outputs]),
    });
  const norm = (path: string, x: Value): Value =>
    g.layerNorm(
      x,
      weight(`${path}.weight`, [hiddenSize]),
      weight(`${path}.bias`, [hiddenSize]),
      config.normEps,
    );

  const table = weight("encoder.rel_embeddings.weight", [2 * span, hiddenSize]);
  const distances = config.normRelative ? norm("encoder.LayerNorm", table) : table;
  let x = norm("embeddings.LayerNorm", embeddings(g, config, inputs.ids)); // [B, T, hidden]
  for (let layer = 0; layer < layers; layer++) {
    const block = `encoder.layer.${layer}`;
    const projection = (name: string) => (of: Value) =>
      linear(`${block}.attention.self.${name}`, of, hiddenSize);
    let mixed = disentangled(g, config, inputs, x, distances, projection);
    if (layer === layers - 1) {
      mixed = selectRows(g, mixed, inputs.selected);
      x = selectRows(g, x, inputs.selected);
    }
    const attended = norm(
      `${block}.attention.output.LayerNorm`,
      g.add(linear(`${block}.attention.output.dense`, mixed, hiddenSize), x),
    );
    const wide = g.gelu(
      linear(`${block}.intermediate.dense`, attended, intermediateSize),
      config.gelu,
    );
    x = norm(
      `${block}.output.LayerNorm`,
      g.add(linear(`${block}.output.dense`, wide, hiddenSize), attended),
    );
  }
  return x;
}

function embeddings(g: ProgramBuilder, config: DebertaConfig, ids: Value): Value {
  const { hiddenSize, vocabSize, absolutePositions, tokenTypes } = config;
  const table = (name: string, rows: number) =>
    g.parameter(WEIGHTS, `embeddings.${name}.weight`, [rows, hiddenSize]);
  let x = g.gather(table("word_embeddings", vocabSize), ids);
  if (absolutePositions > 0) {
    const positions = g.iota([1, ids.shape[1]!], 1);
    x = g.add(x, g.gather(table("position_embeddings", absolutePositions), positions));
  }
  if (tokenTypes > 0) x = g.add(x, g.slice(table("token_type_embeddings", tokenTypes), 0, 0, 1));
  return x;
}

/** Disentangled attention of one block, before its output projection: [B, T, hidden]. */
function disentangled(
  g: ProgramBuilder,
  config: DebertaConfig,
  { lengths, queryWindows, keyWindows }: DebertaInputs,
  x: Value,
  distances: Value,
  projection: (name: string) => (of: Value) => Value,
): Value {
  const { hiddenSize, heads, terms, shareProjections } = config;
  const [batch, time] = x.shape as [Dim, Dim];
  const headDim = hiddenSize / heads;
  const scale = 1 / Math.sqrt(headDim * (1 + terms.length));
  const split = (value: Value) => g.reshape(value, [batch, time, heads, headDim]);
  const query = split(projection("query_proj")(x));
  const key = split(projection("key_proj")(x));
  const value = split(projection("value_proj")(x));
  // Scaled here, where there are few rows and constants fold.
  const projected = (name: string) => g.mul(projection(name)(distances), g.constant(scale));

  const biases: Value[] = [];
  if (terms.includes("c2p")) {
    const keys = projected(shareProjections ? "key_proj" : "pos_key_proj");
    biases.push(byDistance(g, query, keys, queryWindows)); // [B, H, T, T]
  }
  if (terms.includes("p2c")) {
    const queries = projected(shareProjections ? "query_proj" : "pos_query_proj");
    biases.push(g.transpose(byDistance(g, key, queries, keyWindows), [0, 1, 3, 2]));
  }
  const attended = g.attention(query, key, value, {
    scale,
    mask: { kind: "bidirectional" },
    lengths,
    bias: biases.reduce((a, b) => g.add(a, b)),
  });
  return g.reshape(attended, [batch, time, hiddenSize]);
}

/**
 * x_i · table[δ] for each position i and each distance δ to another position j.
 *
 * @param x [B, T, H, D]
 * @param table [2 · span, H · D]
 * @param windows int32 [blocks, T + rows]
 * @returns [B, H, T, T], at (i, j).
 */
function byDistance(g: ProgramBuilder, x: Value, table: Value, windows: Value): Value {
  const [batch, time, heads, size] = x.shape as [Dim, Dim, number, number];
  const [blocks, columns] = windows.shape as [Dim, Dim];
  const cut = product(heads, blocks);
  const rows = g.transpose(
    g.reshape(g.gather(table, windows), [blocks, columns, heads, size]),
    [2, 0, 1, 3],
  );
  const own = g.reshape(g.transpose(x, [0, 2, 1, 3]), [batch, cut, "rows", size]);
  const products = g.matmul(own, g.reshape(rows, [cut, columns, size]), { transposeB: true });
  return g.reshape(g.skew(products, time), [batch, heads, time, time]);
}
