/**
 * Architectures: what a model is as data, its tensors, and its forward pass over a program builder.
 *
 * @module
 */

export * from "./blocks.ts";
export * from "./config.ts";
export * from "./decoder.ts";
export * from "./families.ts";
export * from "./layout.ts";
export * from "./lora.ts";
export * from "./rope.ts";
