/**
 * The embedded policy: a Llama of 1.3 million parameters that answers short questions about animals,
 * in the repository so that everything can be tried at once and offline.
 *
 * Its answers were sampled from SmolLM2-135M-Instruct (Apache-2.0) and it was trained on them by this
 * toolkit; the recipe is `examples/embedded_policy/`. It knows nothing else, and says wrong things
 * about animals in plain English.
 *
 * @module
 */

import { bytesSource } from "../checkpoints/byte_source.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoints/open.ts";

const FILES = [
  "config.json",
  "model.safetensors",
  "tokenizer.json",
  "tokenizer_config.json",
] as const;

/**
 * Opens the embedded policy's checkpoint.
 *
 * @throws {TypeError} When a file cannot be fetched from where this module came from.
 */
export async function openEmbeddedPolicy(): Promise<Checkpoint> {
  const files = await Promise.all(FILES.map(async (name) => {
    const response = await fetch(new URL(`files/${name}`, import.meta.url));
    if (!response.ok) {
      throw new TypeError(
        `Cannot open the embedded policy as ${name} must be there: status ${response.status}`,
      );
    }
    return [name, bytesSource(name, new Uint8Array(await response.arrayBuffer()))] as const;
  }));
  return await openCheckpoint(Object.fromEntries(files));
}
