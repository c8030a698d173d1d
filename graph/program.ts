/**
 * Tensor programs: a typed list of equations over a closed set of primitives.
 *
 * A program is plain data. It has inputs (given at each run), parameters (named tensors that live in
 * a backend's store, grouped in scopes), updates (parameters that hold a new value after the run)
 * and outputs (returned by the run). Nothing in it knows a backend.
 *
 * @module
 */

import type { Shape } from "./dim.ts";

/** Element types. Parameters may be stored in other encodings; a program sees them as `float32`. */
export type DType = "float32" | "int32" | "bool";

/** Type of a value: element type and shape. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A value of a program, defined once: an input, a parameter or a result of an equation. */
export interface Value extends TensorType {
  readonly id: number;
}

/** No attributes. */
export type None = Readonly<Record<never, never>>;

/** Which positions a query may attend to. */
export type Mask =
  /** Position j is visible from i when j ≤ i, and i − j < window where a window is given. */
  | { readonly kind: "causal"; readonly window?: number }
  /** Every position is visible. */
  | { readonly kind: "bidirectional" }
  /**
   * Several continuations of one prompt in one row. With segments s and parents p (int32 [B, T]
   * operands), j is visible from i when j ≤ i and (s_j = s_i or s_j = p_i).
   */
  | { readonly kind: "tree" };

/**
 * Attributes of the simple primitives. Elementwise primitives broadcast as NumPy does (axes aligned
 * from the last; a missing or size-1 axis stretches).
 */
export interface SimpleAttributes {
  /** Literal tensor; `data` in row-major order. */
  constant: {
    readonly dtype: DType;
    readonly shape: readonly number[];
    readonly data: readonly number[];
  };
  /** int32 tensor whose elements are their index along `axis`. */
  iota: { readonly shape: Shape; readonly axis: number };
  neg: None;
  abs: None;
  exp: None;
  log: None;
  sqrt: None;
  tanh: None;
  erf: None;
  sin: None;
  cos: None;
  sigmoid: None;
  /** log(1 + eˣ), without overflow. */
  softplus: None;
  add: None;
  sub: None;
  mul: None;
  div: None;
  maximum: None;
  minimum: None;
  /** a < b, a bool. */
  less: None;
  /** a = b, a bool. */
  equal: None;
  logicalAnd: None;
  logicalOr: None;
  logicalNot: None;
  /** select(condition, whenTrue, whenFalse), broadcasting all three. */
  select: None;
  cast: { readonly dtype: DType };
  /** Identity whose gradient is zero. */
  stopGradient: None;
  /** Broadcast to a shape (axes aligned from the last). */
  broadcast: { readonly shape: Shape };
  reshape: { readonly shape: Shape };
  transpose: { readonly permutation: readonly number[] };
  /** Elements `start` to `end` (exclusive) of one axis of known size. */
  slice: { readonly axis: number; readonly start: number; readonly end: number };
  /** Zeros before and after one axis of known size. */
  pad: { readonly axis: number; readonly before: number; readonly after: number };
  /** Joins along one axis of known sizes. */
  concat: { readonly axis: number };
  /** Sum over axes; `keepDims` leaves them with size 1. */
  reduceSum: { readonly axes: readonly number[]; readonly keepDims: boolean };
  reduceMax: { readonly axes: readonly number[]; readonly keepDims: boolean };
  /** Softmax over the last axis. */
  softmax: None;
  /** log Σ exp over the last axis, which is removed. */
  logSumExp: None;
  /**
   * Matrix product over the last two axes, each optionally transposed first; leading axes are equal,
   * 1 or missing.
   */
  matmul: { readonly transposeA: boolean; readonly transposeB: boolean };
  /** gather(table [V, ...rest], indices int32 [...i]) = table[indices], shape [...i, ...rest]. */
  gather: None;
  /**
   * scatterAdd(values [...i, ...rest], indices int32 [...i]): zeros of shape [size, ...rest] to
   * which each values[i] is added at row indices[i]. The transpose of `gather`.
   */
  scatterAdd: { readonly size: number | string };
}

/** Attributes of the composite primitives: each has a decomposition, and may be lowered natively. */
export interface CompositeAttributes {
  /** x · w / sqrt(mean(x²) + ε) over the last axis. Operands x [..., D], weight [D]. */
  rmsNorm: { readonly epsilon: number };
  /** Operands x [..., D], weight [D], bias [D]. */
  layerNorm: { readonly epsilon: number };
  /**
   * Rotary position embedding, half-split convention (Hugging Face's rotate_half). Operands
   * x [B, T, H, D], cos [B, T, D/2], sin [B, T, D/2]; cos and sin get no gradient.
   */
  rotary: None;
  /** silu(gate) · up. */
  gatedSilu: None;
  /** GELU, exact (`erf`) or by the tanh approximation. */
  gelu: { readonly approximation: "none" | "tanh" };
  /**
   * y = x Wᵀ (+ bias) (+ scale · (x Aᵀ) Bᵀ). Operands x [..., I], weight [O, I], then bias [O] if
   * `bias`, then A [r, I] and B [O, r] if `lora`.
   */
  linear: { readonly bias: boolean; readonly lora?: { readonly scale: number } };
  /**
   * Log-probability of each target under softmax(hidden · Vᵀ), in nats. Operands hidden [N, D],
   * vocabulary [V, D], targets int32 [N]; result [N]. The vocabulary is walked in `chunks` parts; with
   * more than one, logits are computed again for the gradient and never held whole.
   */
  tokenLogProb: { readonly chunks: number };
  /**
   * Scaled dot-product attention with grouped heads. Operands query [B, T, H, D], key and value
   * [B, S, Hkv, D]; then, as declared: lengths int32 [B] (positions ≥ length of a row are invisible);
   * segments and parents int32 [B, T] for a tree mask; bias [B or 1, H, T, S] added to the scaled
   * scores. Result [B, T, H, D]. A query that sees nothing gets zeros.
   */
  attention: {
    readonly scale: number;
    readonly mask: Mask;
    readonly lengths: boolean;
    readonly bias: boolean;
  };
  /**
   * Causal attention over a cache of fixed capacity C. Operands query [B, T, H, D], new key and value
   * [B, T, Hkv, D], cached keys and values [B, Hkv, C, D], past int32 [B] (tokens of a row already in
   * the cache), count int32 [B] (new tokens of a row that are real, 1 ≤ count ≤ T). New token i of a
   * row stands at position past + i. Results: output [B, T, H, D] (rows at or beyond count are
   * undefined), updated keys, updated values (cells at or beyond past + count are undefined, but
   * finite). Either T = 1 or past = 0 in every row. No gradient.
   */
  cachedAttention: { readonly scale: number; readonly window?: number };
}

/** Attributes of each primitive. */
export interface Attributes extends SimpleAttributes, CompositeAttributes {}

/** Name of a simple primitive. */
export type SimplePrimitive = keyof SimpleAttributes;
/** Name of a composite primitive. */
export type CompositePrimitive = keyof CompositeAttributes;
/** Name of a primitive. */
export type Primitive = keyof Attributes;

/** results = primitive(operands; attributes). */
export interface EquationOf<P extends Primitive> {
  readonly primitive: P;
  readonly operands: readonly Value[];
  readonly attributes: Attributes[P];
  readonly results: readonly Value[];
}

/** An equation of any primitive, discriminated by `primitive`. */
export type Equation = { [P in Primitive]: EquationOf<P> }[Primitive];

/** A tensor given at each run. */
export interface Input {
  readonly name: string;
  readonly value: Value;
}

/** A named tensor of a store; `scope` says which of the stores given to a run holds it. */
export interface Parameter {
  readonly scope: string;
  readonly name: string;
  readonly value: Value;
}

/**
 * After the run the parameter holds `next`, whoever read it when: a reader inside the program always
 * sees the old value.
 */
export interface Update {
  readonly scope: string;
  readonly name: string;
  readonly next: Value;
}

/** A tensor returned by a run. */
export interface Output {
  readonly name: string;
  readonly value: Value;
}

/** A tensor program; see the module's text. */
export interface Program {
  readonly name: string;
  readonly inputs: readonly Input[];
  readonly parameters: readonly Parameter[];
  readonly updates: readonly Update[];
  readonly equations: readonly Equation[];
  readonly outputs: readonly Output[];
}
