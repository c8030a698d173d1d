/**
 * Tensor programs: primitives, shapes, gradients and a float64 interpreter. Pure: no I/O, no packages,
 * no permission needed.
 *
 * @module
 */

export { INVISIBLE } from "./attention.ts";
export * from "./backend.ts";
export * from "./bind_sizes.ts";
export type { BlockFormat } from "./block_formats.ts";
export * from "./builder.ts";
export {
  decompose,
  decomposeEquation,
  type Decomposition,
  decompositions,
  isComposite,
} from "./decompose.ts";
export * from "./device.ts";
export { deviceBackend } from "./device_backend.ts";
export * from "./dim.ts";
export * from "./encodings.ts";
export type { Float64Tensor } from "./float64.ts";
export * from "./gradient.ts";
export * from "./interpret.ts";
export { peakBytes } from "./peak_bytes.ts";
export * from "./program.ts";
export * from "./reference_backend.ts";
export * from "./rewrite.ts";
export * from "./shape_rules.ts";
export * from "./simplify.ts";
export { type SoftCapped, softCapped } from "./soft_cap.ts";
export { type PiecedTensor, splitDevice } from "./split_device.ts";
export { type PieceRows, splitParameters } from "./split_parameters.ts";
export * from "./tensor_source.ts";
export * from "./text.ts";
export type { Contribution, VjpContext, VjpRule } from "./vjp.ts";
