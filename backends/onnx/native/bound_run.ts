/**
 * One program bound to its stores. Bindings are kept between runs: a run rebinds only what has
 * another size or another block than in the run before.
 *
 * @module
 */

import type { BoundExecutable, HostTensor, RunOptions } from "../../../graph/backend.ts";
import { bindSizes } from "../../../graph/bind_sizes.ts";
import {
  elementCount,
  evaluateDim,
  evaluateShape,
  type Shape,
  type Sizes,
} from "../../../graph/dim.ts";
import type { Program } from "../../../graph/program.ts";
import { matchStored } from "../../../graph/stored_shapes.ts";
import type { Pointer } from "./api.ts";
import type { EmittedModel, ParameterPort } from "../emit.ts";
import { type RowWindow, windowKey } from "../row_windows.ts";
import { allocate, type Block, floats } from "./memory.ts";
import type { Environment } from "./session.ts";
import { checkPasts, type PastInput, pastInputs } from "../past.ts";
import { type BindingHandles, HostSlot, Slot } from "./slots.ts";
import { checkAlive, type StoredTensor } from "./store.ts";
import type { Turns } from "../../../graph/turns.ts";

/** What a bound run is made of. */
export interface BoundRunParts {
  readonly environment: Environment;
  readonly turns: Turns;
  readonly program: Program;
  readonly model: EmittedModel;
  /** Parameters that are rows of stored tensors. */
  readonly windows: ReadonlyMap<string, RowWindow>;
  readonly session: Pointer;
  /** Tensors of the model's parameters and updates, in their order. */
  readonly parameters: readonly StoredTensor[];
  readonly updates: readonly StoredTensor[];
  /** Memory of the session's constants; kept here, as the executable itself may be forgotten. */
  readonly blocks: readonly Block[];
}

/** A tensor that an update goes to. */
interface Target {
  readonly tensor: StoredTensor;
  readonly shape: Shape;
  /** Elements of the tensor before it. */
  readonly start: number;
  readonly slot: Slot;
  readonly inPlace: boolean;
}

const FLOAT_BYTES = 4;

/** See the module's text. */
export class BoundRun implements BoundExecutable {
  readonly #parts: BoundRunParts;
  readonly #handles: BindingHandles;
  #inputs: readonly HostSlot[];
  #outputs: readonly HostSlot[];
  #parameters: readonly Slot[];
  #targets: readonly Target[];
  readonly #pasts: readonly PastInput[];

  constructor(parts: BoundRunParts, handles: BindingHandles) {
    const { environment, model, program, parameters } = parts;
    this.#parts = parts;
    this.#handles = handles;
    this.#inputs = model.inputs.map((port) => new HostSlot(environment, handles, port, false));
    this.#outputs = model.outputs.map((port) => new HostSlot(environment, handles, port, true));
    this.#parameters = model.parameters.map((port) => new Slot(environment, handles, port, false));
    const startOf = (port: ParameterPort) => parts.windows.get(windowKey(port))?.start ?? 0;
    const readers = new Map<StoredTensor, number[]>();
    model.parameters.forEach((port, index) => {
      const tensor = parameters[index]!;
      readers.set(tensor, [...readers.get(tensor) ?? [], startOf(port)]);
    });
    this.#targets = model.updates.map((port, index) => {
      const tensor = parts.updates[index]!;
      const start = startOf(port);
      // One store may stand for two scopes: then other names read the same memory.
      const names = readers.get(tensor)?.filter((other) => other === start).length ?? 0;
      return {
        tensor,
        shape: port.shape,
        start,
        slot: new Slot(environment, handles, port, true),
        inPlace: port.inPlace && names <= 1,
      };
    });
    const starts = new Map<StoredTensor, Set<number>>();
    for (const { tensor, start } of this.#targets) {
      const known = starts.get(tensor) ?? new Set();
      if (known.has(start)) {
        throw new TypeError(
          `Cannot bind ${program.name} as each stored tensor must be updated once: ` +
            "one store stands for two updated scopes",
        );
      }
      starts.set(tensor, known.add(start));
    }
    this.#pasts = pastInputs(program);
  }

  async run(
    inputs: Readonly<Record<string, HostTensor>>,
    { signal }: RunOptions = {},
  ): Promise<Record<string, HostTensor>> {
    const { program, turns } = this.#parts;
    const sizes = { ...bindSizes(program, inputs) };
    checkPasts(program.name, this.#pasts, inputs, sizes);
    const given = turns.busy ? copies(inputs) : inputs;
    return await turns.take(() => this.#runNow(given, sizes, signal));
  }

  dispose(): Promise<void> {
    return this.#parts.turns.take(() => {
      this.#handles.release();
      [this.#inputs, this.#outputs, this.#parameters, this.#targets] = [[], [], [], []];
    });
  }

  async #runNow(
    inputs: Readonly<Record<string, HostTensor>>,
    sizes: Record<string, number>,
    signal: AbortSignal | undefined,
  ): Promise<Record<string, HostTensor>> {
    const { program, model, windows, parameters, updates } = this.#parts;
    if (this.#handles.released) {
      throw new TypeError(`Cannot run ${program.name} as it must not be disposed: it is`);
    }
    for (const tensor of [...parameters, ...updates]) checkAlive(`run ${program.name}`, tensor);
    signal?.throwIfAborted();
    for (const slot of this.#inputs) {
      const { shape, data } = inputs[slot.port.name]!;
      slot.view(shape).set(data);
    }
    model.parameters.forEach((port, index) => {
      const tensor = parameters[index]!;
      const window = windows.get(windowKey(port));
      const shape = window
        ? port.shape as readonly number[]
        : matchStored(program.name, port, tensor.shape, sizes);
      this.#parameters[index]!.bind(tensor.block, shape, FLOAT_BYTES * (window?.start ?? 0));
    });
    this.#bindUpdates(sizes);
    const outputs: Record<string, HostTensor> = {};
    for (const slot of this.#outputs) {
      const shape = evaluateShape(slot.port.shape, sizes);
      outputs[slot.port.name] = { shape, data: slot.view(shape) };
    }
    await this.#call(signal);
    this.#swap(sizes);
    return outputs;
  }

  #bindUpdates(sizes: Sizes): void {
    for (const { tensor, shape, start, slot, inPlace } of this.#targets) {
      if (!inPlace) tensor.spare ??= allocate(tensor.block.bytes);
      const block = inPlace ? tensor.block : tensor.spare!;
      slot.bind(block, evaluateShape(shape, sizes), FLOAT_BYTES * start);
    }
  }

  /** Tensors whose update was written beside them take it; rows outside the run are kept. */
  #swap(sizes: Sizes): void {
    for (const { tensor, shape, start, inPlace } of this.#targets) {
      if (inPlace || start > 0) continue; // windows are swapped with the first of their tensor
      const { block, spare } = tensor;
      if (typeof shape[0] === "string") keepRows(tensor, evaluateDim(elementCount(shape), sizes));
      tensor.block = spare!;
      tensor.spare = block;
    }
  }

  async #call(signal: AbortSignal | undefined): Promise<void> {
    const { session, program, environment: { api: { call, check } } } = this.#parts;
    const { binding, runOptions } = this.#handles;
    const doing = `run ${program.name}`;
    check(call.RunOptionsUnsetTerminate(runOptions), doing);
    const abort = () => check(call.RunOptionsSetTerminate(runOptions), doing);
    signal?.addEventListener("abort", abort);
    try {
      const status = await call.RunWithBinding(session, runOptions, binding);
      if (status !== null && signal?.aborted) {
        call.ReleaseStatus(status);
        throw signal.reason;
      }
      check(status, doing);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }
}

/** Rows of the old value beyond those of the run are copied to the new one. */
function keepRows({ block, spare, elements }: StoredTensor, written: number): void {
  if (written === elements) return;
  floats(spare!, written, elements - written).set(floats(block, written, elements - written));
}

function copies(
  inputs: Readonly<Record<string, HostTensor>>,
): Record<string, HostTensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
  );
}
