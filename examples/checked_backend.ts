/**
 * A backend of one's own in a file: float64 arrays and the interpreter, and each result is checked, so
 * that the first program to make a number that is not finite is named. A run of it:
 *
 *     deno run examples/checked_backend.ts
 *
 * The suite for it is three lines; see docs/backends.md.
 *
 * @module
 */

import {
  type Backend,
  type Device,
  deviceBackend,
  type Float64Tensor,
  interpreter,
  ProgramBuilder,
} from "../graph/mod.ts";

type Stores = Record<string, Record<string, Float64Tensor>>;

/** @throws {RangeError} When a number of the tensor is not finite. */
function checked(program: string, name: string, tensor: Float64Tensor): Float64Tensor {
  const at = tensor.data.findIndex((x) => !Number.isFinite(x));
  if (at >= 0) {
    throw new RangeError(
      `Cannot run ${program} as all its numbers must be finite: ${name}[${at}] is ${
        tensor.data[at]
      }`,
    );
  }
  return tensor;
}

/** Rows of tensors, one part after the other. */
const assemble: Device<Float64Tensor>["assemble"] = (parts) => {
  const inner = parts[0]!.tensor.shape.slice(1);
  const width = inner.reduce((product, size) => product * size, 1);
  const rows = parts.reduce((sum, { count }) => sum + count, 0);
  const data = new Float64Array(rows * width);
  let at = 0;
  for (const { tensor, start, count } of parts) {
    data.set(tensor.data.subarray(start * width, (start + count) * width), at);
    at += count * width;
  }
  return { shape: [rows, ...inner], data };
};

/** The backend. */
export function createCheckedBackend(): Backend {
  return deviceBackend<Float64Tensor>({
    name: "checked",
    device: "cpu",
    versions: { checked: "1" },
    limits: { maxTensorBytes: 2 ** 32, threads: 1 },
    upload: (shape, values) => ({ shape: [...shape], data: Float64Array.from(values) }),
    download: ({ data }) => Promise.resolve(Float32Array.from(data)),
    assemble,
    bytes: ({ data }) => data.byteLength,
    free() {}, // the garbage collector does
    compile(program, constants) {
      const run = interpreter(program);
      const constant = new Map(constants.map(({ parameter, tensor }) => [parameter, tensor]));
      const bound = program.parameters.filter((parameter) => !constant.has(parameter));
      return Promise.resolve({
        // deno-lint-ignore require-await -- a rejection, not a throw
        async run(inputs, parameters) {
          const stores: Stores = {};
          const give = (scope: string, name: string, tensor: Float64Tensor) => {
            (stores[scope] ??= {})[name] = tensor;
          };
          for (const [{ scope, name }, tensor] of constant) give(scope, name, tensor);
          bound.forEach(({ scope, name }, index) => give(scope, name, parameters[index]!));
          const { outputs, updates } = run({ inputs, stores });
          return {
            outputs: program.outputs.map(({ name, value: { dtype } }) => {
              const { shape, data } = checked(program.name, name, outputs[name]!);
              return {
                shape,
                data: dtype === "float32" ? Float32Array.from(data) : Int32Array.from(data),
              };
            }),
            updates: program.updates.map(({ scope, name }) =>
              checked(program.name, name, updates[scope]![name]!)
            ),
          };
        },
        dispose() {},
      });
    },
    dispose() {},
  });
}

if (import.meta.main) {
  const g = new ProgramBuilder("logarithm");
  g.output("y", g.log(g.input("x", "float32", ["n"])));
  const bound = (await createCheckedBackend().compile(g.build())).bind();
  for (const x of [1, 0]) {
    const given = { x: { shape: [1], data: Float32Array.of(x) } };
    const text = await bound.run(given).then(
      ({ y }) => `log ${x} = ${y!.data[0]}`,
      (error: Error) => error.message,
    );
    Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
  }
}
