/**
 * A tensor's source whose bytes are hashed on their way, so that nothing is read twice.
 *
 * @module
 */

import type { TensorSource } from "../graph/mod.ts";
import type { ContentHash } from "./content_hash.ts";

/** A source under another name, which adds all bytes that are read to a hash. */
export function hashedSource(source: TensorSource, name: string, hash: ContentHash): TensorSource {
  return {
    name,
    shape: source.shape,
    encoding: source.encoding,
    byteLength: source.byteLength,
    ...(source.file ? { file: source.file } : {}),
    async read(start, end, options) {
      const bytes = await source.read(start, end, options);
      hash.add(bytes);
      return bytes;
    },
  };
}
