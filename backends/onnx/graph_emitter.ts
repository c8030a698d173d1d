/**
 * Collects the nodes and constants of one ONNX graph: names, shared constants, and shape vectors of
 * named dimensions, each built once.
 *
 * @module
 */

import { type Dim, equalShapes, product, type Shape } from "../../graph/dim.ts";
import type { Activations } from "../../graph/backend.ts";
import type { DType } from "../../graph/program.ts";
import { type AttributeValue, ElementType, type NodeProto, type TensorProto } from "./proto.ts";

/** Domain of onnxruntime's own operators. */
export const MICROSOFT = "com.microsoft";

/** Domain of ours; see `native/kernels/`. */
export const OWN = "sppo";

/** Element type of a program's type in a graph. */
export const elementTypes: { readonly [D in DType]: ElementType } = {
  float32: ElementType.float,
  int32: ElementType.int32,
  bool: ElementType.bool,
};

/** Optional parts of a node. */
export interface NodeOptions {
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  /** Names of the results; one new name when absent. */
  readonly results?: readonly string[];
}

/**
 * Whose kernels run the graph. `webgpu` has none for arithmetic on sizes, so the vectors that hold sizes
 * are graph inputs there, which whoever runs it fills.
 */
export type Target = "cpu" | "webgpu";

/** A graph input that holds sizes. */
export interface SizesPort {
  readonly port: string;
  /** int64 [n] of these, or of one an int32 scalar. */
  readonly dims: Shape;
  readonly dtype: "int64" | "int32";
}

/** Options of {@linkcode GraphEmitter}. */
export interface GraphEmitterOptions {
  /** Default: `float32`. */
  readonly activations?: Activations | undefined;
  /** Default: no. */
  readonly ownKernels?: boolean;
  /** Default: `cpu`. */
  readonly target?: Target;
}

/** Where the size of a named dimension is found. */
export interface DimSource {
  readonly name: string;
  readonly axis: number;
  /** The axis is the dimension times this. */
  readonly divisor?: Dim;
}

/** The initializers of a constant matrix [rows, columns] that stayed in blocks; see `block_formats.ts`. */
export interface EncodedMatrix {
  readonly bits: 4 | 8;
  readonly rows: number;
  readonly columns: number;
  /** uint8 [rows, blocks, bytes of a block]. */
  readonly quants: string;
  /** The same memory as uint8 [rows, bytes of a row]. */
  readonly bytes: string;
  /** The same memory as uint4 or uint8 [rows, columns]. */
  readonly elements: string;
  /** float32 [rows, blocks]. */
  readonly scales: string;
  /** float32 [rows, blocks]. */
  readonly offsets?: string;
}

/** Low-rank factors beside a matrix: x Wᵀ + scale · (x Aᵀ) Bᵀ. */
export interface Adapter {
  /** Name of A, float32 [rank, columns]. */
  readonly a: string;
  /** Name of B, float32 [rows, rank]. */
  readonly b: string;
  readonly rank: number;
  readonly scale: number;
}

/** Products of one value with matrices that lie behind each other in memory: one product, then split. */
export interface MergedProduct {
  /** Name that stands for all the matrices. */
  readonly matrix: string;
  /** Rows of each. */
  readonly rows: readonly number[];
  /** Adapter of each that the operator takes along; none where it does not. */
  readonly adapters?: readonly (Adapter | undefined)[];
  /** Name of each product, once they are emitted. */
  parts?: readonly string[];
}

/** The graph under construction. */
export class GraphEmitter {
  nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  /** Constants that stayed encoded, by the name that stands for them. */
  readonly encoded = new Map<string, EncodedMatrix>();
  /** Products that are computed together, by the id of the value each defines. */
  readonly merged = new Map<number, { readonly product: MergedProduct; readonly index: number }>();
  /** How products with them are computed. */
  readonly activations: Activations;
  /** Whether products of 8-bit activations have an operator of ours. */
  readonly ownKernels: boolean;
  readonly target: Target;
  /** Inputs that hold sizes, where nodes do not compute them. */
  readonly sizes: SizesPort[] = [];
  readonly #dimSources: ReadonlyMap<string, DimSource>;
  readonly #cache = new Map<string, string>();
  /** What a reshaped value was before. */
  readonly #reshaped = new Map<string, { readonly name: string; readonly shape: Shape }>();
  #next = 0;

  /** @param dimSources A graph input and axis for each named dimension. */
  constructor(
    dimSources: ReadonlyMap<string, DimSource>,
    { activations = "float32", ownKernels = false, target = "cpu" }: GraphEmitterOptions = {},
  ) {
    this.#dimSources = dimSources;
    this.activations = activations;
    this.ownKernels = ownKernels;
    this.target = target;
  }

  /** A name not used before. */
  name(hint: string): string {
    return `${hint}_${this.#next++}`;
  }

  /** Adds a node and returns the name of its first result. */
  node(opType: string, inputs: readonly string[], options: NodeOptions = {}): string {
    const results = options.results ?? [this.name(opType)];
    this.nodes.push({
      opType,
      domain: options.domain ?? "",
      inputs,
      outputs: results,
      attributes: options.attributes ?? {},
    });
    return results[0]!;
  }

  /** Leaves out nodes that nothing reads; onnxruntime would run them. */
  keepOnly(outputs: Iterable<string>): void {
    const read = new Set(outputs);
    const kept = this.nodes.toReversed().filter((node) => {
      if (!node.outputs.some((output) => read.has(output))) return false;
      for (const input of node.inputs) read.add(input);
      return true;
    });
    this.nodes = kept.reverse();
  }

  /** A value made at most once in the graph. */
  once(key: string, make: () => string): string {
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#cache.set(key, made);
    return made;
  }

  #constant(
    dataType: ElementType,
    dims: readonly number[],
    bytes: ArrayBuffer,
    result?: string,
  ): string {
    const name = result ?? this.name("constant");
    this.initializers.push({ name, dims, dataType, rawData: new Uint8Array(bytes) });
    return name;
  }

  /** int64 vector of known values. */
  int64(values: readonly number[]): string {
    return this.once(
      `int64 ${values}`,
      () =>
        this.#constant(
          ElementType.int64,
          [values.length],
          BigInt64Array.from(values, BigInt).buffer,
        ),
    );
  }

  /** A literal tensor of a program. */
  literal(dtype: DType, shape: readonly number[], data: readonly number[]): string {
    const make = () => {
      switch (dtype) {
        case "float32":
          return this.#constant(ElementType.float, shape, Float32Array.from(data).buffer);
        case "int32":
          return this.#constant(ElementType.int32, shape, Int32Array.from(data).buffer);
        case "bool":
          return this.#constant(
            ElementType.bool,
            shape,
            Uint8Array.from(data, (value) => value ? 1 : 0).buffer,
          );
        default:
          throw new TypeError(`Cannot emit a constant of type ${dtype satisfies never}`);
      }
    };
    if (data.length > 16) return make();
    const text = data.map((value) => Object.is(value, -0) ? "-0" : `${value}`);
    return this.once(`${dtype} ${shape} ${text}`, make);
  }

  /** An input that whoever runs the graph fills. */
  #given(dims: Shape, dtype: SizesPort["dtype"]): string {
    return this.once(`given ${dtype} ${dims}`, () => {
      const port = `sizes/${dtype}/${dims}`;
      this.sizes.push({ port, dims, dtype });
      return port;
    });
  }

  /** int64 [1] holding a dimension. */
  dim(dim: Dim): string {
    if (typeof dim === "number") return this.int64([dim]);
    if (this.target === "webgpu") return this.#given([dim], "int64");
    return this.once(`dim ${dim}`, () => {
      const [first, ...rest] = dim.split("*");
      if (rest.length > 0) {
        return this.node("Mul", [this.dim(product(first!)), this.dim(product(...rest))]);
      }
      const source = this.#dimSources.get(dim);
      if (!source) {
        throw new TypeError(
          `Cannot emit the dimension ${dim} as it must be an axis of an input or parameter: none has it`,
        );
      }
      const { name, axis, divisor } = source;
      const size = this.node("Shape", [name], { attributes: { start: axis, end: axis + 1 } });
      return divisor === undefined ? size : this.node("Div", [size, this.dim(divisor)]);
    });
  }

  /** int32 scalar holding a dimension. */
  dimScalar(dim: Dim): string {
    if (typeof dim === "number") return this.literal("int32", [], [dim]);
    if (this.target === "webgpu") return this.#given([dim], "int32");
    return this.once(`scalar ${dim}`, () => {
      const scalar = this.node("Squeeze", [this.dim(dim), this.int64([0])]);
      return this.node("Cast", [scalar], { attributes: { to: ElementType.int32 } });
    });
  }

  /** int64 vector holding a shape. */
  shape(shape: Shape): string {
    if (shape.every((dim) => typeof dim === "number")) return this.int64(shape as number[]);
    if (this.target === "webgpu") return this.#given(shape, "int64");
    return this.once(
      `shape ${shape}`,
      () => this.node("Concat", shape.map((dim) => this.dim(dim)), { attributes: { axis: 0 } }),
    );
  }

  /** `input` of shape `from` with shape `to`. What gets back the shape it had is what it was. */
  reshape(input: string, from: Shape, to: Shape, result?: string): string {
    const before = this.#reshaped.get(input);
    const results = result ? { results: [result] } : {};
    if (before && equalShapes(before.shape, to)) {
      return result ? this.node("Identity", [before.name], results) : before.name;
    }
    const reshaped = this.node("Reshape", [input, this.#reshapeTarget(from, to)], results);
    this.#reshaped.set(reshaped, { name: input, shape: from });
    return reshaped;
  }

  /** Keeps an axis by 0 and infers one by −1 where that is exact; no size is 0. */
  #reshapeTarget(from: Shape, to: Shape): string {
    const unknown: number[] = [];
    const target = to.map((dim, axis) => {
      if (typeof dim === "number") return dim;
      if (from[axis] === dim) return 0;
      unknown.push(axis);
      return -1;
    });
    return unknown.length > 1 ? this.shape(to) : this.int64(target);
  }
}
