/**
 * Text: tokenizers, chat templates, and the conventions that turn prompts and responses into token
 * ids.
 *
 * @module
 */

export * from "./chat_template.ts";
export * from "./text_codec.ts";
export * from "./text_template.ts";
export * from "./tokenizer.ts";
export { huggingFaceTokenizer, type JsonObject } from "./huggingface_tokenizer.ts";
