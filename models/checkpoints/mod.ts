/**
 * Checkpoints: reading and writing models and adapters.
 *
 * @module
 */

export * from "./byte_source.ts";
export * from "./gguf_config.ts";
export { type Gguf, type GgufList, type GgufValue, openGguf } from "./gguf.ts";
export type { GgufStrings } from "./gguf_strings.ts";
export * from "./huggingface_config.ts";
export * from "./names.ts";
export * from "./open.ts";
export * from "./peft.ts";
export {
  type FloatTensor,
  openSafetensors,
  openShardedSafetensors,
  type Safetensors,
  writeSafetensors,
  type WriteSafetensorsOptions,
} from "./safetensors.ts";
export * from "./write.ts";
