/**
 * Reaching onnxruntime-web: the part of it that is used here, as types, and how it is opened.
 *
 * @module
 */

import { ORT_WEB, ORT_WEB_VERSION } from "../_deps.ts";
import { Turns } from "../../../graph/turns.ts";

/** Where onnxruntime-web computes. */
export type OnnxWebDeviceName = "wasm" | "webgpu";

/** Values of a tensor on the host. */
export type OrtValues = Float32Array | Int32Array | BigInt64Array;

/** A tensor as onnxruntime-web takes and gives it. */
export interface OrtTensor {
  readonly dims: readonly number[];
  /** Where the values are on the host. */
  readonly data: OrtValues;
}

/** A compiled model. */
export interface OrtSession {
  /** @param fetches Where results go; a new tensor on the host for null. Default: null for each. */
  run(
    feeds: Readonly<Record<string, OrtTensor>>,
    fetches?: Readonly<Record<string, OrtTensor | null>>,
  ): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

/** The package. */
export interface Ort {
  readonly env: {
    readonly wasm: { numThreads?: number; wasmPaths?: string };
    logLevel?: string;
  };
  readonly Tensor: {
    new (
      type: "float32" | "int32" | "int64",
      data: OrtValues,
      dims: readonly number[],
    ): OrtTensor;
    fromGpuBuffer(
      buffer: GPUBuffer,
      options: { readonly dataType: "float32"; readonly dims: readonly number[] },
    ): OrtTensor;
  };
  readonly InferenceSession: {
    create(model: Uint8Array, options: Readonly<Record<string, unknown>>): Promise<OrtSession>;
  };
}

/** The package, where it does not come from the package registry: in a browser. */
export interface OnnxWebModule {
  /** `onnxruntime-web/wasm`, or `onnxruntime-web/webgpu`. */
  readonly ort: unknown;
  /** Folder of the WASM files. Default: beside the script. */
  readonly wasmFolder?: string;
}

/** Sessions of a process are made and run one after the other, whatever backend they are of. */
export const turns: Turns = new Turns();

/** Errors reach us as exceptions; they are not printed too. */
const LOG_LEVEL = "fatal";

/**
 * Opens the package.
 *
 * @throws {Error} When it can be fetched from nowhere.
 */
export async function openOrt(
  device: OnnxWebDeviceName,
  { module, threads }: {
    readonly module?: OnnxWebModule | undefined;
    readonly threads: number;
  },
): Promise<Ort> {
  let ort: Ort;
  try {
    ort = (module?.ort ?? await import(ORT_WEB[device])) as Ort;
  } catch (cause) {
    throw new Error(
      `Cannot use onnx-${device} as ${ORT_WEB[device]} must be fetched ` +
        `(network or a cached package): ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
  if (module?.wasmFolder !== undefined) ort.env.wasm.wasmPaths = module.wasmFolder;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = LOG_LEVEL;
  return ort;
}

/** Version of the package. */
export const versions: Readonly<Record<string, string>> = { "onnxruntime-web": ORT_WEB_VERSION };
