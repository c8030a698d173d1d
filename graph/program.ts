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
  /** Element type. */
  readonly dtype: DType;
  /** Sizes or names of sizes, outermost axis first. */
  readonly shape: Shape;
}

/** A value of a program, defined once: an input, a parameter or a result of an equation. */
export interface Value extends TensorType {
  /** Unique in its program. */
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
  /** −x */
  neg: None;
  /** |x| */
  abs: None;
  /** eˣ */
  exp: None;
  /** Natural logarithm. */
  log: None;
  /** √x */
  sqrt: None;
  /** Hyperbolic tangent. */
  tanh: None;
  /** Error function. */
  erf: None;
  /** Sine. */
  sin: None;
  /** Cosine. */
  cos: None;
  /** 1 / (1 + e⁻ˣ) */
  sigmoid: None;
  /** log(1 + eˣ), without overflow. */
  softplus: None;
  /** a + b */
  add: None;
  /** a − b */
  sub: None;
  /** a · b */
  mul: None;
  /** a / b; of int32, the quotient cut toward zero. */
  div: None;
  /** The larger of a and b. */
  maximum: None;
  /** The smaller of a and b. */
  minimum: None;
  /** a < b, a bool. */
  less: None;
  /** a = b, a bool. */
  equal: None;
  /** a ∧ b */
  logicalAnd: None;
  /** a ∨ b */
  logicalOr: None;
  /** ¬a */
  logicalNot: None;
  /** select(condition, whenTrue, whenFalse), broadcasting all three. */
  select: None;
  /** To another element type; float32 to int32 cuts toward zero, what is not 0 is true. */
  cast: { readonly dtype: DType };
  /** Identity whose gradient is zero. */
  stopGradient: None;
  /** Broadcast to a shape (axes aligned from the last). */
  broadcast: { readonly shape: Shape };
  /** The same elements, row-major, in another shape. */
  reshape: { readonly shape: Shape };
  /** Axis i of the result is axis permutation[i] of the operand. */
  transpose: { readonly permutation: readonly number[] };
  /** Elements `start` to `end` (exclusive) of one axis of known size. */
  slice: { readonly axis: number; readonly start: number; readonly end: number };
  /** Zeros before and after one axis of known size. */
  pad: { readonly axis: number; readonly before: number; readonly after: number };
  /** Joins along one axis of known sizes. */
  concat: { readonly axis: number };
  /** Sum over axes; `keepDims` leaves them with size 1. */
  reduceSum: { readonly axes: readonly number[]; readonly keepDims: boolean };
  /** Maximum over axes; `keepDims` leaves them with size 1. */
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
   * vocabulary [V, D], targets int32 [N]; result [N]. The vocabulary is walked in `chunks` parts, so
   * that logits are never held whole; with more than one, its own gradient computes them again.
   * With a `logitCap` c the logits are c · tanh(hidden · Vᵀ / c).
   */
  tokenLogProb: { readonly chunks: number; readonly logitCap?: number };
  /**
   * Moves rows and adds them up: result[m] = Σ x[from[m, c]] over the c with from[m, c] ≥ 0. Operands
   * x [N, ...rest], from int32 [M, C], to int32 [N, D]; result [M, ...rest]. `to` says the same from
   * the other side: n stands in row m of `from` as often as m stands in row n of `to`. That is not
   * checked; the gradient moves rows by `to`, where that of `gather` would have to scatter them.
   */
  regroup: None;
  /**
   * Scaled dot-product attention with grouped heads. Operands query [B, T, H, D], key and value
   * [B, S, Hkv, D]; then, as declared: lengths int32 [B] (positions ≥ length of a row are invisible);
   * segments and parents int32 [B, T] for a tree mask; bias [B or 1, H or 1, T, S] added to the
   * scaled scores. Result [B, T, H, D]. A query that sees nothing gets zeros. With a `scoreCap` c the
   * scaled scores are c · tanh(s / c), before mask and bias.
   */
  attention: {
    readonly scale: number;
    readonly scoreCap?: number;
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
   * finite). Either T = 1 or past = 0 in every row. No gradient. `scoreCap` as in `attention`.
   */
  cachedAttention: {
    readonly scale: number;
    readonly scoreCap?: number;
    readonly window?: number;
  };
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
  /** What is computed. */
  readonly primitive: P;
  /** Values it is computed from. */
  readonly operands: readonly Value[];
  /** What else it depends on. */
  readonly attributes: Attributes[P];
  /** Values it defines. */
  readonly results: readonly Value[];
}

/** An equation of any primitive, discriminated by `primitive`. */
export type Equation = { [P in Primitive]: EquationOf<P> }[Primitive];

/** A tensor given at each run. */
export interface Input {
  /** Name given to a run. */
  readonly name: string;
  /** What it defines. */
  readonly value: Value;
}

/** A named tensor of a store; `scope` says which of the stores given to a run holds it. */
export interface Parameter {
  /** Name of the store. */
  readonly scope: string;
  /** Name of the tensor in its store. */
  readonly name: string;
  /** What it defines. */
  readonly value: Value;
}

/**
 * After the run the parameter holds `next`, whoever read it when: a reader inside the program always
 * sees the old value.
 */
export interface Update {
  /** Name of the store. */
  readonly scope: string;
  /** Name of the tensor in its store. */
  readonly name: string;
  /** Its value after the run. */
  readonly next: Value;
}

/** A tensor returned by a run. */
export interface Output {
  /** Name given by a run. */
  readonly name: string;
  /** What is returned. */
  readonly value: Value;
}

/** A tensor program; see the module's text. */
export interface Program {
  /** For messages and profiles. */
  readonly name: string;
  /** Given at each run. */
  readonly inputs: readonly Input[];
  /** Read from stores. */
  readonly parameters: readonly Parameter[];
  /** Written to stores. */
  readonly updates: readonly Update[];
  /** In an order in which each operand is defined before its use. */
  readonly equations: readonly Equation[];
  /** Returned by each run. */
  readonly outputs: readonly Output[];
}
