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
 * distances it meets, in order, and of each product the part for the row's own place is read: whole
 * pieces of memory. In the last block, attention is of the wanted places alone.
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
  /** Hidden states wanted of each row. */
  readonly places: number;
  /** int32 [B, T], T = blocks · rows; rows padded at the end. */
  readonly ids: Value;
  /** int32 [B]: tokens of each row that are real. */
  readonly lengths: Value;
  /** int32 [places · B], positions in the flattened [B · T] whose hidden states are wanted. */
  readonly selected: Value;
  /** int32 [places · B, T], of `placeDistances`. */
  readonly selectedDistances: Value;
  /** int32 [heads, blocks, window], rows that blocks of queries meet in a table of all heads. */
  readonly queryWindows: Value;
  /** The same for blocks of keys. */
  readonly keyWindows: Value;
  /** int32 [B · heads · blocks, rows, blocks]: pieces of products, of all blocks of all heads. */
  readonly pieces: Value;
}

/**
 * Declares, for so many places a row, the inputs `ids`, `lengths`, `selected`, `selected_distances` and
 * those of `distanceInputs`.
 */
export function debertaInputs(
  g: ProgramBuilder,
  { heads, span }: DebertaConfig,
  places: number,
): DebertaInputs {
  const time = product("blocks", "rows");
  const chosen = product(places, "batch");
  const ofHead = g.mul(g.iota([heads, 1, 1], 0), g.constant(2 * span, [], "int32"));
  const windows = (name: string) => {
    const rows = g.input(name, "int32", ["blocks", "window"]);
    return g.add(ofHead, g.reshape(rows, [1, "blocks", "window"]));
  };
  const pieces = g.input("pieces", "int32", ["rows", "blocks"]);
  const block = g.iota([product("batch", heads, "blocks"), 1, 1], 0);
  return {
    places,
    ids: g.input("ids", "int32", ["batch", time]),
    lengths: g.input("lengths", "int32", ["batch"]),
    selected: g.input("selected", "int32", [chosen]),
    selectedDistances: g.input("selected_distances", "int32", [chosen, time]),
    queryWindows: windows("query_windows"),
    keyWindows: windows("key_windows"),
    pieces: g.add(
      g.mul(block, g.input("window", "int32", [1])),
      g.reshape(pieces, [1, "rows", "blocks"]),
    ),
  };
}

/**
 * Final hidden states of the selected positions. In the last block, all but keys and values is computed
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
    const last = layer === layers - 1;
    const attend = last ? disentangledAtPlaces : disentangled;
    const mixed = attend(g, config, inputs, x, distances, projection);
    if (last) x = selectRows(g, x, inputs.selected);
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

/** Projections of a block by name. */
type Projection = (name: string) => (of: Value) => Value;

/** 1 / √(D · (1 + terms)). */
function scoreScale({ hiddenSize, heads, terms }: DebertaConfig): number {
  return 1 / Math.sqrt(hiddenSize / heads * (1 + terms.length));
}

/** The projected distances [2 · span, hidden] that meet queries (c2p) and keys (p2c), scaled. */
function distanceTables(
  g: ProgramBuilder,
  config: DebertaConfig,
  distances: Value,
  projection: Projection,
): { readonly keys?: Value; readonly queries?: Value } {
  const { terms, shareProjections } = config;
  // Scaled here, where there are few rows and constants fold.
  const projected = (name: string) =>
    g.mul(
      projection(shareProjections ? name : `pos_${name}`)(distances),
      g.constant(scoreScale(config)),
    );
  return {
    ...(terms.includes("c2p") ? { keys: projected("key_proj") } : {}),
    ...(terms.includes("p2c") ? { queries: projected("query_proj") } : {}),
  };
}

function sum(g: ProgramBuilder, values: readonly Value[]): Value {
  return values.reduce((a, b) => g.add(a, b));
}

/** Disentangled attention of one block, before its output projection: [B, T, hidden]. */
function disentangled(
  g: ProgramBuilder,
  config: DebertaConfig,
  inputs: DebertaInputs,
  x: Value,
  distances: Value,
  projection: Projection,
): Value {
  const { hiddenSize, heads } = config;
  const [batch, time] = x.shape as [Dim, Dim];
  const split = (value: Value) => g.reshape(value, [batch, time, heads, hiddenSize / heads]);
  const query = split(projection("query_proj")(x));
  const key = split(projection("key_proj")(x));
  const value = split(projection("value_proj")(x));
  const { keys, queries } = distanceTables(g, config, distances, projection);
  const biases: Value[] = []; // [B, H, T, T]
  if (keys) biases.push(byDistance(g, query, keys, inputs.queryWindows, inputs.pieces));
  if (queries) {
    const byKey = byDistance(g, key, queries, inputs.keyWindows, inputs.pieces);
    biases.push(g.transpose(byKey, [0, 1, 3, 2]));
  }
  const attended = g.attention(query, key, value, {
    scale: scoreScale(config),
    mask: { kind: "bidirectional" },
    lengths: inputs.lengths,
    bias: sum(g, biases),
  });
  return g.reshape(attended, [batch, time, hiddenSize]);
}

/**
 * x_i · table[δ] for each position i and each distance δ to another position j.
 *
 * @param x [B, T, H, D]
 * @param table [2 · span, H · D]
 * @returns [B, H, T, T], at (i, j).
 */
function byDistance(
  g: ProgramBuilder,
  x: Value,
  table: Value,
  windows: Value,
  pieces: Value,
): Value {
  const [batch, time, heads, size] = x.shape as [Dim, Dim, number, number];
  const [, blocks, window] = windows.shape as [Dim, Dim, Dim];
  const [all, rows] = pieces.shape as [Dim, Dim];
  const cut = product(heads, blocks);
  const distances = table.shape[0] as number;
  // The heads' tables below each other are a constant, so that what is read lies as it is multiplied.
  const byHead = g.reshape(
    g.transpose(g.reshape(table, [distances, heads, size]), [1, 0, 2]),
    [heads * distances, size],
  );
  const met = g.gather(byHead, windows); // [heads, blocks, window, size]
  const own = g.reshape(g.transpose(x, [0, 2, 1, 3]), [batch, cut, rows, size]);
  const products = g.matmul(own, g.reshape(met, [cut, window, size]), { transposeB: true });
  const inPieces = g.reshape(products, [product(all, window), rows]);
  return g.reshape(g.gather(inPieces, pieces), [batch, heads, time, time]);
}

/** The same attention from the selected positions alone: [places · B, hidden]. */
function disentangledAtPlaces(
  g: ProgramBuilder,
  config: DebertaConfig,
  { places, lengths, selected, selectedDistances }: DebertaInputs,
  x: Value,
  distances: Value,
  projection: Projection,
): Value {
  const { hiddenSize, heads } = config;
  const [batch, time] = x.shape as [Dim, Dim];
  const size = hiddenSize / heads;
  const chosen = selected.shape[0]!;
  const query = projection("query_proj")(selectRows(g, x, selected)); // [places · B, hidden]
  const key = projection("key_proj")(x);
  const value = projection("value_proj")(x);
  const { keys, queries } = distanceTables(g, config, distances, projection);
  const products: Value[] = []; // [places · B, T, hidden]
  if (keys) {
    const met = g.gather(keys, selectedDistances);
    products.push(g.mul(met, g.reshape(query, [chosen, 1, hiddenSize])));
  }
  if (queries) {
    const met = g.reshape(g.gather(queries, selectedDistances), [batch, places, time, hiddenSize]);
    const each = g.mul(met, g.reshape(key, [batch, 1, time, hiddenSize]));
    products.push(g.reshape(each, [chosen, time, hiddenSize]));
  }
  const byHead = g.reduceSum(g.reshape(sum(g, products), [chosen, time, heads, size]), [3]);
  const attended = g.attention(
    g.reshape(query, [batch, places, heads, size]),
    g.reshape(key, [batch, time, heads, size]),
    g.reshape(value, [batch, time, heads, size]),
    {
      scale: scoreScale(config),
      mask: { kind: "bidirectional" },
      lengths,
      bias: g.transpose(g.reshape(byHead, [batch, places, time, heads]), [0, 3, 1, 2]),
    },
  );
  return g.reshape(attended, [chosen, hiddenSize]);
}
