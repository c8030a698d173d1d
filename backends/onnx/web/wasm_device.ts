/**
 * onnxruntime in WebAssembly. Tensors of stores are in this process's memory; a run copies the
 * parameters it reads into the WASM heap and its updates out of it, so a decoding step moves the caches
 * and an optimizer's step the adapter. Constants are copied once, by each program that reads them.
 *
 * @module
 */

import type { HostTensor } from "../../../graph/backend.ts";
import type { Device, DeviceConstant, DeviceProgram } from "../../../graph/device.ts";
import type { Program } from "../../../graph/program.ts";
import { emitProgram, type EmittedModel, type Port } from "../emit.ts";
import { checkPasts, pastInputs } from "../past.ts";
import { type Ort, type OrtSession, type OrtTensor, turns, versions } from "./open.ts";

/** Bytes of a tensor that a WASM heap can hold. */
const HEAP_BYTES = 2 ** 31;

/** Errors reach us as exceptions; they are not printed too. */
const LOG_FATAL = 4;

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** A float32 tensor in this process's memory. */
export interface HeapTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

const typeOf = ({ dtype }: Port) => dtype === "float32" ? "float32" : "int32";

/** The bytes of a constant, or of some rows of it. */
function constantBytes(
  { scope, name, rows }: EmittedModel["constants"][number],
  constants: readonly DeviceConstant<HeapTensor>[],
): Uint8Array {
  const { tensor: { shape, data } } = constants.find(({ parameter }) =>
    parameter.scope === scope && parameter.name === name
  )!;
  const width = rows ? data.length / shape[0]! : 0;
  const part = rows ? data.subarray(rows[0] * width, rows[1] * width) : data;
  return new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
}

async function compile(
  ort: Ort,
  program: Program,
  constants: readonly DeviceConstant<HeapTensor>[],
): Promise<DeviceProgram<HeapTensor>> {
  const model = emitProgram(program, {
    constants: new Set(constants.map(({ parameter }) => parameter.scope)),
    constantFiles: true,
  });
  const externalData = model.constants.map((port) => ({
    path: port.port,
    data: constantBytes(port, constants),
  }));
  const session: OrtSession = await turns.take(() =>
    ort.InferenceSession.create(model.bytes, {
      executionProviders: ["wasm"],
      graphOptimizationLevel: "all",
      logSeverityLevel: LOG_FATAL,
      ...(externalData.length > 0 ? { externalData } : {}),
    })
  );
  const pasts = pastInputs(program);
  return {
    async run(inputs, parameters, sizes) {
      checkPasts(program.name, pasts, inputs, sizes);
      const feeds: Record<string, OrtTensor> = {};
      for (const port of model.inputs) {
        const { shape, data } = inputs[port.name]!;
        feeds[port.port] = new ort.Tensor(typeOf(port), data, shape);
      }
      model.parameters.forEach((port, index) => {
        const { shape, data } = parameters[index]!;
        feeds[port.port] = new ort.Tensor("float32", data, shape);
      });
      const results = await turns.take(() => session.run(feeds));
      const take = ({ port }: Port): HostTensor => {
        const { dims, data } = results[port]!;
        return { shape: [...dims], data: data as HostTensor["data"] };
      };
      return {
        outputs: model.outputs.map(take),
        updates: model.updates.map((port) => take(port) as HeapTensor),
      };
    },
    dispose: () => turns.take(() => session.release()),
  };
}

/** The device. @param threads Of one run. */
export function wasmDevice(ort: Ort, threads: number): Device<HeapTensor> {
  return {
    name: "onnx-wasm",
    device: "wasm",
    versions,
    limits: { maxTensorBytes: HEAP_BYTES, threads },
    upload: (shape, data) => ({ shape: [...shape], data }),
    download: ({ data }) => Promise.resolve(data.slice()),
    assemble(parts) {
      const inner = parts[0]!.tensor.shape.slice(1);
      const width = sizeOf(inner);
      const pieces = parts.map(({ tensor, start, count }) =>
        tensor.data.subarray(start * width, (start + count) * width)
      );
      const rows = parts.reduce((sum, { count }) => sum + count, 0);
      // What never changes need not be copied.
      if (pieces.length === 1) return { shape: [rows, ...inner], data: pieces[0]! };
      const data = new Float32Array(rows * width);
      let at = 0;
      for (const piece of pieces) {
        data.set(piece, at);
        at += piece.length;
      }
      return { shape: [rows, ...inner], data };
    },
    bytes: ({ data }) => data.byteLength,
    free() {},
    compile: (program, constants) => compile(ort, program, constants),
    dispose() {},
  };
}
