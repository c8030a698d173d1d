/**
 * The largest memory that this process has had.
 *
 * @module
 */

import process from "node:process";

/** A line of /proc/self/status: the largest resident set since the program started, in KiB. */
const HIGH_WATER = /^VmHWM:\s+(\d+) kB$/m;
const STATUS_BYTES = 1 << 14;

/**
 * Largest resident memory of this process so far, in bytes.
 *
 * `getrusage` counts the peak of whoever started the program too, where that was larger, as Linux keeps
 * it over `exec`. The kernel's own account starts anew with the program; Deno reads /proc for nobody who
 * lacks all permissions, so the C library reads it, where `--allow-ffi` is given. Elsewhere it is
 * `getrusage`'s number.
 */
export function peakMemory(): number {
  const kib = highWaterKib();
  return (kib ?? process.resourceUsage().maxRSS) * 1024;
}

function highWaterKib(): number | undefined {
  if (Deno.build.os !== "linux") return undefined;
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return undefined;
  using library = openLibrary();
  const { open, read, close } = library.symbols;
  const file = open(new TextEncoder().encode("/proc/self/status\0"), 0);
  if (file < 0) return undefined; // no /proc is mounted
  try {
    const bytes = new Uint8Array(STATUS_BYTES);
    const count = Number(read(file, bytes, BigInt(bytes.length)));
    const match = HIGH_WATER.exec(new TextDecoder().decode(bytes.subarray(0, Math.max(0, count))));
    return match ? Number(match[1]) : undefined;
  } finally {
    close(file);
  }
}

function openLibrary() {
  const library = Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32"], result: "i32" },
    read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
    close: { parameters: ["i32"], result: "i32" },
  });
  return { symbols: library.symbols, [Symbol.dispose]: () => library.close() };
}
