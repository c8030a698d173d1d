/**
 * The part of ONNX's `ModelProto` that programs need, as plain data, and its bytes. The messages are
 * described to a protobuf library instead of being generated: this is their whole schema.
 *
 * Source: `onnx/onnx.proto3` of the ONNX project, IR version 10.
 *
 * @module
 */

import {
  create,
  createFileRegistry,
  type DescMessage,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorProtoSchema,
  toBinary,
} from "./_deps.ts";

/** Element types of ONNX that are used here (`TensorProto.DataType`). */
export const ElementType = { float: 1, uint8: 2, int32: 6, int64: 7, bool: 9, uint4: 21 } as const;
/** Number of an element type. */
export type ElementType = typeof ElementType[keyof typeof ElementType];

/**
 * A literal tensor. Without `rawData` its values are `external`, or else given to the session as an
 * initializer.
 */
export interface TensorProto {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: ElementType;
  readonly rawData?: Uint8Array;
  /** A file beside the model, or a stretch of one. */
  readonly external?: {
    readonly location: string;
    readonly offset?: number;
    readonly length?: number;
  };
}

/** Value of a node's attribute. Numbers are integers; floats are wrapped. */
export type AttributeValue =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | TensorProto;

/** One operator. */
export interface NodeProto {
  readonly opType: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

/** A graph input or output. Text dimensions are symbolic. */
export interface ValueInfo {
  readonly name: string;
  readonly elementType: ElementType;
  readonly shape: readonly (number | string)[];
}

/** A model. */
export interface ModelProto {
  readonly name: string;
  readonly nodes: readonly NodeProto[];
  readonly initializers: readonly TensorProto[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Domain and version of each operator set. */
  readonly opsets: Readonly<Record<string, number>>;
}

type FieldSpec = readonly [
  name: string,
  number: number,
  type: "int64" | "int32" | "float" | "string" | "bytes" | string,
  repeated?: "repeated",
];

const schema: Readonly<Record<string, readonly FieldSpec[]>> = {
  ModelProto: [
    ["ir_version", 1, "int64"],
    ["producer_name", 2, "string"],
    ["graph", 7, "GraphProto"],
    ["opset_import", 8, "OperatorSetIdProto", "repeated"],
  ],
  OperatorSetIdProto: [["domain", 1, "string"], ["version", 2, "int64"]],
  GraphProto: [
    ["node", 1, "NodeProto", "repeated"],
    ["name", 2, "string"],
    ["initializer", 5, "TensorProto", "repeated"],
    ["input", 11, "ValueInfoProto", "repeated"],
    ["output", 12, "ValueInfoProto", "repeated"],
  ],
  NodeProto: [
    ["input", 1, "string", "repeated"],
    ["output", 2, "string", "repeated"],
    ["name", 3, "string"],
    ["op_type", 4, "string"],
    ["attribute", 5, "AttributeProto", "repeated"],
    ["domain", 7, "string"],
  ],
  AttributeProto: [
    ["name", 1, "string"],
    ["f", 2, "float"],
    ["i", 3, "int64"],
    ["s", 4, "bytes"],
    ["t", 5, "TensorProto"],
    ["ints", 8, "int64", "repeated"],
    ["type", 20, "int32"],
  ],
  TensorProto: [
    ["dims", 1, "int64", "repeated"],
    ["data_type", 2, "int32"],
    ["name", 8, "string"],
    ["raw_data", 9, "bytes"],
    ["external_data", 13, "StringStringEntryProto", "repeated"],
    ["data_location", 14, "int32"],
  ],
  StringStringEntryProto: [["key", 1, "string"], ["value", 2, "string"]],
  ValueInfoProto: [["name", 1, "string"], ["type", 2, "TypeProto"]],
  TypeProto: [["tensor_type", 1, "TensorTypeProto"]],
  TensorTypeProto: [["elem_type", 1, "int32"], ["shape", 2, "TensorShapeProto"]],
  TensorShapeProto: [["dim", 1, "DimensionProto", "repeated"]],
  DimensionProto: [["dim_value", 1, "int64"], ["dim_param", 2, "string"]],
};

const scalarTypes: Readonly<Record<string, Type>> = {
  int64: Type.INT64,
  int32: Type.INT32,
  float: Type.FLOAT,
  string: Type.STRING,
  bytes: Type.BYTES,
};

let described: DescMessage | undefined;

function modelMessage(): DescMessage {
  if (described) return described;
  const file = create(FileDescriptorProtoSchema, {
    name: "onnx.proto",
    package: "onnx",
    syntax: "proto2",
    messageType: Object.entries(schema).map(([name, fields]) => ({
      name,
      field: fields.map(([name, number, type, repeated]) => ({
        name,
        number,
        label: repeated ? Label.REPEATED : Label.OPTIONAL,
        type: scalarTypes[type] ?? Type.MESSAGE,
        ...(scalarTypes[type] ? {} : { typeName: `.onnx.${type}` }),
      })),
    })),
  });
  return described = createFileRegistry(file, () => undefined).getMessage("onnx.ModelProto")!;
}

const text = new TextEncoder();
const AttributeType = { float: 1, int: 2, string: 3, tensor: 4, ints: 7 } as const;

function attributeMessage(name: string, value: AttributeValue): Record<string, unknown> {
  if (typeof value === "number") return { name, i: BigInt(value), type: AttributeType.int };
  if (typeof value === "string") return { name, s: text.encode(value), type: AttributeType.string };
  if ("float" in value) return { name, f: value.float, type: AttributeType.float };
  if ("dims" in value) return { name, t: tensorMessage(value), type: AttributeType.tensor };
  return { name, ints: value.map(BigInt), type: AttributeType.ints };
}

const EXTERNAL = 1;

/** Name of the file that holds tensors without `rawData`; see `session.ts`. */
export const EXTERNAL_FILE = "null";

function tensorMessage(
  { name, dims, dataType, rawData, external }: TensorProto,
): Record<string, unknown> {
  return {
    name,
    dims: dims.map(BigInt),
    dataType,
    ...(rawData ? { rawData } : {
      dataLocation: EXTERNAL,
      externalData: Object.entries(external ?? { location: EXTERNAL_FILE })
        .map(([key, value]) => ({ key, value: `${value}` })),
    }),
  };
}

function valueMessage({ name, elementType, shape }: ValueInfo): Record<string, unknown> {
  const dim = shape.map((size) =>
    typeof size === "number" ? { dimValue: BigInt(size) } : { dimParam: size }
  );
  return { name, type: { tensorType: { elemType: elementType, shape: { dim } } } };
}

/** Bytes of a model. */
export function encodeModel(model: ModelProto): Uint8Array<ArrayBuffer> {
  const message = modelMessage();
  const fields = {
    irVersion: 10n,
    producerName: "sppo",
    opsetImport: Object.entries(model.opsets).map(([domain, version]) => ({
      domain,
      version: BigInt(version),
    })),
    graph: {
      name: model.name,
      node: model.nodes.map(({ opType, domain, inputs, outputs, attributes }, index) => ({
        name: `${index} ${opType}`,
        opType,
        domain,
        input: [...inputs],
        output: [...outputs],
        attribute: Object.entries(attributes).map(([name, value]) => attributeMessage(name, value)),
      })),
      initializer: model.initializers.map(tensorMessage),
      input: model.inputs.map(valueMessage),
      output: model.outputs.map(valueMessage),
    },
  };
  return toBinary(message, create(message, fields));
}
