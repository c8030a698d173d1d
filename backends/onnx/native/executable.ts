/**
 * A compiled program: a session and the constants it holds.
 *
 * @module
 */

import type { BoundExecutable, CompileOptions, Executable, Store } from "../../../graph/backend.ts";
import { formatShape } from "../../../graph/dim.ts";
import type { Program } from "../../../graph/program.ts";
import { checkStoredShape } from "../../../graph/stored_shapes.ts";
import type { Pointer } from "./api.ts";
import { BoundRun } from "./bound_run.ts";
import { type ConstantPort, emitProgram, type EmittedModel, type ParameterPort } from "../emit.ts";
import { inRowWindows, type RowWindow, windowKey } from "../row_windows.ts";
import type { Block } from "./memory.ts";
import { ElementType } from "../proto.ts";
import { type BlockWeights, liesBehind } from "./block_weights.ts";
import type { PackedPlace } from "./packed_weights.ts";
import { createSession, type Environment, type SessionConstant, tensorOver } from "./session.ts";
import { BindingHandles } from "./slots.ts";
import { OnnxStore, type StoredTensor } from "./store.ts";
import type { Turns } from "../../../graph/turns.ts";

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
  checkStoredShape(program, { scope, name, shape }, tensor?.shape);
  return tensor!;
}

/** What an executable is made of. */
interface ExecutableParts {
  readonly environment: Environment;
  readonly turns: Turns;
  readonly program: Program;
  readonly model: EmittedModel;
  /** Parameters that are rows of stored tensors. */
  readonly windows: ReadonlyMap<string, RowWindow>;
  readonly constants: readonly SessionConstant[];
  readonly packed: PackedPlace;
  /** Keeps the memory of the constants. */
  readonly blocks: readonly Block[];
  readonly onDispose: (executable: OnnxExecutable) => void;
}

/** An executable of this backend. */
export class OnnxExecutable implements Executable {
  readonly program: Program;
  readonly #parts: ExecutableParts;
  readonly #bindings = new Set<BindingHandles>();
  /** Frees the native part of what was bound and is no longer held. */
  readonly #forgotten = new FinalizationRegistry<BindingHandles>((handles) => {
    this.#bindings.delete(handles);
    handles.release();
  });
  #session: Pointer | undefined;

  constructor(parts: ExecutableParts, session: Pointer) {
    this.program = parts.program;
    this.#parts = parts;
    this.#session = session;
  }

  bind(stores: Readonly<Record<string, Store>> = {}): BoundExecutable {
    const { environment, turns, program, model, windows, blocks } = this.#parts;
    if (!this.#session) {
      throw new TypeError(`Cannot bind ${program.name} as it must not be disposed: it is`);
    }
    const stored = (port: ParameterPort) =>
      storedTensor(program.name, stores, { ...port, ...windows.get(windowKey(port)) });
    const parameters = model.parameters.map((port) => {
      const tensor = stored(port);
      if (!tensor.encoded) return tensor;
      throw new TypeError(
        `Cannot bind ${program.name} as encoded weights must be constants: ` +
          `${port.scope}/${port.name} is ${tensor.encoded.encoding}`,
      );
    });
    const updates = model.updates.map(stored);
    const session = this.#session;
    const handles = new BindingHandles(environment.api, session, `bind ${program.name}`);
    this.#bindings.add(handles);
    const read = { parameters, updates, blocks };
    const parts = { environment, turns, program, model, windows, session, ...read };
    const bound = new BoundRun(parts, handles);
    this.#forgotten.register(bound, handles);
    return bound;
  }

  dispose(): Promise<void> {
    const { environment: { api }, turns, constants, packed, onDispose } = this.#parts;
    return turns.take(() => {
      if (!this.#session) return;
      for (const handles of this.#bindings) handles.release();
      this.#bindings.clear();
      api.call.ReleaseSession(this.#session);
      for (const { value } of constants) api.call.ReleaseValue(value);
      packed.release();
      api.platform.trim();
      this.#session = undefined;
      onDispose(this);
    });
  }
}

/** Emits and compiles a program. */
export async function compileProgram(
  environment: Environment,
  turns: Turns,
  program: Program,
  { constants: stores = {}, activations = "float32", signal }: CompileOptions,
  onDispose: (executable: OnnxExecutable) => void,
): Promise<OnnxExecutable> {
  const scopes = new Set(Object.keys(stores));
  for (const { scope, name } of program.updates) {
    if (scopes.has(scope)) {
      throw new TypeError(
        `Cannot compile ${program.name} as a constant scope must not be updated: ${scope}/${name}`,
      );
    }
  }
  signal?.throwIfAborted();
  const encodedOf = ({ scope, name }: ConstantPort) =>
    storeOf(program.name, stores, scope).find(name)?.encoded;
  const { program: windowed, windows } = inRowWindows(program);
  const model = emitProgram(windowed, {
    constants: scopes,
    follows(port, before) {
      const [own, other] = [encodedOf(port), encodedOf(before)];
      return own !== undefined && other !== undefined && liesBehind(own, other);
    },
    encodingOf: (port) => encodedOf(port)?.encoding ?? "f32",
    activations,
    ownKernels: environment.kernels !== undefined,
  });
  const blocks: Block[] = [];
  const constants: SessionConstant[] = [];
  // Packing a constant for each run of many rows would not show. onnxruntime's products with 8-bit
  // activations have no kernel for weights that are not packed.
  const packs = environment.options.packing === "always" || activations === "int8" ||
    program.equations.some(({ primitive }) => primitive === "cachedAttention");
  const packed = environment.packed.take(packs ? Object.values(stores) : []);
  try {
    for (const port of model.constants) {
      const { block, start } = constantMemory(program.name, stores, port);
      const shape = port.shape as readonly number[];
      const type = port.part?.type ?? ElementType.float;
      blocks.push(block);
      constants.push({
        name: port.port,
        inspected: port.inspected,
        value: tensorOver(environment, block, shape, type, start),
      });
    }
    const session = await createSession(environment, {
      name: program.name,
      model: model.bytes,
      constants,
      packed: packed.container,
      packs,
    });
    const given = { environment, turns, program, model, windows, onDispose };
    return new OnnxExecutable({ ...given, constants, packed, blocks }, session);
  } catch (error) {
    packed.release();
    for (const { value } of constants) environment.api.call.ReleaseValue(value);
    throw error;
  }
}

function constantMemory(
  program: string,
  constants: Readonly<Record<string, Store>>,
  port: ConstantPort,
): { readonly block: Block; /** In bytes. */ readonly start: number } {
  if (!port.shape.every((dim) => typeof dim === "number")) {
    throw new TypeError(
      `Cannot compile ${program} as a constant must have known sizes: ` +
        `${port.scope}/${port.name} ${formatShape(port.shape)}`,
    );
  }
  const whole = !port.rows && !port.part;
  const tensor = whole
    ? storedTensor(program, constants, port)
    : storeOf(program, constants, port.scope).tensor(port.name);
  tensor.shared = true;
  const block = port.part ? partOf(tensor.encoded!, port.part.of) : tensor.block;
  const rowBytes = block.bytes / (tensor.shape[0] ?? 1);
  return { block, start: (port.rows?.[0] ?? 0) * rowBytes };
}

function partOf(weights: BlockWeights, part: "quants" | "scales" | "offsets"): Block {
  return weights[part]!;
}
