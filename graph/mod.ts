/**
 * Tensor programs: primitives, shapes, gradients and a float64 interpreter. Pure: no I/O, no packages,
 * no permission needed.
 *
 * @module
 */

export * from "./backend.ts";
export * from "./builder.ts";
export * from "./dim.ts";
export * from "./encodings.ts";
export * from "./program.ts";
export * from "./shape_rules.ts";
export * from "./tensor_source.ts";
