/**
 * Kernels of our own beside onnxruntime's: operators of the domain `sppo`, written in C (`kernels/`).
 *
 * The library is part of this module and goes from memory to the loader without a file, so that it
 * comes along wherever the module is imported from. It exists for Linux on x86-64; elsewhere, and on
 * processors without AVX2, programs are emitted for onnxruntime's kernels alone.
 *
 * @module
 */

import type { Api, Pointer } from "./api.ts";
import { cString } from "./api.ts";

/** The kernels of a backend. */
export interface OwnKernels {
  /** What of the processor they use, `avx512-vnni` or `avx2`. */
  readonly name: string;
  /** The domain of operators, which sessions are given. */
  readonly domain: Pointer;
  /**
   * Creates a session that is given the domain, the first of the process alone: onnxruntime looks
   * whether it knows the domain's name and then adds it, without a lock.
   *
   * @param create Returns a status, null when the session was created.
   */
  creating(create: () => Promise<Deno.PointerValue>): Promise<Deno.PointerValue>;
  /** Frees what is kept between runs. Only when no session is being created. */
  close(): void;
}

const p = "pointer";
const symbols = {
  sppo_kernels: { parameters: ["i32"], result: p },
  sppo_domain: { parameters: [p, "buffer", "buffer"], result: p },
  sppo_trim: { parameters: [], result: "void" },
} as const;

type Library = Deno.DynamicLibrary<typeof symbols>;

/** Loaded once in each thread of JavaScript. */
let loaded: Promise<Library | undefined> | undefined;

/** @returns Nothing where the system refuses code that comes from memory. */
async function load(api: Api): Promise<Library | undefined> {
  const { LIBRARY } = await import("./kernels/linux_x86_64.ts");
  const packed = Uint8Array.from(atob(LIBRARY), (letter) => letter.charCodeAt(0));
  const bytes = await new Response(
    new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip")),
  ).bytes();
  let path;
  try {
    path = api.platform.memoryFile("sppo-kernels", bytes);
    return Deno.dlopen(path, symbols);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return undefined;
  }
}

/** Whether onnxruntime knows the domain, and the creation of the session that tells it. */
const registration: { done: boolean; first?: Promise<Deno.PointerValue> | undefined } = {
  done: false,
};

async function creating(
  create: () => Promise<Deno.PointerValue>,
): Promise<Deno.PointerValue> {
  while (!registration.done) {
    if (registration.first) {
      await Promise.allSettled([registration.first]);
      continue;
    }
    registration.first = create();
    try {
      const status = await registration.first;
      registration.done = status === null;
      return status;
    } finally {
      registration.first = undefined;
    }
  }
  return await create();
}

/** Names of the kernels that this machine runs, the fastest first. */
function names({ symbols }: Library): string[] {
  const found: string[] = [];
  for (let index = 0;; index++) {
    const name = symbols.sppo_kernels(index);
    if (name === null) return found;
    found.push(Deno.UnsafePointerView.getCString(name));
  }
}

/**
 * Opens the kernels.
 *
 * @param wanted Name of the ones to use. Default: the fastest.
 * @returns Nothing where there are none for this machine and none are wanted.
 * @throws {RangeError} When the machine has not the wanted ones.
 */
export async function openOwnKernels(api: Api, wanted?: string): Promise<OwnKernels | undefined> {
  const exists = Deno.build.os === "linux" && Deno.build.arch === "x86_64";
  const library = exists ? await (loaded ??= load(api)) : undefined;
  const found = library ? names(library) : [];
  const name = wanted ?? found[0];
  if (name === undefined) return undefined;
  if (!library || !found.includes(name)) {
    const all = ["onnxruntime", ...found].join(", ");
    throw new RangeError(`Cannot start onnxruntime as kernels must be one of ${all}: ${name}`);
  }
  const domain = api.create(
    "add kernels",
    (out) => library.symbols.sppo_domain(api.functions, cString(name), out),
  );
  return {
    name,
    domain,
    creating,
    close() {
      api.call.ReleaseCustomOpDomain(domain);
      library.symbols.sppo_trim();
    },
  };
}
