/**
 * Reaching TensorFlow.js: the part of it that is used here, as types, and how a device is opened.
 *
 * Kernels are called as functions on a device's memory. tfjs's engine, with its current backend, its
 * scopes and its tape, has no part in a run.
 *
 * @module
 */

import { requireAdapter } from "../webgpu.ts";
import { TFJS_CORE, TFJS_DEVICES, TFJS_VERSION } from "./_deps.ts";

/** Where tfjs computes. */
export type TfjsDeviceName = "cpu" | "wasm" | "webgpu";

/** Element types of tfjs that programs have. */
export type TfjsType = "float32" | "int32" | "bool";

/** A tensor of tfjs: one reference to data on the device. */
export interface TensorInfo {
  readonly dataId: object;
  readonly shape: number[];
  readonly dtype: TfjsType;
}

/** Values as tfjs takes and gives them; a `bool` is a byte. */
export type TfjsValues = Float32Array | Int32Array | Uint8Array;

/** Memory of a device. */
export interface KernelBackend {
  write(values: TfjsValues, shape: readonly number[], dtype: TfjsType): object;
  read(dataId: object): Promise<TfjsValues>;
  /** Gives up one reference. */
  disposeData(dataId: object): boolean;
  /** Takes one more reference. */
  incRef(dataId: object): void;
  /** How many tensors there are. */
  numDataIds(): number;
  /** On WebGPU. */
  readonly device?: {
    readonly limits: { readonly maxStorageBufferBindingSize: number };
  };
}

/** One operation. */
export type KernelFunction = (call: {
  readonly inputs: Readonly<Record<string, TensorInfo>> | readonly TensorInfo[];
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly backend: KernelBackend;
}) => TensorInfo;

/** The package `@tensorflow/tfjs-core`. */
export interface TfjsCore {
  setBackend(name: string): Promise<boolean>;
  getBackend(): string;
  findBackend(name: string): KernelBackend;
  findBackendFactory(name: string): unknown;
  getKernel(name: string, backend: string): { readonly kernelFunc: KernelFunction } | undefined;
  env(): { set(flag: string, value: boolean | number): void };
}

/** What a device's package adds; only the WASM one has these. */
export interface TfjsDeviceModule {
  readonly getThreadsCount?: () => number;
  readonly setThreadsCount?: (threads: number) => void;
  readonly setWasmPaths?: (folder: string) => void;
}

/** The packages, where they do not come from the package registry: in a bundle for a browser. */
export interface TfjsModules {
  /** `@tensorflow/tfjs-core`. */
  readonly core: unknown;
  /** `@tensorflow/tfjs-backend-…` of the device. */
  readonly device: unknown;
  /** Folder of the WASM files. Default: beside the script. */
  readonly wasmFolder?: string;
}

/** An opened device. */
export interface OpenedTfjs {
  readonly core: TfjsCore;
  readonly backend: KernelBackend;
  readonly threads: number;
}

async function importModules(name: TfjsDeviceName): Promise<TfjsModules> {
  try {
    return { core: await import(TFJS_CORE), device: await import(TFJS_DEVICES[name]) };
  } catch (cause) {
    throw new Error(
      `Cannot use tfjs-${name} as ${TFJS_DEVICES[name]} must be fetched ` +
        `(network or a cached package): ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}

/** A CommonJS package has its functions under `default` too, in some loaders only there. */
function unwrap<T>(module: unknown, member: string): T {
  const found = module as Record<string, unknown>;
  return (member in found ? found : found["default"] ?? {}) as T;
}

/**
 * Opens a device. tfjs has one of each kind in a process, which all backends over it share.
 *
 * @throws {Error} When the packages cannot be fetched, or the machine lacks what the device needs.
 */
export async function openTfjs(
  name: TfjsDeviceName,
  { modules, threads }: {
    readonly modules?: TfjsModules | undefined;
    readonly threads?: number | undefined;
  },
): Promise<OpenedTfjs> {
  if (name === "webgpu") await requireAdapter("tfjs-webgpu");
  const given = modules ?? await importModules(name);
  const core = unwrap<TfjsCore>(given.core, "setBackend");
  const device = unwrap<TfjsDeviceModule>(given.device, "setThreadsCount");
  if (given.wasmFolder !== undefined) device.setWasmPaths?.(given.wasmFolder);
  if (threads !== undefined) device.setThreadsCount?.(threads);
  core.env().set("PROD", true); // else it prints advice
  if (name === "webgpu") core.env().set("WEBGPU_CPU_FORWARD", false); // nothing runs elsewhere
  const before = core.getBackend();
  if (!await core.setBackend(name)) {
    throw new Error(
      `Cannot use tfjs-${name} as TensorFlow.js ${TFJS_VERSION} must start it: it could not`,
    );
  }
  const backend = core.findBackend(name);
  if (before && before !== name) await core.setBackend(before);
  return { core, backend, threads: name === "wasm" ? device.getThreadsCount?.() ?? 1 : 1 };
}
