/**
 * Builds a program equation by equation, with the shape rules applied at each.
 *
 * @module
 */

import { type Dim, equalShapes, formatShape, type Shape } from "./dim.ts";
import type {
  Attributes,
  DType,
  Equation,
  Input,
  Mask,
  Output,
  Parameter,
  Primitive,
  Program,
  Update,
  Value,
} from "./program.ts";
import { checkShape, shapeRules } from "./shape_rules.ts";

/** Optional operands of {@linkcode ProgramBuilder.attention}. */
export interface AttentionOptions {
  /** Factor of the scores, often 1/√D. */
  readonly scale: number;
  /** c: scaled scores s become c · tanh(s / c). */
  readonly scoreCap?: number;
  /** Which positions a query sees. */
  readonly mask: Mask;
  /** int32 [B]: positions at or beyond a row's length are invisible. */
  readonly lengths?: Value;
  /** int32 [B, T], with a tree mask. */
  readonly segments?: Value;
  /** int32 [B, T], with a tree mask. */
  readonly parents?: Value;
  /** [B or 1, H or 1, T, S], added to the scaled scores. */
  readonly bias?: Value;
}

/** Optional operands of {@linkcode ProgramBuilder.linear}. */
export interface LinearOptions {
  /** [O] */
  readonly bias?: Value;
  /** A [r, I] and B [O, r]; the pair adds scale · (x Aᵀ) Bᵀ. */
  readonly lora?: { readonly a: Value; readonly b: Value; readonly scale: number };
}

/** Collects equations; each method adds one and returns its result. */
export class ProgramBuilder {
  readonly #name: string;
  readonly #inputs: Input[] = [];
  readonly #parameters: Parameter[] = [];
  readonly #updates: Update[] = [];
  readonly #equations: Equation[] = [];
  readonly #outputs: Output[] = [];
  #nextId = 0;

  /**
   * Starts an empty program.
   *
   * @param name Name of the program, for messages and profiles.
   */
  constructor(name: string) {
    this.#name = name;
  }

  /** Equations so far, in order. */
  get equations(): readonly Equation[] {
    return this.#equations;
  }

  #value(what: string, dtype: DType, shape: Shape): Value {
    checkShape(what, shape);
    return { id: this.#nextId++, dtype, shape };
  }

  /** A tensor given at each run. */
  input(name: string, dtype: DType, shape: Shape): Value {
    if (this.#inputs.some((input) => input.name === name)) {
      throw new TypeError(`Cannot add the input as its name must be new: ${name}`);
    }
    const value = this.#value(`add the input ${name}`, dtype, shape);
    this.#inputs.push({ name, value });
    return value;
  }

  /** A named tensor of a store, added at its first use and the same value afterwards. */
  parameter(scope: string, name: string, shape: Shape): Value {
    const known = this.#parameters.find((one) => one.scope === scope && one.name === name);
    if (known) {
      if (!equalShapes(known.value.shape, shape)) {
        throw new TypeError(
          `Cannot use the parameter ${scope}/${name} as it must keep its shape ` +
            `${formatShape(known.value.shape)}: ${formatShape(shape)}`,
        );
      }
      return known.value;
    }
    const value = this.#value(`add the parameter ${scope}/${name}`, "float32", shape);
    this.#parameters.push({ scope, name, value });
    return value;
  }

  /** After the run the parameter holds `next`. */
  update(scope: string, name: string, next: Value): void {
    const parameter = this.parameter(scope, name, next.shape);
    if (parameter.dtype !== next.dtype) {
      throw new TypeError(
        `Cannot update ${scope}/${name} as it must stay ${parameter.dtype}: ${next.dtype}`,
      );
    }
    if (this.#updates.some((update) => update.scope === scope && update.name === name)) {
      throw new TypeError(
        `Cannot update ${scope}/${name} as it must be updated once: it is already`,
      );
    }
    this.#updates.push({ scope, name, next });
  }

  /** A tensor returned by a run. */
  output(name: string, value: Value): void {
    if (this.#outputs.some((output) => output.name === name)) {
      throw new TypeError(`Cannot add the output as its name must be new: ${name}`);
    }
    this.#outputs.push({ name, value });
  }

  /** The program so far. */
  build(): Program {
    return {
      name: this.#name,
      inputs: [...this.#inputs],
      parameters: [...this.#parameters],
      updates: [...this.#updates],
      equations: [...this.#equations],
      outputs: [...this.#outputs],
    };
  }

  /**
   * Adds an equation.
   *
   * @throws {TypeError} When the operands do not fit the primitive's shape rule.
   */
  apply<P extends Primitive>(
    primitive: P,
    operands: readonly Value[],
    attributes: Attributes[P],
  ): readonly Value[] {
    const types = shapeRules[primitive](operands, attributes);
    const results = types.map(({ dtype, shape }) =>
      this.#value(`apply ${primitive}`, dtype, shape)
    );
    this.#equations.push(
      { primitive, operands: [...operands], attributes, results } as unknown as Equation,
    );
    return results;
  }

  /**
   * Replaces equations in place. `replacement` is asked of each equation in order; where it adds
   * equations to this builder and returns values, these take the place of the equation and its
   * results keep their identity, so that whoever holds them notices nothing.
   *
   * @throws {TypeError} When a replacement's values differ in type from the results.
   */
  expand(replacement: (equation: Equation) => readonly Value[] | undefined): void {
    for (const equation of this.#equations.splice(0)) {
      const start = this.#equations.length;
      const values = replacement(equation);
      if (values === undefined) {
        this.#equations.push(equation);
        continue;
      }
      const renamed = new Map<number, Value>();
      equation.results.forEach((result, index) => {
        let value = values[index];
        if (value?.dtype !== result.dtype || !equalShapes(value.shape, result.shape)) {
          throw new TypeError(
            `Cannot expand ${equation.primitive} as result ${index} must be ${result.dtype}` +
              `${formatShape(result.shape)}: ${
                value ? value.dtype + formatShape(value.shape) : "missing"
              }`,
          );
        }
        const own = this.#equations.slice(start).some((one) => one.results.includes(value!));
        if (!own || renamed.has(value.id)) {
          value = this.#one("reshape", [value], { shape: value.shape });
        }
        renamed.set(value.id, result);
      });
      const rename = (value: Value): Value => renamed.get(value.id) ?? value;
      for (let at = start; at < this.#equations.length; at++) {
        const one = this.#equations[at]!;
        this.#equations[at] = {
          ...one,
          operands: one.operands.map(rename),
          results: one.results.map(rename),
        } as Equation;
      }
    }
  }

  #one<P extends Primitive>(
    primitive: P,
    operands: readonly Value[],
    attributes: Attributes[P],
  ): Value {
    return this.apply(primitive, operands, attributes)[0]!;
  }

  /** A literal: a number, or `data` in row-major order with its shape. */
  constant(
    data: number | readonly number[],
    shape: readonly number[] = [],
    dtype: DType = "float32",
  ): Value {
    return this.#one("constant", [], {
      dtype,
      shape,
      data: typeof data === "number" ? [data] : data,
    });
  }
  /** int32 index along an axis. */
  iota(shape: Shape, axis: number): Value {
    return this.#one("iota", [], { shape, axis });
  }
  /** −x */
  neg(x: Value): Value {
    return this.#one("neg", [x], {});
  }
  /** |x| */
  abs(x: Value): Value {
    return this.#one("abs", [x], {});
  }
  /** eˣ */
  exp(x: Value): Value {
    return this.#one("exp", [x], {});
  }
  /** Natural logarithm. */
  log(x: Value): Value {
    return this.#one("log", [x], {});
  }
  /** √x */
  sqrt(x: Value): Value {
    return this.#one("sqrt", [x], {});
  }
  /** Hyperbolic tangent. */
  tanh(x: Value): Value {
    return this.#one("tanh", [x], {});
  }
  /** Error function. */
  erf(x: Value): Value {
    return this.#one("erf", [x], {});
  }
  /** Sine. */
  sin(x: Value): Value {
    return this.#one("sin", [x], {});
  }
  /** Cosine. */
  cos(x: Value): Value {
    return this.#one("cos", [x], {});
  }
  /** 1 / (1 + e⁻ˣ) */
  sigmoid(x: Value): Value {
    return this.#one("sigmoid", [x], {});
  }
  /** log(1 + eˣ) */
  softplus(x: Value): Value {
    return this.#one("softplus", [x], {});
  }
  /** a + b, broadcast. */
  add(a: Value, b: Value): Value {
    return this.#one("add", [a, b], {});
  }
  /** a − b, broadcast. */
  sub(a: Value, b: Value): Value {
    return this.#one("sub", [a, b], {});
  }
  /** a · b elementwise, broadcast. */
  mul(a: Value, b: Value): Value {
    return this.#one("mul", [a, b], {});
  }
  /** a / b, broadcast. */
  div(a: Value, b: Value): Value {
    return this.#one("div", [a, b], {});
  }
  /** Elementwise maximum, broadcast. */
  maximum(a: Value, b: Value): Value {
    return this.#one("maximum", [a, b], {});
  }
  /** Elementwise minimum, broadcast. */
  minimum(a: Value, b: Value): Value {
    return this.#one("minimum", [a, b], {});
  }
  /** a < b */
  less(a: Value, b: Value): Value {
    return this.#one("less", [a, b], {});
  }
  /** a = b */
  equal(a: Value, b: Value): Value {
    return this.#one("equal", [a, b], {});
  }
  /** a ∧ b */
  logicalAnd(a: Value, b: Value): Value {
    return this.#one("logicalAnd", [a, b], {});
  }
  /** a ∨ b */
  logicalOr(a: Value, b: Value): Value {
    return this.#one("logicalOr", [a, b], {});
  }
  /** ¬a */
  logicalNot(a: Value): Value {
    return this.#one("logicalNot", [a], {});
  }
  /** condition ? whenTrue : whenFalse, broadcast. */
  select(condition: Value, whenTrue: Value, whenFalse: Value): Value {
    return this.#one("select", [condition, whenTrue, whenFalse], {});
  }
  /** Another element type. */
  cast(x: Value, dtype: DType): Value {
    return x.dtype === dtype ? x : this.#one("cast", [x], { dtype });
  }
  /** x, with gradient zero. */
  stopGradient(x: Value): Value {
    return this.#one("stopGradient", [x], {});
  }
  /** x stretched to a shape. */
  broadcast(x: Value, shape: Shape): Value {
    return equalShapes(x.shape, shape) ? x : this.#one("broadcast", [x], { shape });
  }
  /** The same elements in another shape. */
  reshape(x: Value, shape: Shape): Value {
    return equalShapes(x.shape, shape) ? x : this.#one("reshape", [x], { shape });
  }
  /** Axes in another order. */
  transpose(x: Value, permutation: readonly number[]): Value {
    return this.#one("transpose", [x], { permutation });
  }
  /** Part of one axis. */
  slice(x: Value, axis: number, start: number, end: number): Value {
    return this.#one("slice", [x], { axis, start, end });
  }
  /** Zeros around one axis. */
  pad(x: Value, axis: number, before: number, after: number): Value {
    return this.#one("pad", [x], { axis, before, after });
  }
  /** Joined along one axis. */
  concat(parts: readonly Value[], axis: number): Value {
    return this.#one("concat", parts, { axis });
  }
  /** Sum over axes (all, when not given). */
  reduceSum(x: Value, axes?: readonly number[], keepDims = false): Value {
    return this.#one("reduceSum", [x], { axes: axes ?? x.shape.map((_, axis) => axis), keepDims });
  }
  /** Maximum over axes (all, when not given). */
  reduceMax(x: Value, axes?: readonly number[], keepDims = false): Value {
    return this.#one("reduceMax", [x], { axes: axes ?? x.shape.map((_, axis) => axis), keepDims });
  }
  /** Softmax over the last axis. */
  softmax(x: Value): Value {
    return this.#one("softmax", [x], {});
  }
  /** log Σ exp over the last axis, which is removed. */
  logSumExp(x: Value): Value {
    return this.#one("logSumExp", [x], {});
  }
  /** Matrix product over the last two axes. */
  matmul(
    a: Value,
    b: Value,
    { transposeA = false, transposeB = false }: { transposeA?: boolean; transposeB?: boolean } = {},
  ): Value {
    return this.#one("matmul", [a, b], { transposeA, transposeB });
  }
  /** table[indices] */
  gather(table: Value, indices: Value): Value {
    return this.#one("gather", [table, indices], {});
  }
  /** Zeros of `size` rows, to which values are added at indices. */
  scatterAdd(values: Value, indices: Value, size: Dim): Value {
    return this.#one("scatterAdd", [values, indices], { size });
  }
  /** x · w / sqrt(mean(x²) + ε) */
  rmsNorm(x: Value, weight: Value, epsilon: number): Value {
    return this.#one("rmsNorm", [x, weight], { epsilon });
  }
  /** (x − mean) / sqrt(var + ε) · w + b */
  layerNorm(x: Value, weight: Value, bias: Value, epsilon: number): Value {
    return this.#one("layerNorm", [x, weight, bias], { epsilon });
  }
  /** Rotary position embedding of x [B, T, H, D]. */
  rotary(x: Value, cos: Value, sin: Value): Value {
    return this.#one("rotary", [x, cos, sin], {});
  }
  /** silu(gate) · up */
  gatedSilu(gate: Value, up: Value): Value {
    return this.#one("gatedSilu", [gate, up], {});
  }
  /** GELU. */
  gelu(x: Value, approximation: "none" | "tanh" = "none"): Value {
    return this.#one("gelu", [x], { approximation });
  }
  /** x Wᵀ (+ bias) (+ scale · (x Aᵀ) Bᵀ) */
  linear(x: Value, weight: Value, { bias, lora }: LinearOptions = {}): Value {
    const operands = [x, weight, ...(bias ? [bias] : []), ...(lora ? [lora.a, lora.b] : [])];
    return this.#one("linear", operands, {
      bias: bias !== undefined,
      ...(lora ? { lora: { scale: lora.scale } } : {}),
    });
  }
  /** Log-probability of targets [N] under softmax(hidden [N, D] · vocabularyᵀ); in one chunk by default. */
  tokenLogProb(
    hidden: Value,
    vocabulary: Value,
    targets: Value,
    options: Partial<Attributes["tokenLogProb"]> = {},
  ): Value {
    return this.#one("tokenLogProb", [hidden, vocabulary, targets], { chunks: 1, ...options });
  }
  /** Rows of x [N, ...rest] moved by `from` [M, C] and summed; `to` [N, D] is its transpose. */
  regroup(x: Value, from: Value, to: Value): Value {
    return this.#one("regroup", [x, from, to], {});
  }
  /** Scaled dot-product attention with grouped heads and a declared mask. */
  attention(query: Value, key: Value, value: Value, options: AttentionOptions): Value {
    const { scale, scoreCap, mask, lengths, segments, parents, bias } = options;
    const operands = [query, key, value];
    if (lengths) operands.push(lengths);
    if (mask.kind === "tree") {
      if (!segments || !parents) {
        throw new TypeError(
          "Cannot apply attention as a tree mask must come with segments and parents: missing",
        );
      }
      operands.push(segments, parents);
    }
    if (bias) operands.push(bias);
    return this.#one("attention", operands, {
      scale,
      ...(scoreCap === undefined ? {} : { scoreCap }),
      mask,
      lengths: lengths !== undefined,
      bias: bias !== undefined,
    });
  }
  /** Causal attention over a cache; see {@linkcode CompositeAttributes.cachedAttention}. */
  cachedAttention(
    operands: {
      readonly query: Value;
      readonly key: Value;
      readonly value: Value;
      readonly keys: Value;
      readonly values: Value;
      readonly past: Value;
      readonly count: Value;
    },
    attributes: Attributes["cachedAttention"],
  ): { readonly output: Value; readonly keys: Value; readonly values: Value } {
    const { query, key, value, keys, values, past, count } = operands;
    const results = this.apply(
      "cachedAttention",
      [query, key, value, keys, values, past, count],
      attributes,
    );
    return { output: results[0]!, keys: results[1]!, values: results[2]! };
  }
}
