/**
 * The functions of onnxruntime's C API that are used here, by their place in its table. The table only
 * grows: a place never changes its meaning (`onnxruntime_c_api.h`, struct OrtApi).
 *
 * @module
 */

import { ONNXRUNTIME_VERSION } from "../_deps.ts";
import { type Library, openLibrary } from "./library.ts";
import { openPlatform, type Platform } from "./platform.ts";

/** A native pointer that is not null. */
export type Pointer = NonNullable<Deno.PointerValue>;

const p = "pointer";
const buffer = "buffer";

/**
 * Place and signature of each function. Those marked `nonblocking` run beside the event loop, those
 * marked `flush` with denormals as zero where the platform has a way.
 */
const table = {
  GetErrorMessage: { at: 2, parameters: [p], result: p },
  CreateEnv: { at: 3, parameters: ["i32", buffer, buffer], result: p },
  CreateSessionOptions: { at: 10, parameters: [buffer], result: p },
  EnableProfiling: { at: 14, parameters: [p, buffer], result: p },
  DisableMemPattern: { at: 17, parameters: [p], result: p },
  DisableCpuMemArena: { at: 19, parameters: [p], result: p },
  SetSessionLogSeverityLevel: { at: 22, parameters: [p, "i32"], result: p },
  SetSessionGraphOptimizationLevel: { at: 23, parameters: [p, "i32"], result: p },
  SetIntraOpNumThreads: { at: 24, parameters: [p, "i32"], result: p },
  SetInterOpNumThreads: { at: 25, parameters: [p, "i32"], result: p },
  AddCustomOpDomain: { at: 28, parameters: [p, p], result: p },
  CreateRunOptions: { at: 39, parameters: [buffer], result: p },
  RunOptionsSetTerminate: { at: 46, parameters: [p], result: p },
  RunOptionsUnsetTerminate: { at: 47, parameters: [p], result: p },
  CreateTensorWithDataAsOrtValue: {
    at: 49,
    parameters: [p, p, "usize", buffer, "usize", "i32", buffer],
    result: p,
  },
  CreateCpuMemoryInfo: { at: 69, parameters: ["i32", "i32", buffer], result: p },
  ReleaseEnv: { at: 92, parameters: [p], result: "void" },
  ReleaseStatus: { at: 93, parameters: [p], result: "void" },
  ReleaseMemoryInfo: { at: 94, parameters: [p], result: "void" },
  ReleaseSession: { at: 95, parameters: [p], result: "void" },
  ReleaseValue: { at: 96, parameters: [p], result: "void" },
  ReleaseRunOptions: { at: 97, parameters: [p], result: "void" },
  ReleaseSessionOptions: { at: 100, parameters: [p], result: "void" },
  ReleaseCustomOpDomain: { at: 101, parameters: [p], result: "void" },
  AddSessionConfigEntry: { at: 130, parameters: [p, buffer, buffer], result: p },
  RunWithBinding: { at: 133, parameters: [p, p, p], result: p, nonblocking: true, flush: true },
  CreateIoBinding: { at: 134, parameters: [p, buffer], result: p },
  ReleaseIoBinding: { at: 135, parameters: [p], result: "void" },
  BindInput: { at: 136, parameters: [p, buffer, p], result: p },
  BindOutput: { at: 137, parameters: [p, buffer, p], result: p },
  CreateAndRegisterAllocator: { at: 144, parameters: [p, p, p], result: p },
  AddInitializer: { at: 150, parameters: [p, buffer, p], result: p },
  CreateArenaCfg: { at: 156, parameters: ["usize", "i32", "i32", "i32", buffer], result: p },
  ReleaseArenaCfg: { at: 157, parameters: [p], result: "void" },
  CreatePrepackedWeightsContainer: { at: 166, parameters: [buffer], result: p },
  ReleasePrepackedWeightsContainer: { at: 167, parameters: [p], result: "void" },
  CreateSessionFromArrayWithPrepackedWeightsContainer: {
    at: 169,
    parameters: [p, buffer, "usize", p, p, buffer],
    result: p,
    nonblocking: true,
    flush: true,
  },
  UnregisterAllocator: { at: 177, parameters: [p, p], result: p },
  AddExternalInitializers: { at: 210, parameters: [p, buffer, buffer, "usize"], result: p },
} as const;

type Table = typeof table;
type Functions = { readonly [F in keyof Table]: Deno.UnsafeFnPointer<Table[F]>["call"] };

/** Version of the table that is asked for. */
const API_VERSION = 22;

/** onnxruntime's functions, and what every call needs. */
export interface Api {
  /** The table itself. */
  readonly functions: Pointer;
  readonly call: Functions;
  readonly version: string;
  /** Whether every thread of a run takes denormals as zero; otherwise none should. */
  readonly flushes: boolean;
  readonly platform: Pick<Platform, "trim" | "map" | "memoryFile">;
  /** Throws when a status is an error, and frees it. `doing` completes "Cannot …". */
  check(status: Deno.PointerValue, doing: string): void;
  /** Runs a function whose last argument receives a pointer. */
  create(doing: string, make: (out: BigUint64Array<ArrayBuffer>) => Deno.PointerValue): Pointer;
  close(): void;
}

/** Text with a final zero, as C wants it. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

/** Opens onnxruntime and its function table. */
export async function openApi(): Promise<Api> {
  const library: Library = await openLibrary();
  const base = new Deno.UnsafePointerView(library.symbols.OrtGetApiBase()!);
  const version = Deno.UnsafePointerView.getCString(
    new Deno.UnsafeFnPointer(base.getPointer(8)!, { parameters: [], result: p }).call()!,
  );
  const major = version.split(".").slice(0, 2).join(".");
  if (major !== ONNXRUNTIME_VERSION.split(".").slice(0, 2).join(".")) {
    library.close();
    throw new Error(
      `Cannot use onnxruntime as its version must be ${ONNXRUNTIME_VERSION}: ${version} is loaded`,
    );
  }
  const getApi = new Deno.UnsafeFnPointer(
    base.getPointer(0)!,
    { parameters: ["u32"], result: p } as const,
  );
  const platform = openPlatform();
  const functions = getApi.call(API_VERSION)!;
  const places = new Deno.UnsafePointerView(functions);
  const call = Object.fromEntries(
    Object.entries(table).map(([name, { at, ...definition }]) => {
      const native = places.getPointer(at * 8)!;
      const target = "flush" in definition ? platform.flushing(native) : native;
      const pointer = new Deno.UnsafeFnPointer(target as Deno.PointerObject<never>, definition);
      return [name, pointer.call.bind(pointer)];
    }),
  ) as unknown as Functions;

  const check = (status: Deno.PointerValue, doing: string) => {
    if (status === null) return;
    const message = Deno.UnsafePointerView.getCString(call.GetErrorMessage(status)!);
    call.ReleaseStatus(status);
    throw new Error(`Cannot ${doing} as onnxruntime refused: ${message}`);
  };
  return {
    functions,
    call,
    version,
    flushes: platform.flushes,
    platform,
    check,
    create(doing, make) {
      const out = new BigUint64Array(1);
      check(make(out), doing);
      return Deno.UnsafePointer.create(out[0]!)!;
    },
    close() {
      platform.close();
      library.close();
    },
  };
}
