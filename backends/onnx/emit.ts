/**
 * Writes a program as an ONNX model.
 *
 * @module
 */

import { dimNames, elementCount, quotient } from "../../graph/dim.ts";
import { decompose } from "../../graph/decompose.ts";
import { simplify } from "../../graph/simplify.ts";
import type { Equation, Primitive, Program, TensorType, Value } from "../../graph/program.ts";
import type { Activations } from "../../graph/backend.ts";
import type { Encoding } from "../../graph/encodings.ts";
import { addEncodedConstant } from "./encoded_constant.ts";
import {
  type DimSource,
  elementTypes,
  GraphEmitter,
  OWN,
  type SizesPort,
  type Target,
} from "./graph_emitter.ts";
import {
  decodedMatrix,
  isLowered,
  type Lowering,
  lowerings,
  takesEncoded,
} from "./lowering/mod.ts";
import { ElementType, encodeModel, type ValueInfo } from "./proto.ts";
import { foldableProducts, isFolded } from "./foldable_products.ts";
import { ownAdapter } from "./lowering/encoded.ts";
import { foldScales } from "./fold_scales.ts";
import { neighbours } from "./neighbours.ts";
import { updatesInPlace } from "./in_place.ts";

/** A graph input or output beside what it is in the program. */
export interface Port extends TensorType {
  /** Name in the graph. */
  readonly port: string;
  /** Name in the program. */
  readonly name: string;
}

/** A graph input that is read from a store. */
export interface ParameterPort extends Port {
  readonly scope: string;
}

/** A graph output that becomes the value of a stored tensor. */
export interface UpdatePort extends ParameterPort {
  /** Whether the output may be written over the old value. */
  readonly inPlace: boolean;
}

/** An initializer that is a constant parameter, or some of it. */
export interface ConstantPort extends ParameterPort {
  /** Which rows. */
  readonly rows?: readonly [start: number, end: number];
  /** Which part of an encoded one, of what type; its shape is the part's. */
  readonly part?: {
    readonly of: "quants" | "scales" | "offsets";
    readonly type: ElementType;
  };
}

/** How a program is emitted. */
export interface EmitOptions {
  /** Scopes whose parameters are initializers, given to the session by the store. */
  readonly constants: ReadonlySet<string>;
  /** How a constant is stored. Default: all as `f32`. */
  readonly encodingOf?: (parameter: ParameterPort) => Encoding;
  /** Whether an encoded constant lies in memory right behind another of its layout. Default: none. */
  readonly follows?: (parameter: ParameterPort, before: ParameterPort) => boolean;
  /** Whose kernels run it. Default: `cpu`. */
  readonly target?: Target;
  /** See `CompileOptions`. */
  readonly activations?: Activations;
  /** Whether there are the operators of `native/kernels/` too. Default: no. */
  readonly ownKernels?: boolean;
  /** Whether each constant is a file of its port's name; otherwise the session gets their memory. */
  readonly constantFiles?: boolean;
}

/** A constant as the session takes it. */
export interface SessionConstantPort extends ConstantPort {
  /** Whether onnxruntime may look at its values while it optimises the graph. */
  readonly inspected: boolean;
}

/** A model and how its inputs and outputs belong to the program. */
export interface EmittedModel {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly inputs: readonly Port[];
  /** Inputs that hold sizes; none on `cpu`. */
  readonly sizes: readonly SizesPort[];
  readonly parameters: readonly ParameterPort[];
  readonly constants: readonly SessionConstantPort[];
  readonly updates: readonly UpdatePort[];
  readonly outputs: readonly Port[];
}

/** Versions of the operator sets used. */
const opsets = { "": 21, "com.microsoft": 1 } as const;

/** bool travels as int32. */
function hostElementType({ dtype }: TensorType): ElementType {
  return dtype === "bool" ? ElementType.int32 : elementTypes[dtype];
}

function valueInfo({ port, shape, ...type }: Port): ValueInfo {
  return { name: port, elementType: hostElementType({ shape, ...type }), shape };
}

function sizesInfo({ port, dims, dtype }: SizesPort): ValueInfo {
  return dtype === "int64"
    ? { name: port, elementType: ElementType.int64, shape: [dims.length] }
    : { name: port, elementType: ElementType.int32, shape: [] };
}

/** The inputs that nodes read. */
function usedSizes({ nodes, sizes }: GraphEmitter): SizesPort[] {
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  return sizes.filter(({ port }) => read.has(port));
}

/** Where each name is found: an axis of its own, or one shared with names found elsewhere. */
function findDims(ports: readonly Port[]): Map<string, DimSource> {
  const axes = ports.flatMap(({ port, shape }) =>
    shape.map((dim, axis) => ({ name: port, axis, names: dimNames([dim]), dim }))
  );
  const sources = new Map<string, DimSource>();
  for (let before = -1; before !== sources.size;) {
    before = sources.size;
    for (const { name, axis, names, dim } of axes) {
      const unknown = names.filter((one) => !sources.has(one));
      if (unknown.length !== 1) continue;
      const own = unknown[0]!;
      if (dim === own) sources.set(own, { name, axis });
      else if (axes.every((other) => other.dim !== own)) {
        sources.set(own, { name, axis, divisor: quotient(dim, own) });
      }
    }
  }
  return sources;
}

/**
 * Emits a program.
 *
 * @throws {TypeError} When the program holds something that ONNX cannot express.
 */
export function emitProgram(
  original: Program,
  {
    constants,
    encodingOf = () => "f32",
    follows = () => false,
    target = "cpu",
    activations,
    ownKernels = false,
    constantFiles = false,
  }: EmitOptions,
): EmittedModel {
  const program = simplify(decompose(original, (equation) => isLowered(equation, target)));
  const inputs = program.inputs.map(({ name, value }) => port(`input/${name}`, name, value));
  const parameters = program.parameters.map(({ scope, name, value }) => ({
    ...port(`parameter/${scope}/${name}`, name, value),
    scope,
  }));
  const bound = parameters.filter(({ scope }) => !constants.has(scope));
  const constantPorts: ConstantPort[] = [];
  const graph = new GraphEmitter(findDims([...inputs, ...parameters]), {
    activations,
    ownKernels,
    target,
  });
  const addConstant = (port: ConstantPort) => {
    const encoding = encodingOf(port);
    if (encoding === "f32") constantPorts.push(port);
    else constantPorts.push(...addEncodedConstant(graph, port, encoding));
  };
  for (const port of parameters) if (constants.has(port.scope)) addConstant(port);

  const names = new Map<number, string>();
  program.inputs.forEach(({ value }, index) => {
    const { port } = inputs[index]!;
    names.set(
      value.id,
      value.dtype === "bool"
        ? graph.node("Cast", [port], { attributes: { to: ElementType.bool } })
        : port,
    );
  });
  const constantOf = new Map<number, ConstantPort>();
  program.parameters.forEach(({ value, scope }, index) => {
    names.set(value.id, parameters[index]!.port);
    if (constants.has(scope)) constantOf.set(value.id, parameters[index]!);
  });

  for (const group of neighbours(program, constantOf, follows)) {
    const ports = group.map(({ operands }) => constantOf.get(operands[1]!.id)!);
    const rows = ports.map(({ shape }) => shape[0] as number);
    const matrix = {
      ...ports[0]!,
      port: ports.map(({ port }) => port).join("+"),
      shape: [rows.reduce((sum, count) => sum + count, 0), ports[0]!.shape[1]!],
    };
    // A gradient with checkpoints computes the products of a block twice, from two values.
    if (!graph.encoded.has(matrix.port)) addConstant(matrix);
    const adapters = group.map((one) => ownAdapter(graph, one, ({ id }) => names.get(id)));
    const sameScale = new Set(adapters.flatMap((one) => one ? [one.scale] : [])).size < 2;
    const product = { matrix: matrix.port, rows, ...(sameScale ? { adapters } : {}) };
    group.forEach(({ results }, index) => graph.merged.set(results[0]!.id, { product, index }));
  }

  const wanted = wantedNames(program, names);
  const views = new Set<string>();
  for (const equation of program.equations) {
    const view = constantRows(equation, constantOf);
    if (view && !wanted.has(equation.results[0]!.id)) {
      if (!views.has(view.port)) addConstant(view);
      views.add(view.port);
      names.set(equation.results[0]!.id, view.port);
      constantOf.set(equation.results[0]!.id, view);
      continue;
    }
    lower(graph, equation, names, wanted, constantOf);
  }

  const nameOf = (value: Value) => decodedMatrix(graph, names.get(value.id)!);
  const give = (value: Value, target: string) => {
    const name = nameOf(value);
    if (value.dtype === "bool") {
      graph.node("Cast", [name], { results: [target], attributes: { to: ElementType.int32 } });
    } else if (name !== target) {
      graph.node("Identity", [name], { results: [target] });
    }
  };
  const updates = program.updates.map(({ scope, name, next }) => {
    const target = updateName(scope, name);
    give(next, target);
    return { ...port(target, name, next), scope };
  });
  const outputs = program.outputs.map(({ name, value }) => {
    const target = `output/${name}`;
    give(value, target);
    return port(target, name, value);
  });
  const results = new Set([...updates, ...outputs].map(({ port }) => port));
  if (target === "cpu") graph.nodes = foldScales(graph, results);
  graph.keepOnly(results);
  graph.nodes = foldableProducts(graph, constantPorts);
  const inPlace = updatesInPlace(
    graph,
    updates.map(({ port, scope, name }) => ({ old: `parameter/${scope}/${name}`, next: port })),
  );
  const used = usedConstants(graph, constantPorts);
  const sizes = usedSizes(graph);
  return {
    inputs,
    sizes,
    parameters: bound,
    constants: used,
    updates: updates.map((update, index) => ({ ...update, inPlace: inPlace[index]! })),
    outputs,
    bytes: encodeModel({
      name: program.name,
      nodes: graph.nodes,
      initializers: [
        ...graph.initializers,
        ...used.map(({ port, shape, part }) => ({
          name: port,
          dims: shape as readonly number[],
          dataType: part?.type ?? ElementType.float,
          ...(constantFiles ? { external: { location: port } } : {}),
        })),
      ],
      inputs: [...[...inputs, ...bound].map(valueInfo), ...sizes.map(sizesInfo)],
      outputs: [...updates, ...outputs].map(valueInfo),
      opsets: graph.nodes.some(({ domain }) => domain === OWN) ? { ...opsets, [OWN]: 1 } : opsets,
    }),
  };
}

/** Elements up to which any constant counts as inspected. */
const SMALL = 16384;

/**
 * The constants that nodes read; the session drops others. Nodes that read nothing but constants are
 * computed when the graph is optimised, so what they read is inspected.
 */
function usedConstants(
  { nodes, initializers }: GraphEmitter,
  ports: readonly ConstantPort[],
): SessionConstantPort[] {
  const constant = new Set(initializers.map(({ name }) => name));
  for (const { port } of ports) constant.add(port);
  const read = new Set<string>();
  const folded = new Set<string>();
  for (const node of nodes) {
    const names = isFolded(node, constant) ? folded : read;
    for (const input of node.inputs) names.add(input);
  }
  return ports.filter(({ port }) => read.has(port) || folded.has(port)).map((port) => ({
    ...port,
    inspected: folded.has(port.port) || (elementCount(port.shape) as number) <= SMALL,
  }));
}

function port(port: string, name: string, { dtype, shape }: TensorType): Port {
  return { port, name, dtype, shape };
}

function updateName(scope: string, name: string): string {
  return `next/${scope}/${name}`;
}

/** Values that are computed under the name of an output; others are copied to it. */
function wantedNames(program: Program, known: ReadonlyMap<number, string>): Map<number, string> {
  const wanted = new Map<number, string>();
  const want = (value: Value, name: string) => {
    if (known.has(value.id) || wanted.has(value.id) || value.dtype === "bool") return;
    wanted.set(value.id, name);
  };
  for (const { scope, name, next } of program.updates) want(next, updateName(scope, name));
  for (const { name, value } of program.outputs) want(value, `output/${name}`);
  return wanted;
}

/** Rows of a constant parameter are an initializer of their own over the same memory. */
function constantRows(
  equation: Equation,
  constants: ReadonlyMap<number, ConstantPort>,
): ConstantPort | undefined {
  if (equation.primitive !== "slice" || equation.attributes.axis !== 0) return undefined;
  const source = constants.get(equation.operands[0]!.id);
  if (!source) return undefined;
  const { start, end } = equation.attributes;
  return {
    ...source,
    port: `${source.port}[${start}:${end}]`,
    shape: equation.results[0]!.shape,
    rows: [start, end],
  };
}

function lower(
  graph: GraphEmitter,
  equation: Equation,
  names: Map<number, string>,
  wanted: ReadonlyMap<number, string>,
  constants: { has(id: number): boolean },
): void {
  const rule = lowerings[graph.target][equation.primitive] as Lowering<Primitive> | "decompose";
  if (rule === "decompose") {
    throw new TypeError(`Cannot emit ${equation.primitive} as it must be decomposed before`);
  }
  const other = equation.operands.find(({ id, dtype, shape }) =>
    dtype === "float32" && shape.length > 0 && !constants.has(id)
  );
  const beside = other && { name: names.get(other.id)!, rank: other.shape.length };
  const operands = equation.operands.map(({ id }, index) => {
    const name = names.get(id)!;
    return takesEncoded(equation, index) ? name : decodedMatrix(graph, name, beside);
  });
  const results = equation.results.map(({ id }) =>
    wanted.get(id) ?? graph.name(equation.primitive)
  );
  rule(graph, equation as never, { operands, results });
  equation.results.forEach(({ id }, index) => names.set(id, results[index]!));
}
