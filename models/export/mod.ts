/**
 * Models for other programs: Hugging Face folders, GGUF files, the weights of ONNX models; with an
 * adapter merged into them as they are written.
 *
 * @module
 */

export * from "./byte_stream.ts";
export * from "./external_data.ts";
export * from "./gguf.ts";
export * from "./gguf_model.ts";
export * from "./gguf_tokenizer.ts";
export * from "./huggingface.ts";
export * from "./merged.ts";
export * from "./safetensors.ts";
