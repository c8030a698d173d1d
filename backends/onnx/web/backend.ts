/**
 * Backends over onnxruntime-web.
 *
 * @module
 */

import type { Backend } from "../../../graph/backend.ts";
import { deviceBackend } from "../../../graph/device_backend.ts";
import { splitDevice } from "../../../graph/split_device.ts";
import { openGpu } from "../../webgpu.ts";
import { GpuBuffers } from "./gpu_buffers.ts";
import { type OnnxWebDeviceName, type OnnxWebModule, openOrt } from "./open.ts";
import { wasmDevice } from "./wasm_device.ts";
import { webGpuDevice } from "./webgpu_device.ts";

/** Options of {@linkcode createOnnxWebBackend}. */
export interface CreateOnnxWebBackendOptions {
  /** Where to compute. */
  readonly device: OnnxWebDeviceName;
  /** The package, where it does not come from the package registry: in a browser. */
  readonly module?: OnnxWebModule;
  /**
   * Threads of the WASM device; WebGPU takes none. Default: the number of logical processors in a page that is cross-origin
   * isolated, else 1.
   */
  readonly threads?: number;
}

/** A backend that tells how many tensors are on its graphics card. */
export interface OnnxWebBackend extends Backend {
  /** Tensors on the card, which runs leave as many as they were; 0 in WASM. */
  tensors(): number;
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
): Promise<OnnxWebBackend> {
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RangeError(`Cannot start onnxruntime-web as threads must be 1 or more: ${threads}`);
  }
  switch (device) {
    case "wasm": {
      const ort = await openOrt(device, { module, threads });
      return Object.assign(deviceBackend(wasmDevice(ort, threads)), { tensors: () => 0 });
    }
    case "webgpu": {
      const ort = await openOrt(device, { module, threads: 1 });
      const buffers = new GpuBuffers(await openGpu("onnx-webgpu"));
      const backend = deviceBackend(splitDevice(webGpuDevice(ort, buffers)));
      return Object.assign(backend, { tensors: () => buffers.taken });
    }
    default:
      return device satisfies never;
  }
}
