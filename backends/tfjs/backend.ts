/**
 * The backend: programs by the kernels of TensorFlow.js.
 *
 * @module
 */

import type { Backend } from "../../graph/backend.ts";
import type { Device } from "../../graph/device.ts";
import { deviceBackend } from "../../graph/device_backend.ts";
import { splitDevice } from "../../graph/split_device.ts";
import { TFJS_VERSION } from "./_deps.ts";
import { Kernels } from "./kernels.ts";
import { openTfjs, type TensorInfo, type TfjsDeviceName, type TfjsModules } from "./open.ts";
import type { TransposedConstants } from "./products.ts";
import { TfjsProgram } from "./program.ts";

/** Options of {@linkcode createTfjsBackend}. */
export interface CreateTfjsBackendOptions {
  /** Where to compute. */
  readonly device: TfjsDeviceName;
  /** The packages, where they do not come from the package registry: in a bundle for a browser. */
  readonly modules?: TfjsModules;
  /** Threads of the WASM device in a page that is cross-origin isolated. Default: all. */
  readonly threads?: number;
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** A backend that tells how many tensors are on its device. */
export interface TfjsBackend extends Backend {
  /** Tensors on the device, of all backends that share it; runs leave it as it was. */
  tensors(): number;
}

/** Bytes of a tensor that a CPU or WASM heap can hold. */
const HEAP_BYTES = 2 ** 31;

/**
 * Starts TensorFlow.js on a device.
 *
 * @throws {Error} When the packages cannot be fetched, or the machine lacks what the device needs.
 */
export async function createTfjsBackend(
  { device: name, modules, threads }: CreateTfjsBackendOptions,
): Promise<TfjsBackend> {
  const opened = await openTfjs(name, { modules, threads });
  const kernels = new Kernels(name, opened);
  const transposed: TransposedConstants = new Map();
  const device: Device<TensorInfo> = {
    name: `tfjs-${name}`,
    device: name,
    versions: { tfjs: TFJS_VERSION },
    limits: {
      maxTensorBytes: opened.backend.device?.limits.maxStorageBufferBindingSize ?? HEAP_BYTES,
      threads: opened.threads,
    },
    upload: (shape, values) => kernels.upload(values, shape, "float32"),
    async download({ dataId }) {
      return Float32Array.from(await kernels.backend.read(dataId));
    },
    assemble(parts) {
      const slices = parts.map(({ tensor, start, count }) => {
        const begin = tensor.shape.map((_, axis) => axis === 0 ? start : 0);
        const size = [count, ...tensor.shape.slice(1)];
        return kernels.call("Slice", { x: tensor }, { begin, size });
      });
      return kernels.using(slices, () => kernels.call("Concat", slices, { axis: 0 }));
    },
    bytes: ({ shape }) => 4 * sizeOf(shape),
    free: (tensor) => kernels.free(tensor),
    compile: (program, constants) =>
      Promise.resolve(new TfjsProgram(kernels, transposed, program, constants)),
    dispose() {},
  };
  const backend = name === "webgpu" ? deviceBackend(splitDevice(device)) : deviceBackend(device);
  return Object.assign(backend, {
    tensors: () => opened.backend.numDataIds(),
  });
}
