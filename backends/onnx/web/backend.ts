/**
 * Backends over onnxruntime-web.
 *
 * @module
 */

import type { Backend } from "../../../graph/backend.ts";
import { deviceBackend } from "../../../graph/device_backend.ts";
import { type OnnxWebDeviceName, type OnnxWebModule, openOrt } from "./open.ts";
import { wasmDevice } from "./wasm_device.ts";

/** Options of {@linkcode createOnnxWebBackend}. */
export interface CreateOnnxWebBackendOptions {
  /** Where to compute. */
  readonly device: OnnxWebDeviceName;
  /** The package, where it does not come from the package registry: in a browser. */
  readonly module?: OnnxWebModule;
  /**
   * Threads of the WASM device. Default: the number of logical processors in a page that is cross-origin
   * isolated, else 1.
   */
  readonly threads?: number;
}

/**
 * A page without isolation has no memory that threads could share. In Deno threads work, but they wait
 * by spinning, and on a busy machine a run then all but stands still.
 */
function mostThreads(): number {
  const { crossOriginIsolated } = globalThis as { readonly crossOriginIsolated?: boolean };
  return crossOriginIsolated ? navigator.hardwareConcurrency : 1;
}

/**
 * Starts onnxruntime-web.
 *
 * @throws {Error} When the package cannot be fetched, or the machine lacks what the device needs.
 * @throws {RangeError} When `threads` is no number of threads, or more than one where pages have one.
 */
export async function createOnnxWebBackend(
  { device, module, threads = mostThreads() }: CreateOnnxWebBackendOptions,
): Promise<Backend> {
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RangeError(`Cannot start onnxruntime-web as threads must be 1 or more: ${threads}`);
  }
  return deviceBackend(wasmDevice(await openOrt(device, { module, threads }), threads));
}
