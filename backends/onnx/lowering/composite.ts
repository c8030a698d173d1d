/** Composites for which onnxruntime has a kernel of its own. */

import { INVISIBLE } from "../../../graph/attention.ts";
import { elementCount, type Shape } from "../../../graph/dim.ts";
import { MICROSOFT } from "../graph_emitter.ts";
import { ElementType } from "../proto.ts";
import type { Lowerings } from "./lowering.ts";
import { counting } from "./shaping.ts";

type Native =
  | "rmsNorm"
  | "layerNorm"
  | "rotary"
  | "gatedSilu"
  | "gelu"
  | "attention"
  | "cachedAttention";

/** [B, T, heads · D] of [B, T, heads, D]. */
function hidden([batch, time, ...rest]: Shape): Shape {
  return [batch!, time!, elementCount(rest)];
}

/** Native kernels. */
export const composite: Lowerings<Native> = {
  rmsNorm(graph, { attributes: { epsilon } }, { operands, results }) {
    graph.node("SimplifiedLayerNormalization", operands, {
      results,
      attributes: { axis: -1, epsilon: { float: epsilon }, stash_type: 1 },
    });
  },
  layerNorm(graph, { attributes: { epsilon } }, { operands, results }) {
    graph.node("LayerNormalization", operands, {
      results,
      attributes: { axis: -1, epsilon: { float: epsilon } },
    });
  },
  /** The angles of each token of the batch are its row of the cache: positions count rows. */
  rotary(graph, { operands: [x, cos] }, { operands, results }) {
    const [batch, time, heads, size] = x!.shape as [Shape[0], Shape[0], number, number];
    const rows: Shape = [elementCount([batch!, time!]), size / 2];
    const hidden: Shape = [batch!, time!, heads * size];
    const positions = graph.once(`positions ${batch},${time}`, () => {
      const line = graph.node("Cast", [counting(graph, rows[0]!)], {
        attributes: { to: ElementType.int64 },
      });
      return graph.reshape(line, [rows[0]!], [batch!, time!]);
    });
    const [cosRows, sinRows] = operands.slice(1).map((name) =>
      graph.once(`angles ${name}`, () => graph.reshape(name, cos!.shape, rows))
    ) as [string, string];
    const rotated = graph.node(
      "RotaryEmbedding",
      [graph.reshape(operands[0]!, x!.shape, hidden), positions, cosRows, sinRows],
      { domain: MICROSOFT, attributes: { interleaved: 0 } },
    );
    graph.reshape(rotated, hidden, x!.shape, results[0]!);
  },
  gatedSilu(graph, _, { operands: [gate, up], results }) {
    const silu = graph.node("QuickGelu", [gate!], {
      domain: MICROSOFT,
      attributes: { alpha: { float: 1 } },
    });
    graph.node("Mul", [silu, up!], { results });
  },
  gelu(graph, { attributes: { approximation } }, { operands, results }) {
    graph.node("Gelu", operands, { results, attributes: { approximate: approximation } });
  },
  /** Bidirectional and with lengths; see `isLowered`. The bias is the matrix that the scores are added to. */
  attention(graph, { operands: [query, key], attributes }, { operands, results }) {
    const [batch, , heads] = query!.shape as Shape;
    const flat = (index: number, { shape }: { readonly shape: Shape }) =>
      graph.reshape(operands[index]!, shape, hidden(shape));
    const [lengths, bias = ""] = operands.slice(3) as [string, string?];
    const attended = graph.node(
      "MultiHeadAttention",
      [flat(0, query!), flat(1, key!), flat(2, key!), "", lengths, bias],
      {
        domain: MICROSOFT,
        attributes: {
          num_heads: heads as number,
          scale: { float: attributes.scale },
          mask_filter_value: { float: INVISIBLE },
        },
      },
    );
    // Where nothing is visible it takes the mean of everything; a query that sees nothing gets zeros.
    const sees = graph.once(`sees ${lengths}`, () => {
      const some = graph.node("Greater", [lengths, graph.literal("int32", [], [0])]);
      const factor = graph.node("Cast", [some], { attributes: { to: ElementType.float } });
      return graph.reshape(factor, [batch!], [batch!, 1, 1]);
    });
    const seen = graph.node("Mul", [attended, sees]);
    graph.reshape(seen, hidden(query!.shape), query!.shape, results[0]!);
  },
  /** Several new positions with a past are refused at run time; see `checkPast`. */
  cachedAttention(graph, equation, { operands, results }) {
    const { scale, scoreCap, window } = equation.attributes;
    const [query, key] = equation.operands.map((operand) => operand.shape) as [Shape, Shape];
    const [batch, time] = query as [Shape[0], Shape[0]];
    const flat = (name: string, shape: Shape) =>
      graph.reshape(name, shape, [batch!, time!, elementCount(shape.slice(2))]);
    const [past, count] = operands.slice(5) as [string, string];
    const last = graph.once(
      `last ${past} ${count}`,
      () => graph.node("Sub", [graph.node("Add", [past, count]), graph.literal("int32", [], [1])]),
    );
    const total = graph.once(`total ${past} ${time}`, () => {
      const longest = graph.node("ReduceMax", [past, graph.int64([0])], {
        attributes: { keepdims: 0 },
      });
      return graph.node("Add", [longest, graph.dimScalar(time!)]);
    });
    const output = graph.name("attention");
    graph.node("GroupQueryAttention", [
      flat(operands[0]!, query),
      flat(operands[1]!, key),
      flat(operands[2]!, key),
      operands[3]!,
      operands[4]!,
      last,
      total,
    ], {
      domain: MICROSOFT,
      results: [output, results[1]!, results[2]!],
      attributes: {
        num_heads: query[2] as number,
        kv_num_heads: key[2] as number,
        scale: { float: scale },
        local_window_size: window ?? -1,
        ...(scoreCap === undefined ? {} : { softcap: { float: scoreCap } }),
      },
    });
    graph.reshape(output, [batch!, time!, elementCount(query.slice(2))], query, results[0]!);
  },
};
