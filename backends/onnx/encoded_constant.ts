/** The initializers of a constant that stayed encoded. */

import type { Encoding } from "../../graph/encodings.ts";
import { BLOCK, blockFormats } from "./block_formats.ts";
import type { ConstantPort } from "./emit.ts";
import type { GraphEmitter } from "./graph_emitter.ts";
import { ElementType } from "./proto.ts";

/** Makes a constant known to the graph. @returns What it is made of; only what is used is kept. */
export function addEncodedConstant(
  graph: GraphEmitter,
  port: ConstantPort,
  encoding: Encoding,
): ConstantPort[] {
  const { bits, offsets } = blockFormats[encoding]!;
  const [rows, columns] = port.shape as [number, number];
  const blocks = columns / BLOCK;
  const part = (
    name: string,
    of: "quants" | "scales" | "offsets",
    type: ElementType,
    shape: readonly number[],
  ): ConstantPort => ({ ...port, port: `${port.port}#${name}`, shape, part: { of, type } });
  const parts = {
    quants: part("quants", "quants", ElementType.uint8, [rows, blocks, BLOCK * bits / 8]),
    bytes: part("bytes", "quants", ElementType.uint8, [rows, columns * bits / 8]),
    elements: part("elements", "quants", bits === 4 ? ElementType.uint4 : ElementType.uint8, [
      rows,
      columns,
    ]),
    scales: part("scales", "scales", ElementType.float, [rows, blocks]),
    ...(offsets ? { offsets: part("offsets", "offsets", ElementType.float, [rows, blocks]) } : {}),
  };
  graph.encoded.set(port.port, {
    bits,
    rows,
    columns,
    quants: parts.quants.port,
    bytes: parts.bytes.port,
    elements: parts.elements.port,
    scales: parts.scales.port,
    ...(parts.offsets ? { offsets: parts.offsets.port } : {}),
  });
  return Object.values(parts);
}
