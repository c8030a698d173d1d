/**
 * Sessions and tensors of onnxruntime, as objects that free what they hold.
 *
 * @module
 */

import { type Api, cString, type Pointer } from "./api.ts";
import { shareArena } from "./arena.ts";
import type { OwnKernels } from "./own_kernels.ts";
import type { Block } from "./memory.ts";
import { PackedWeights } from "./packed_weights.ts";
import { ElementType } from "../proto.ts";

/** What sessions of one backend share. */
export interface Environment {
  readonly api: Api;
  readonly env: Pointer;
  readonly memoryInfo: Pointer;
  readonly packed: PackedWeights;
  /** Gives the arena up. */
  readonly leaveArena: () => void;
  /** Absent where onnxruntime's are all there is. */
  readonly kernels: OwnKernels | undefined;
  readonly options: SessionSettings;
}

/** Settings of sessions. */
export interface SessionSettings {
  readonly threads: number;
  readonly packing: "decode" | "always";
  readonly profile?: string;
}

/** Errors reach us as statuses; they are not printed too. */
const LOG_FATAL = 4;
const OPTIMISE_ALL = 99;
const ARENA_ALLOCATOR = 1;
const DEFAULT_MEMORY = 0;

/**
 * How long a thread without work waits actively before it sleeps: longer than most operators of a
 * decoding step, so that it is awake for the next one, and too short to take time from anything else.
 */
const SPIN_MICROSECONDS = "20";

/** Fusions into kernels that take longer: 1.9 ms for 512 × 768 beside 0.5 for sums and LayerNormalization. */
const SLOW_FUSIONS = "SkipLayerNormFusion";

/** Opens the environment of a backend. */
export function openEnvironment(
  api: Api,
  kernels: OwnKernels | undefined,
  options: SessionSettings,
): Environment {
  const doing = "start onnxruntime";
  const name = cString("sppo");
  const env = api.create(doing, (out) => api.call.CreateEnv(LOG_FATAL, name, out));
  const memoryInfo = api.create(
    doing,
    (out) => api.call.CreateCpuMemoryInfo(ARENA_ALLOCATOR, DEFAULT_MEMORY, out),
  );
  return {
    api,
    kernels,
    options,
    env,
    memoryInfo,
    leaveArena: shareArena(api, env, memoryInfo),
    packed: new PackedWeights(api),
  };
}

/** Frees the environment. */
export function closeEnvironment(
  { api, env, memoryInfo, leaveArena, kernels }: Environment,
): void {
  leaveArena();
  api.call.ReleaseMemoryInfo(memoryInfo);
  kernels?.close();
  api.call.ReleaseEnv(env);
  api.close();
}

/** Bytes of an element. */
const ELEMENT_BYTES: { readonly [T in ElementType]: number } = {
  [ElementType.float]: 4,
  [ElementType.int32]: 4,
  [ElementType.int64]: 8,
  [ElementType.bool]: 1,
  [ElementType.uint8]: 1,
  [ElementType.uint4]: 0.5,
};

/** A tensor over memory of ours, from byte `start`. Release it with `ReleaseValue`. */
export function tensorOver(
  { api, memoryInfo }: Environment,
  block: Block,
  shape: readonly number[],
  type: ElementType,
  start = 0,
): Pointer {
  const elements = shape.reduce((product, size) => product * size, 1);
  const dims = BigInt64Array.from(shape, BigInt);
  return api.create("wrap a tensor", (out) =>
    api.call.CreateTensorWithDataAsOrtValue(
      memoryInfo,
      Deno.UnsafePointer.offset(block.pointer, start),
      BigInt(elements * ELEMENT_BYTES[type]),
      dims,
      BigInt(dims.length),
      type,
      out,
    ));
}

/** What a session is made of. */
export interface SessionParts {
  readonly name: string;
  readonly model: Uint8Array<ArrayBuffer>;
  /** They must outlive the session. */
  readonly constants: readonly SessionConstant[];
  /** Where packed constants are; it must outlive the session. */
  readonly packed: Pointer;
  /** Whether they are packed. */
  readonly packs: boolean;
}

/** An initializer given to a session. */
export interface SessionConstant {
  readonly name: string;
  readonly value: Pointer;
  /** Whether its values are needed while the graph is optimised. */
  readonly inspected: boolean;
}

/** Creates a session; the event loop goes on meanwhile. */
export async function createSession(
  { api, env, kernels, options }: Environment,
  { name, model, constants, packed, packs }: SessionParts,
): Promise<Pointer> {
  const { call, check, create } = api;
  const doing = `compile ${name}`;
  const settings = create(doing, (out) => call.CreateSessionOptions(out));
  try {
    check(call.SetIntraOpNumThreads(settings, options.threads), doing);
    check(call.SetInterOpNumThreads(settings, 1), doing);
    check(call.SetSessionGraphOptimizationLevel(settings, OPTIMISE_ALL), doing);
    check(call.SetSessionLogSeverityLevel(settings, LOG_FATAL), doing);
    check(call.DisableMemPattern(settings), doing);
    const config = {
      "session.disable_prepacking": packs ? "0" : "1",
      "optimization.disable_specified_optimizers": SLOW_FUSIONS,
      "session.set_denormal_as_zero": api.flushes ? "1" : "0",
      "session.intra_op.allow_spinning": "1",
      "session.intra_op.spin_duration_us": SPIN_MICROSECONDS,
      "session.force_spinning_stop": "1", // at the end of each run
      "session.use_env_allocators": "1",
    };
    for (const [key, value] of Object.entries(config)) {
      check(call.AddSessionConfigEntry(settings, cString(key), cString(value)), doing);
    }
    if (options.profile !== undefined) {
      check(call.EnableProfiling(settings, path(`${options.profile}${name}`)), doing);
    }
    if (kernels) check(call.AddCustomOpDomain(settings, kernels.domain), doing);
    addConstants(api, settings, constants, doing);
    const out = new BigUint64Array(1);
    const create = () =>
      call.CreateSessionFromArrayWithPrepackedWeightsContainer(
        env,
        model,
        BigInt(model.length),
        settings,
        packed,
        out,
      );
    const status = await (kernels ? kernels.creating(create) : create());
    void model.length; // held until here
    check(status, doing);
    return Deno.UnsafePointer.create(out[0]!)!;
  } finally {
    call.ReleaseSessionOptions(settings);
    api.platform.trim();
  }
}

/**
 * Folder of a file of the name the model says holds its constants. It must exist, but is never read:
 * the values come from our memory. Where there is none every constant counts as inspected.
 */
const externalFolder: string | undefined = Deno.build.os === "windows" ? undefined : "/dev";

/**
 * Gives a session its constants over our memory. As shared initializers they are neither copied nor
 * packed more than once, but the graph's optimisation does not see them; as external data it does,
 * at the price of a copy while the session is created.
 */
function addConstants(
  { call, check }: Api,
  settings: Pointer,
  constants: readonly SessionConstant[],
  doing: string,
): void {
  if (externalFolder) {
    const key = cString("session.model_external_initializers_file_folder_path");
    check(call.AddSessionConfigEntry(settings, key, cString(externalFolder)), doing);
  }
  for (const { name, value } of constants) {
    check(call.AddInitializer(settings, cString(name), value), doing);
  }
  const inspected = constants.filter(({ inspected }) => inspected || !externalFolder);
  if (inspected.length === 0) return;
  const names = inspected.map(({ name }) => cString(name));
  const namePointers = BigUint64Array.from(names, (name) => address(Deno.UnsafePointer.of(name)));
  const values = BigUint64Array.from(inspected, ({ value }) => address(value));
  check(
    call.AddExternalInitializers(settings, namePointers, values, BigInt(inspected.length)),
    doing,
  );
}

function address(pointer: Deno.PointerValue): bigint {
  return BigInt(Deno.UnsafePointer.value(pointer));
}

/** A path as the C API takes it: UTF-16 on Windows. */
function path(text: string): Uint8Array<ArrayBuffer> {
  if (Deno.build.os !== "windows") return cString(text);
  const units = Uint16Array.from(`${text}\0`, (unit) => unit.charCodeAt(0));
  return new Uint8Array(units.buffer);
}
