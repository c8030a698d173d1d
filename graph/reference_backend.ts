/**
 * A backend over the float64 interpreter: the contract in its plainest form, and a place to test what
 * runs on backends. It is not fast.
 *
 * @module
 */

import type { Backend, HostTensor } from "./backend.ts";
import type { Device } from "./device.ts";
import { deviceBackend } from "./device_backend.ts";
import { type Float64Tensor, sizeOf } from "./float64.ts";
import { type GivenTensor, interpreter } from "./interpret.ts";
import type { DType } from "./program.ts";
import { simplify } from "./simplify.ts";

function toHost({ shape, data }: Float64Tensor, dtype: DType): HostTensor {
  return {
    shape,
    data: dtype === "float32" ? Float32Array.from(data) : Int32Array.from(data),
  };
}

/** Tensors in this process's memory, in float64; the interpreter runs the programs. */
const device: Device<Float64Tensor> = {
  name: "reference",
  device: "cpu",
  versions: { reference: "float64" },
  limits: { maxTensorBytes: 2 ** 32, threads: 1 },
  upload: (shape, values) => ({ shape: [...shape], data: Float64Array.from(values) }),
  download: ({ data }) => Promise.resolve(Float32Array.from(data)),
  assemble(parts) {
    const inner = parts[0]!.tensor.shape.slice(1);
    const width = sizeOf(inner);
    const rows = parts.reduce((sum, { count }) => sum + count, 0);
    const data = new Float64Array(rows * width);
    let at = 0;
    for (const { tensor, start, count } of parts) {
      data.set(tensor.data.subarray(start * width, (start + count) * width), at);
      at += count * width;
    }
    return { shape: [rows, ...inner], data };
  },
  bytes: ({ data }) => data.byteLength,
  free() {},
  compile(program, constants) {
    const run = interpreter(simplify(program));
    const bound = program.parameters.filter(({ scope, name }) =>
      !constants.some(({ parameter }) => parameter.scope === scope && parameter.name === name)
    );
    return Promise.resolve({
      // deno-lint-ignore require-await -- a rejection, not a throw
      async run(inputs, parameters) {
        const stores: Record<string, Record<string, GivenTensor>> = Object.create(null);
        const give = (scope: string, name: string, tensor: GivenTensor) => {
          (stores[scope] ??= Object.create(null) as Record<string, GivenTensor>)[name] = tensor;
        };
        constants.forEach(({ parameter: { scope, name }, tensor }) => give(scope, name, tensor));
        bound.forEach(({ scope, name }, index) => give(scope, name, parameters[index]!));
        const { outputs, updates } = run({ inputs, stores });
        return {
          outputs: program.outputs.map(({ name, value }) => toHost(outputs[name]!, value.dtype)),
          updates: program.updates.map(({ scope, name }) => updates[scope]![name]!),
        };
      },
      dispose() {},
    });
  },
  dispose() {},
};

/**
 * A backend that interprets programs in float64, in this thread. Stores keep float64 too, so that many
 * small updates add up without rounding; what is read from it is float32.
 *
 * @example
 * ```ts
 * import { createReferenceBackend } from "./reference_backend.ts";
 * import { ProgramBuilder } from "./builder.ts";
 * import assert from "node:assert/strict";
 *
 * const backend = createReferenceBackend();
 * const store = await backend.createStore([{ name: "count", shape: [] }]);
 * const g = new ProgramBuilder("step");
 * g.update("state", "count", g.add(g.parameter("state", "count", []), g.constant(1)));
 * const step = (await backend.compile(g.build())).bind({ state: store });
 * await step.run({});
 * await step.run({});
 * assert.deepEqual([...await store.read("count")], [2]);
 * ```
 */
export function createReferenceBackend(): Backend {
  return deviceBackend(referenceDevice());
}

/** The device of {@linkcode createReferenceBackend}, for what is built over devices. */
export function referenceDevice(): Device<Float64Tensor> {
  return { ...device };
}
