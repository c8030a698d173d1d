/**
 * A device over a device whose buffers are too small for some tensors: these are kept as several, of some
 * rows each, and programs are written over them.
 *
 * @module
 */

import type { Device, DeviceConstant, Rows } from "./device.ts";
import { evaluateShape, formatShape } from "./dim.ts";
import type { Parameter } from "./program.ts";
import { pieceName, type PieceRows, pieceRows, splitParameters } from "./split_parameters.ts";

/** A tensor as one buffer, or as several of some rows each. */
export interface PiecedTensor<T> {
  /** Its shape. */
  readonly shape: readonly number[];
  /** Its rows, in order. */
  readonly pieces: readonly (PieceRows & { readonly tensor: T })[];
}

/** The rows of each piece of a parameter whose shape is known. */
function rowsOf({ value: { shape } }: Parameter, maxBytes: number): PieceRows[] | undefined {
  const known = shape.length > 0 && shape.every((dim) => typeof dim === "number");
  return known ? pieceRows(shape as readonly number[], maxBytes) : undefined;
}

/** Rows of pieced tensors as rows of their pieces. */
function flatten<T>(parts: readonly Rows<PiecedTensor<T>>[]): Rows<T>[] {
  return parts.flatMap(({ tensor, start, count }) =>
    tensor.pieces.flatMap((piece) => {
      const [from, to] = [Math.max(start, piece.start), Math.min(start + count, piece.end)];
      return from < to
        ? [{ tensor: piece.tensor, start: from - piece.start, count: to - from }]
        : [];
    })
  );
}

/** The parts of rows `start` to `end` of what parts make. */
function between<T>(parts: readonly Rows<T>[], { start, end }: PieceRows): Rows<T>[] {
  let at = 0;
  return parts.flatMap((part) => {
    const [from, to] = [Math.max(start, at), Math.min(end, at + part.count)];
    const found = from < to
      ? [{ tensor: part.tensor, start: part.start + from - at, count: to - from }]
      : [];
    at += part.count;
    return found;
  });
}

/**
 * Lets a device hold tensors of any size, as long as each row fits in a buffer. A program may look up,
 * slice and multiply with a matrix in pieces; see {@linkcode splitParameters}.
 *
 * @param maxBytes Largest buffer. Default: the device's limit.
 */
export function splitDevice<T>(
  device: Device<T>,
  maxBytes: number = device.limits.maxTensorBytes,
): Device<PiecedTensor<T>> {
  /** The one buffer of a tensor that a program takes whole. */
  const whole = (program: string, { shape, pieces }: PiecedTensor<T>): T => {
    if (pieces.length > 1) {
      throw new TypeError(
        `Cannot run ${program} as a tensor whose rows are named must be in one buffer: ` +
          `${formatShape(shape)} is in ${pieces.length}`,
      );
    }
    return pieces[0]!.tensor;
  };
  const rowsOfShape = (shape: readonly number[]) =>
    shape.length === 0 ? [{ start: 0, end: 1 }] : pieceRows(shape, maxBytes);
  return {
    name: device.name,
    device: device.device,
    versions: device.versions,
    limits: { ...device.limits, maxTensorBytes: Number.MAX_SAFE_INTEGER },
    async upload(shape, values) {
      const [count = 1, ...inner] = shape;
      const width = values.length / count;
      const pieces: (PieceRows & { readonly tensor: T })[] = [];
      for (const rows of rowsOfShape(shape)) {
        const part = values.subarray(rows.start * width, rows.end * width);
        const own = shape.length === 0 ? [] : [rows.end - rows.start, ...inner];
        pieces.push({ ...rows, tensor: await device.upload(own, part) });
      }
      return { shape: [...shape], pieces };
    },
    async download({ pieces }) {
      if (pieces.length === 1) return await device.download(pieces[0]!.tensor);
      const parts: Float32Array[] = [];
      for (const { tensor } of pieces) parts.push(await device.download(tensor));
      const values = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
      let at = 0;
      for (const part of parts) {
        values.set(part, at);
        at += part.length;
      }
      return values;
    },
    async assemble(parts) {
      const rows = parts.reduce((sum, { count }) => sum + count, 0);
      const shape = [rows, ...parts[0]!.tensor.shape.slice(1)];
      const flat = flatten(parts);
      const pieces: (PieceRows & { readonly tensor: T })[] = [];
      for (const own of rowsOfShape(shape)) {
        pieces.push({ ...own, tensor: await device.assemble(between(flat, own)) });
      }
      return { shape, pieces };
    },
    bytes: ({ pieces }) => pieces.reduce((sum, { tensor }) => sum + device.bytes(tensor), 0),
    free: ({ pieces }) => pieces.forEach(({ tensor }) => device.free(tensor)),
    async compile(original, constants, signal) {
      const program = splitParameters(original, (parameter) => rowsOf(parameter, maxBytes));
      const split = (parameter: Parameter, tensor: PiecedTensor<T>): DeviceConstant<T>[] =>
        tensor.pieces.map((piece) => {
          const { scope } = parameter;
          const name = tensor.pieces.length === 1
            ? parameter.name
            : pieceName(parameter.name, piece);
          const found = program.parameters.find((one) => one.scope === scope && one.name === name);
          return { parameter: found!, tensor: piece.tensor };
        });
      const compiled = await device.compile(
        program,
        constants.flatMap(({ parameter, tensor }) => split(parameter, tensor)),
        signal,
      );
      const bound = original.parameters.filter(({ scope, name }) =>
        !constants.some(({ parameter }) => parameter.scope === scope && parameter.name === name)
      );
      return {
        async run(inputs, parameters, sizes, signal) {
          const given = parameters.flatMap((tensor, index) =>
            rowsOf(bound[index]!, maxBytes)
              ? tensor.pieces.map((piece) => piece.tensor)
              : [whole(program.name, tensor)]
          );
          const { outputs, updates } = await compiled.run(inputs, given, sizes, signal);
          return {
            outputs,
            updates: updates.map((tensor, index) => {
              const { next } = original.updates[index]!;
              const shape = evaluateShape(next.shape, sizes);
              return { shape, pieces: [{ start: 0, end: shape[0] ?? 1, tensor }] };
            }),
          };
        },
        dispose: () => compiled.dispose(),
      };
    },
    dispose: () => device.dispose(),
  };
}
