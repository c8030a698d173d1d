/**
 * A compiled program: a session and the constants it holds.
 *
 * @module
 */

import type { BoundExecutable, CompileOptions, Executable, Store } from "../../graph/backend.ts";
import { formatShape } from "../../graph/dim.ts";
import type { Program } from "../../graph/program.ts";
import type { Pointer } from "./api.ts";
import { BoundRun } from "./bound_run.ts";
import { type ConstantPort, emitProgram, type EmittedModel } from "./emit.ts";
import type { Block } from "./memory.ts";
import { ElementType } from "./proto.ts";
import { createSession, type Environment, type SessionConstant, tensorOver } from "./session.ts";
import { OnnxStore, type StoredTensor } from "./store.ts";
import type { Turns } from "./turns.ts";

/** Store of a scope, of this backend. */
function storeOf(
  name: string,
  stores: Readonly<Record<string, Store>>,
  scope: string,
): OnnxStore {
  const store = stores[scope];
  if (!store) {
    throw new TypeError(`Cannot bind ${name} as the scope ${scope} must have a store: missing`);
  }
  if (!(store instanceof OnnxStore)) {
    throw new TypeError(
      `Cannot bind ${name} as the store of ${scope} must be of this backend: it is of another`,
    );
  }
  return store;
}

/** The tensor of a parameter; a named first axis takes the first rows of a larger one. */
export function storedTensor(
  program: string,
  stores: Readonly<Record<string, Store>>,
  { scope, name, shape }: ConstantPort,
): StoredTensor {
  const tensor = storeOf(program, stores, scope).find(name);
  const fits = tensor !== undefined && tensor.shape.length === shape.length &&
    shape.every((dim, axis) => typeof dim === "string" || dim === tensor.shape[axis]);
  if (!fits) {
    throw new TypeError(
      `Cannot bind ${program} as ${scope}/${name} must have the shape ${formatShape(shape)}: ` +
        (tensor ? `[${tensor.shape}] is stored` : "the store has no such tensor"),
    );
  }
  return tensor;
}

/** An executable of this backend. */
export class OnnxExecutable implements Executable {
  readonly program: Program;
  readonly #environment: Environment;
  readonly #turns: Turns;
  readonly #model: EmittedModel;
  readonly #constants: readonly SessionConstant[];
  /** Keeps the memory of the constants. */
  readonly #blocks: readonly Block[];
  readonly #bound = new Set<BoundRun>();
  #session: Pointer | undefined;

  private constructor(
    program: Program,
    environment: Environment,
    turns: Turns,
    model: EmittedModel,
    session: Pointer,
    constants: readonly SessionConstant[],
    blocks: readonly Block[],
  ) {
    this.program = program;
    this.#environment = environment;
    this.#turns = turns;
    this.#model = model;
    this.#session = session;
    this.#constants = constants;
    this.#blocks = blocks;
  }

  /** Emits and compiles a program. */
  static async compile(
    environment: Environment,
    turns: Turns,
    program: Program,
    { constants = {}, signal }: CompileOptions,
  ): Promise<OnnxExecutable> {
    const scopes = new Set(Object.keys(constants));
    for (const { scope, name } of program.updates) {
      if (scopes.has(scope)) {
        throw new TypeError(
          `Cannot compile ${program.name} as a constant scope must not be updated: ${scope}/${name}`,
        );
      }
    }
    signal?.throwIfAborted();
    const model = emitProgram(program, scopes);
    const blocks: Block[] = [];
    const values: SessionConstant[] = [];
    try {
      for (const port of model.constants) {
        const { start, tensor } = constantMemory(program.name, constants, port);
        blocks.push(tensor.block);
        values.push({
          name: port.port,
          inspected: port.inspected,
          value: tensorOver(
            environment,
            tensor.block,
            port.shape as readonly number[],
            ElementType.float,
            start,
          ),
        });
      }
      const session = await createSession(environment, {
        name: program.name,
        model: model.bytes,
        constants: values,
        fewRows: program.equations.some(({ primitive }) => primitive === "cachedAttention"),
      });
      return new OnnxExecutable(program, environment, turns, model, session, values, blocks);
    } catch (error) {
      for (const { value } of values) environment.api.call.ReleaseValue(value);
      throw error;
    }
  }

  bind(stores: Readonly<Record<string, Store>> = {}): BoundExecutable {
    if (!this.#session) {
      throw new TypeError(`Cannot bind ${this.program.name} as it must not be disposed: it is`);
    }
    const bound = new BoundRun({
      environment: this.#environment,
      turns: this.#turns,
      program: this.program,
      model: this.#model,
      session: this.#session,
      parameters: this.#model.parameters.map((port) =>
        storedTensor(this.program.name, stores, port)
      ),
      updates: this.#model.updates.map((port) => storedTensor(this.program.name, stores, port)),
    });
    this.#bound.add(bound);
    return bound;
  }

  dispose(): Promise<void> {
    return this.#turns.take(() => {
      if (!this.#session) return;
      const { call } = this.#environment.api;
      for (const bound of this.#bound) bound.release();
      this.#bound.clear();
      call.ReleaseSession(this.#session);
      for (const { value } of this.#constants) call.ReleaseValue(value);
      this.#environment.api.trim();
      this.#session = undefined;
      void this.#blocks;
    });
  }
}

function constantMemory(
  program: string,
  constants: Readonly<Record<string, Store>>,
  port: ConstantPort,
): { readonly tensor: StoredTensor; readonly start: number } {
  if (!port.shape.every((dim) => typeof dim === "number")) {
    throw new TypeError(
      `Cannot compile ${program} as a constant must have known sizes: ` +
        `${port.scope}/${port.name} ${formatShape(port.shape)}`,
    );
  }
  if (!port.rows) return { tensor: storedTensor(program, constants, port), start: 0 };
  const [start] = port.rows;
  const tensor = storeOf(program, constants, port.scope).tensor(port.name);
  return { tensor, start: start * (tensor.elements / tensor.shape[0]!) };
}
