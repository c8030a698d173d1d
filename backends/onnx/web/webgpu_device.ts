/**
 * onnxruntime on a graphics card. Tensors of stores are buffers of a device that this owns; each session
 * gets them as inputs, constants too, so the weights are held once whatever programs read them. A run
 * writes its updates into other buffers, which the stores then hold. What moves is the inputs, the outputs
 * and the vectors of sizes.
 *
 * Buffers given for the results are ours and not onnxruntime's (`preferredOutputLocation`): those live in
 * the allocator of their session, and stores live longer than sessions.
 *
 * @module
 */

import type { HostTensor } from "../../../graph/backend.ts";
import type { Device, DeviceConstant, DeviceProgram } from "../../../graph/device.ts";
import { evaluateDim, evaluateShape, type Sizes } from "../../../graph/dim.ts";
import type { Program } from "../../../graph/program.ts";
import { emitProgram, type ParameterPort } from "../emit.ts";
import type { SizesPort } from "../graph_emitter.ts";
import { type GpuBuffers, type GpuTensor, tensorBytes } from "./gpu_buffers.ts";
import { type Ort, type OrtTensor, turns, versions } from "./open.ts";
import { webGpuSession } from "./webgpu_session.ts";

async function compile(
  ort: Ort,
  buffers: GpuBuffers,
  program: Program,
  constants: readonly DeviceConstant<GpuTensor>[],
): Promise<DeviceProgram<GpuTensor>> {
  const model = emitProgram(program, { constants: new Set(), target: "webgpu" });
  const session = await webGpuSession(ort, buffers.device, program.name, model.bytes);
  const constantOf = ({ scope, name }: ParameterPort) =>
    constants.find(({ parameter }) => parameter.scope === scope && parameter.name === name)?.tensor;
  const given = (port: ParameterPort) => constantOf(port) === undefined;
  const bound = model.parameters.filter(given);
  const onDevice = ({ buffer, shape }: GpuTensor): OrtTensor =>
    ort.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims: shape });
  const sizesTensor = ({ dims, dtype }: SizesPort, sizes: Sizes): OrtTensor => {
    const values = dims.map((dim) => evaluateDim(dim, sizes));
    return dtype === "int64"
      ? new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [values.length])
      : new ort.Tensor("int32", Int32Array.from(values), []);
  };
  return {
    async run(inputs, parameters, sizes) {
      const doing = `run ${program.name}`;
      buffers.checkWorking(doing);
      const feeds: Record<string, OrtTensor> = {};
      for (const { port, name, dtype } of model.inputs) {
        const { shape, data } = inputs[name]!;
        feeds[port] = new ort.Tensor(dtype === "float32" ? "float32" : "int32", data, shape);
      }
      for (const port of model.sizes) feeds[port.port] = sizesTensor(port, sizes);
      for (const port of model.parameters) {
        const tensor = constantOf(port) ?? parameters[bound.indexOf(port)]!;
        feeds[port.port] = onDevice(tensor);
      }
      const updates = model.updates.map(({ shape }) => buffers.take(evaluateShape(shape, sizes)));
      try {
        const fetches = Object.fromEntries<OrtTensor | null>([
          ...model.updates.map(({ port }, index) => [port, onDevice(updates[index]!)] as const),
          ...model.outputs.map(({ port }) => [port, null] as const),
        ]);
        const results = await turns.take(() => session.run(feeds, fetches));
        buffers.checkWorking(doing);
        const outputs = model.outputs.map(({ port }): HostTensor => {
          const { dims, data } = results[port]!;
          return { shape: [...dims], data: data as HostTensor["data"] };
        });
        return { outputs, updates };
      } catch (error) {
        for (const update of updates) buffers.give(update);
        throw error;
      }
    },
    dispose: () => turns.take(() => session.release()),
  };
}

/** The device. @param buffers It owns them. */
export function webGpuDevice(ort: Ort, buffers: GpuBuffers): Device<GpuTensor> {
  const { limits } = buffers.device;
  return {
    name: "onnx-webgpu",
    device: "webgpu",
    versions,
    limits: {
      maxTensorBytes: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
      threads: 1,
    },
    upload: (shape, values) => buffers.upload(shape, values),
    download: (tensor) => buffers.download(tensor),
    assemble: (parts) => buffers.assemble(parts),
    bytes: ({ shape }) => tensorBytes(shape),
    free: (tensor) => buffers.give(tensor),
    compile: (program, constants) => compile(ort, buffers, program, constants),
    dispose: () => buffers.destroy(),
  };
}
