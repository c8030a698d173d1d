/**
 * One program bound to its stores. Bindings are kept between runs: a run rebinds only what has
 * another size or another block than in the run before.
 *
 * @module
 */

import type { BoundExecutable, HostTensor, RunOptions } from "../../graph/backend.ts";
import { bindSizes } from "../../graph/bind_sizes.ts";
import { elementCount, evaluateDim, evaluateShape } from "../../graph/dim.ts";
import type { Program } from "../../graph/program.ts";
import { type Api, cString, type Pointer } from "./api.ts";
import type { EmittedModel, Port } from "./emit.ts";
import { elementTypes } from "./graph_emitter.ts";
import { allocate, type Block, floats, integers } from "./memory.ts";
import { ElementType } from "./proto.ts";
import { type Environment, tensorOver } from "./session.ts";
import { checkPasts, matchStored, type PastInput, pastInputs } from "./sizes.ts";
import type { StoredTensor } from "./store.ts";
import type { Turns } from "./turns.ts";

/** What a bound run is made of. */
export interface BoundRunParts {
  readonly environment: Environment;
  readonly turns: Turns;
  readonly program: Program;
  readonly model: EmittedModel;
  readonly session: Pointer;
  /** Tensors of the model's parameters and updates, in their order. */
  readonly parameters: readonly StoredTensor[];
  readonly updates: readonly StoredTensor[];
}

/** A port of the session and what is bound to it now. */
class Slot {
  readonly #environment: Environment;
  readonly #binding: Pointer;
  readonly #port: Port;
  readonly #name: Uint8Array<ArrayBuffer>;
  readonly #output: boolean;
  #block: Block | undefined;
  #shape = "";
  #value: Pointer | undefined;

  constructor(environment: Environment, binding: Pointer, port: Port, output: boolean) {
    this.#environment = environment;
    this.#binding = binding;
    this.#port = port;
    this.#name = cString(port.port);
    this.#output = output;
  }

  /** Binds a block with a shape, unless it is bound already. */
  bind(block: Block, shape: readonly number[]): void {
    const text = shape.join();
    if (block === this.#block && text === this.#shape) return;
    const { api } = this.#environment;
    const type = this.#port.dtype === "bool" ? ElementType.int32 : elementTypes[this.#port.dtype];
    const value = tensorOver(this.#environment, block, shape, type);
    const bind = this.#output ? api.call.BindOutput : api.call.BindInput;
    api.check(bind(this.#binding, this.#name, value), `bind ${this.#port.port}`);
    this.release();
    this.#block = block;
    this.#shape = text;
    this.#value = value;
  }

  release(): void {
    if (this.#value) this.#environment.api.call.ReleaseValue(this.#value);
    this.#value = undefined;
    this.#block = undefined;
  }
}

/** A slot with memory of its own, which grows and is reused. */
class HostSlot {
  readonly port: Port;
  readonly #slot: Slot;
  #block: Block | undefined;

  constructor(environment: Environment, binding: Pointer, port: Port, output: boolean) {
    this.port = port;
    this.#slot = new Slot(environment, binding, port, output);
  }

  /** Binds memory for a shape and returns it. */
  view(shape: readonly number[]): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
    const elements = shape.reduce((product, size) => product * size, 1);
    if (!this.#block || this.#block.bytes < elements * 4) this.#block = allocate(elements * 4);
    this.#slot.bind(this.#block, shape);
    return (this.port.dtype === "float32" ? floats : integers)(this.#block, 0, elements);
  }

  release(): void {
    this.#slot.release();
  }
}

/** See the module's text. */
export class BoundRun implements BoundExecutable {
  readonly #parts: BoundRunParts;
  readonly #api: Api;
  readonly #binding: Pointer;
  readonly #runOptions: Pointer;
  readonly #inputs: readonly HostSlot[];
  readonly #outputs: readonly HostSlot[];
  readonly #parameters: readonly Slot[];
  readonly #updates: readonly Slot[];
  readonly #pasts: readonly PastInput[];
  #released = false;

  constructor(parts: BoundRunParts) {
    const { environment, model, session, program } = parts;
    const api = environment.api;
    this.#parts = parts;
    this.#api = api;
    const doing = `bind ${program.name}`;
    const binding = api.create(doing, (out) => api.call.CreateIoBinding(session, out));
    this.#binding = binding;
    this.#runOptions = api.create(doing, (out) => api.call.CreateRunOptions(out));
    this.#inputs = model.inputs.map((port) => new HostSlot(environment, binding, port, false));
    this.#outputs = model.outputs.map((port) => new HostSlot(environment, binding, port, true));
    this.#parameters = model.parameters.map((port) => new Slot(environment, binding, port, false));
    this.#updates = model.updates.map((port) => new Slot(environment, binding, port, true));
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

  async #runNow(
    inputs: Readonly<Record<string, HostTensor>>,
    sizes: Record<string, number>,
    signal: AbortSignal | undefined,
  ): Promise<Record<string, HostTensor>> {
    const { program, model, parameters } = this.#parts;
    if (this.#released) {
      throw new TypeError(`Cannot run ${program.name} as it must not be disposed: it is`);
    }
    signal?.throwIfAborted();
    for (const slot of this.#inputs) {
      const { shape, data } = inputs[slot.port.name]!;
      slot.view(shape).set(data);
    }
    model.parameters.forEach((port, index) => {
      const tensor = parameters[index]!;
      this.#parameters[index]!.bind(
        tensor.block,
        matchStored(program.name, port, tensor.shape, sizes),
      );
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

  #bindUpdates(sizes: Record<string, number>): void {
    const { model, updates } = this.#parts;
    model.updates.forEach(({ shape, inPlace }, index) => {
      const tensor = updates[index]!;
      if (!inPlace) tensor.spare ??= allocate(tensor.block.bytes);
      this.#updates[index]!.bind(
        inPlace ? tensor.block : tensor.spare!,
        evaluateShape(shape, sizes),
      );
    });
  }

  /** Tensors whose update was written beside them take it; rows outside the run are kept. */
  #swap(sizes: Record<string, number>): void {
    const { model, updates } = this.#parts;
    model.updates.forEach(({ inPlace, shape }, index) => {
      if (inPlace) return;
      const tensor = updates[index]!;
      const { block, spare } = tensor;
      if (typeof shape[0] === "string") keepRows(tensor, evaluateDim(elementCount(shape), sizes));
      tensor.block = spare!;
      tensor.spare = block;
    });
  }

  async #call(signal: AbortSignal | undefined): Promise<void> {
    const { session, program } = this.#parts;
    const { call, check } = this.#api;
    const doing = `run ${program.name}`;
    check(call.RunOptionsUnsetTerminate(this.#runOptions), doing);
    const abort = () => check(call.RunOptionsSetTerminate(this.#runOptions), doing);
    signal?.addEventListener("abort", abort);
    try {
      const status = await call.RunWithBinding(session, this.#runOptions, this.#binding);
      if (status !== null && signal?.aborted) {
        call.ReleaseStatus(status);
        throw signal.reason;
      }
      check(status, doing);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Frees the bindings. Only when no run is under way. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    const slots = [this.#inputs, this.#outputs, this.#parameters, this.#updates];
    for (const slot of slots.flat()) slot.release();
    this.#api.call.ReleaseIoBinding(this.#binding);
    this.#api.call.ReleaseRunOptions(this.#runOptions);
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
