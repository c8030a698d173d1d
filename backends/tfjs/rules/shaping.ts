/** Primitives that make, move, select and reduce elements. */

import type { Kernels } from "../kernels.ts";
import type { TensorInfo, TfjsValues } from "../open.ts";
import type { Rules } from "./rule.ts";

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** Values of a literal as tfjs takes them. */
function literal(dtype: TensorInfo["dtype"], data: readonly number[]): TfjsValues {
  switch (dtype) {
    case "float32":
      return Float32Array.from(data);
    case "int32":
      return Int32Array.from(data);
    case "bool":
      return Uint8Array.from(data, (one) => one === 0 ? 0 : 1);
    default:
      return dtype satisfies never;
  }
}

/** Runs on integers what a device may not do on truth values. */
function widened(k: Kernels, x: TensorInfo, run: (x: TensorInfo) => TensorInfo): TensorInfo {
  if (x.dtype !== "bool") return run(x);
  return k.using(
    [k.using([k.call("Cast", { x }, { dtype: "int32" })], run)],
    (wide) => k.call("Cast", { x: wide! }, { dtype: "bool" }),
  );
}

type Shaping =
  | "constant"
  | "iota"
  | "broadcast"
  | "reshape"
  | "transpose"
  | "slice"
  | "pad"
  | "concat"
  | "reduceSum"
  | "reduceMax"
  | "softmax"
  | "logSumExp"
  | "gather"
  | "scatterAdd";

/** Rows are gathered and added as a matrix [rows, everything else]. */
export const shaping: Rules<Shaping> = {
  constant: (k, { attributes: { dtype, data }, shape }) =>
    k.upload(literal(dtype, data), shape, dtype),
  iota(k, { attributes: { axis }, shape }) {
    const inner = sizeOf(shape.slice(axis + 1));
    const values = Int32Array.from(
      { length: sizeOf(shape) },
      (_, index) => Math.floor(index / inner) % shape[axis]!,
    );
    return k.upload(values, shape, "int32");
  },
  broadcast: (k, { operands: [x], shape }) => k.broadcast(x!, shape),
  reshape: (k, { operands: [x], shape }) => k.reshape(x!, shape),
  transpose: (k, { operands: [x], attributes: { permutation: perm } }) =>
    k.call("Transpose", { x: x! }, { perm }),
  slice: (k, { operands: [x], attributes: { axis, start }, shape: size }) =>
    k.call("Slice", { x: x! }, { begin: size.map((_, at) => at === axis ? start : 0), size }),
  pad(k, { operands: [x], attributes: { axis, before, after }, shape }) {
    const paddings = shape.map((_, at) => at === axis ? [before, after] : [0, 0]);
    return widened(k, x!, (wide) => k.call("PadV2", { x: wide }, { paddings, constantValue: 0 }));
  },
  concat: (k, { operands, attributes: { axis } }) => k.call("Concat", operands, { axis }),
  reduceSum: (k, { operands: [x], attributes: { axes, keepDims } }) =>
    axes.length === 0 ? k.retain(x!) : k.call("Sum", { x: x! }, { axis: [...axes], keepDims }),
  reduceMax: (k, { operands: [x], attributes: { axes, keepDims } }) =>
    axes.length === 0
      ? k.retain(x!)
      : k.call("Max", { x: x! }, { reductionIndices: [...axes], keepDims }),
  softmax: (k, { operands: [x], shape }) =>
    k.call("Softmax", { logits: x! }, { dim: shape.length - 1 }),
  logSumExp(k, { operands: [x], shape }) {
    const last = shape.length;
    return k.using(
      [k.call("Max", { x: x! }, { reductionIndices: [last], keepDims: true })],
      (largest) => {
        const shifted = k.call("Sub", { a: x!, b: largest! });
        const powers = k.using([shifted], (one) => k.call("Exp", { x: one! }));
        const sum = k.using(
          [powers],
          (one) => k.call("Sum", { x: one! }, { axis: [last], keepDims: false }),
        );
        return k.using(
          [k.using([sum], (one) => k.call("Log", { x: one! })), k.reshape(largest!, shape)],
          (log, flat) => k.call("Add", { a: log!, b: flat! }),
        );
      },
    );
  },
  gather(k, { operands: [table, indices], shape }) {
    const rows = table!.shape[0]!;
    const count = sizeOf(indices!.shape);
    // WASM's GatherV2 looks up the place of each element; its GatherNd copies rows.
    const whole = k.device === "wasm";
    return k.using(
      [
        k.reshape(table!, [rows, sizeOf(table!.shape) / rows]),
        k.reshape(indices!, whole ? [count, 1] : [count]),
      ],
      (x, at) =>
        k.using(
          [
            whole
              ? k.call("GatherNd", { params: x!, indices: at! })
              : k.call("GatherV2", { x: x!, indices: at! }, { axis: 0, batchDims: 0 }),
          ],
          (found) => k.reshape(found!, shape),
        ),
    );
  },
  scatterAdd(k, { operands: [values, indices], shape }) {
    const count = sizeOf(indices!.shape);
    const width = sizeOf(shape.slice(1));
    return k.using(
      [k.reshape(indices!, [count, 1]), k.reshape(values!, [count, width])],
      (column, updates) =>
        k.using(
          [
            k.call("ScatterNd", { indices: column!, updates: updates! }, {
              shape: [shape[0], width],
            }),
          ],
          (sums) => k.reshape(sums!, shape),
        ),
    );
  },
};
