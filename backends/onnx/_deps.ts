/**
 * The packages of this backend, each pinned once.
 *
 * `onnxruntime-node` is never imported by a literal: whoever imports this folder would download it.
 * Its install script, which fetches CUDA files, is not needed.
 *
 * @module
 */

export {
  create,
  createFileRegistry,
  type DescMessage,
  toBinary,
} from "npm:@bufbuild/protobuf@2.17.0";
export {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from "npm:@bufbuild/protobuf@2.17.0/wkt";

/** Version of onnxruntime whose library is loaded. */
export const ONNXRUNTIME_VERSION = "1.30.0";

/** Package that brings onnxruntime's shared library. */
export const ONNXRUNTIME_PACKAGE = `npm:onnxruntime-node@${ONNXRUNTIME_VERSION}`;

/** Version of onnxruntime for the web. */
export const ORT_WEB_VERSION = "1.30.0";

/** Its package, with the part that each device needs. */
export const ORT_WEB = {
  wasm: `npm:onnxruntime-web@${ORT_WEB_VERSION}`,
  webgpu: `npm:onnxruntime-web@${ORT_WEB_VERSION}/webgpu`,
} as const;
