/** Matrix products and the composites around them. Operands are never transposed by a node. */

import { type GraphEmitter, MICROSOFT } from "../graph_emitter.ts";
import { encodedProduct, mergedProduct, ownAdapter } from "./encoded.ts";
import type { Lowerings } from "./lowering.ts";

/** Options of {@linkcode product}. */
interface ProductOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly alpha?: number;
  readonly results?: readonly string[];
}

/** alpha · A B, with the transposes done inside the product. */
function product(
  graph: GraphEmitter,
  a: string,
  b: string,
  { transposeA = false, transposeB = false, alpha = 1, results }: ProductOptions,
): string {
  const target = results ? { results } : {};
  if (!transposeA && !transposeB && alpha === 1) return graph.node("MatMul", [a, b], target);
  return graph.node("FusedMatMul", [a, b], {
    domain: MICROSOFT,
    attributes: {
      transA: transposeA ? 1 : 0,
      transB: transposeB ? 1 : 0,
      alpha: { float: alpha },
    },
    ...target,
  });
}

/** Products. */
export const matrix: Lowerings<"matmul" | "linear"> = {
  matmul(graph, { attributes, operands: [left] }, { operands: [a, b], results }) {
    const encoded = graph.encoded.get(b!);
    if (encoded) {
      encodedProduct(graph, a!, left!.shape.length, encoded, results);
      return;
    }
    product(graph, a!, b!, { ...attributes, results });
  },
  linear(graph, equation, { operands, results }) {
    const { attributes: { bias, lora }, operands: [input], results: [value] } = equation;
    const [x, weight] = operands as [string, string];
    const encoded = graph.encoded.get(weight);
    const merged = graph.merged.get(value!.id);
    const [a, b] = operands.slice(bias ? 3 : 2) as [string, string];
    const adapter = merged ? merged.product.adapters?.[merged.index] : encoded &&
      ownAdapter(graph, equation, (value) => operands[equation.operands.indexOf(value)]);
    const addends: string[] = [];
    if (bias) addends.push(operands[2]!);
    if (lora && !adapter) {
      const narrow = product(graph, x, a, { transposeB: true });
      addends.push(product(graph, narrow, b, { transposeB: true, alpha: lora.scale }));
    }
    const target = addends.length === 0 ? results : undefined;
    let sum = merged
      ? mergedProduct(graph, x, input!.shape.length, merged, target)
      : encoded
      ? encodedProduct(graph, x, input!.shape.length, encoded, target, adapter)
      : product(graph, x, weight, { transposeB: true, ...(target ? { results: target } : {}) });
    addends.forEach((addend, index) => {
      const last = index === addends.length - 1;
      sum = graph.node("Add", [sum, addend], last ? { results } : {});
    });
  },
};
