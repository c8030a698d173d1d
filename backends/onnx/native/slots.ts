/**
 * What is bound to the inputs and outputs of a session.
 *
 * @module
 */

import { type Api, cString, type Pointer } from "./api.ts";
import type { Port } from "../emit.ts";
import { elementTypes } from "../graph_emitter.ts";
import { allocate, type Block, floats, integers } from "./memory.ts";
import { ElementType } from "../proto.ts";
import { type Environment, tensorOver } from "./session.ts";

/** Native objects of one binding; they hold none of our memory. */
export class BindingHandles {
  readonly binding: Pointer;
  readonly runOptions: Pointer;
  readonly #api: Api;
  readonly #values = new Map<string, Pointer>();
  #released = false;

  constructor(api: Api, session: Pointer, doing: string) {
    this.#api = api;
    this.binding = api.create(doing, (out) => api.call.CreateIoBinding(session, out));
    this.runOptions = api.create(doing, (out) => api.call.CreateRunOptions(out));
  }

  get released(): boolean {
    return this.#released;
  }

  /** Keeps the tensor bound to a port, and frees the one before. */
  keep(port: string, value: Pointer): void {
    const old = this.#values.get(port);
    if (old) this.#api.call.ReleaseValue(old);
    this.#values.set(port, value);
  }

  /** Frees everything. Only when no run is under way. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#api.call.ReleaseIoBinding(this.binding);
    for (const value of this.#values.values()) this.#api.call.ReleaseValue(value);
    this.#api.call.ReleaseRunOptions(this.runOptions);
  }
}

/** A port of the session and what is bound to it now. */
export class Slot {
  readonly #environment: Environment;
  readonly #handles: BindingHandles;
  readonly #port: Port;
  readonly #name: Uint8Array<ArrayBuffer>;
  readonly #output: boolean;
  #block: Block | undefined;
  #shape = "";

  constructor(environment: Environment, handles: BindingHandles, port: Port, output: boolean) {
    this.#environment = environment;
    this.#handles = handles;
    this.#port = port;
    this.#name = cString(port.port);
    this.#output = output;
  }

  /** Binds a block from byte `start`, always the same, with a shape, unless it is bound already. */
  bind(block: Block, shape: readonly number[], start = 0): void {
    const text = shape.join();
    if (block === this.#block && text === this.#shape) return;
    const { api } = this.#environment;
    const type = this.#port.dtype === "bool" ? ElementType.int32 : elementTypes[this.#port.dtype];
    const value = tensorOver(this.#environment, block, shape, type, start);
    const bind = this.#output ? api.call.BindOutput : api.call.BindInput;
    api.check(bind(this.#handles.binding, this.#name, value), `bind ${this.#port.port}`);
    this.#handles.keep(this.#port.port, value);
    this.#block = block;
    this.#shape = text;
  }
}

/** A slot with memory of its own, which grows and is reused. */
export class HostSlot {
  readonly port: Port;
  readonly #slot: Slot;
  #block: Block | undefined;

  constructor(environment: Environment, handles: BindingHandles, port: Port, output: boolean) {
    this.port = port;
    this.#slot = new Slot(environment, handles, port, output);
  }

  /** Binds memory for a shape and returns it. */
  view(shape: readonly number[]): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
    const elements = shape.reduce((product, size) => product * size, 1);
    if (!this.#block || this.#block.bytes < elements * 4) this.#block = allocate(elements * 4);
    this.#slot.bind(this.#block, shape);
    return (this.port.dtype === "float32" ? floats : integers)(this.#block, 0, elements);
  }
}
