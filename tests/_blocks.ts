/** Random matrices in ggml's block encodings. */

import { randomStream } from "../core/mod.ts";
import {
  encodedByteLength,
  encodeFloats,
  type Encoding,
  encodings,
  type TensorSource,
} from "../graph/mod.ts";

/** A matrix [rows, columns] of random blocks with values up to about 0.1; offsets of `q4_1` centre it. */
export function randomBlocks(
  encoding: Encoding,
  name: string,
  shape: readonly [number, number],
): TensorSource {
  const byteLength = encodedByteLength(encoding, shape[0] * shape[1]);
  const random = randomStream(7, encoding, name);
  const bytes = Uint8Array.from({ length: byteLength }, () => Math.floor(random.next() * 256));
  const { blockBytes } = encodings[encoding];
  for (let at = 0; at < byteLength; at += blockBytes) {
    const scale = (0.005 + 0.01 * random.next()) / (encoding === "q8_0" ? 16 : 1);
    bytes.set(encodeFloats("f16", Float32Array.of(scale)), at);
    if (encoding !== "q4_1") continue;
    bytes.set(encodeFloats("f16", Float32Array.of(scale * (random.next() - 8))), at + 2);
  }
  return {
    name,
    shape,
    encoding,
    byteLength,
    read: (start, end) => Promise.resolve(bytes.slice(start, end)),
  };
}
