/**
 * What the C library gives beside onnxruntime, on Linux.
 *
 * **Denormals as zero on the thread that calls.** Numbers below 1.2e-38 make some processors ten times
 * slower. onnxruntime's own threads flush them to zero when asked (`session.set_denormal_as_zero`), but
 * a run also works on the thread that calls it, which for a call beside the event loop is any of a
 * pool. Which share of a tensor each thread computes depends on timing: with only some of them
 * flushing, a run would not even repeat its own numbers. So the call goes through a few instructions
 * that set the two flags and put them back after. The thread of JavaScript never changes its
 * arithmetic. On other platforms no thread flushes.
 *
 * **Freed memory goes back.** Compiling frees packed copies that other sessions already have; the C
 * library would keep each thread's for later.
 *
 * **Files as memory.** Weights that a file holds as they are computed with are mapped, so that they take
 * memory only once they are read, and memory that other processes share and the system can take back.
 *
 * @module
 */

import type { Pointer } from "./api.ts";

/** See the module's text. */
export interface Platform {
  /** Whether `flushing` flushes. */
  readonly flushes: boolean;
  /** `target` (at most six arguments, no floats) with denormals as zero while it runs. */
  flushing(target: Pointer): Pointer;
  /** Returns freed memory to the system. */
  trim(): void;
  /**
   * Bytes of a file as memory, which may be written without changing the file.
   *
   * @returns Nothing where no files are mapped.
   * @throws {Error} When the file does not have them or cannot be opened.
   */
  map(path: string, offset: number, bytes: number): Mapping | undefined;
  /**
   * The path of a new file in memory. It stays, so that no other gets its path, by which the loader
   * knows what it has loaded.
   *
   * @throws {Error} When the system gives none.
   */
  memoryFile(name: string, bytes: Uint8Array<ArrayBuffer>): string;
  close(): void;
}

/** A part of a file in memory. */
export interface Mapping {
  readonly pointer: Pointer;
  /** Afterwards nothing may read it. */
  unmap(): void;
}

/** x86-64, System V: flush-to-zero and denormals-are-zero are bits 15 and 6 of MXCSR. */
const before = [
  [0x48, 0x83, 0xec, 0x18], // sub rsp, 24
  [0x0f, 0xae, 0x5c, 0x24, 0x08], // stmxcsr [rsp + 8]
  [0x8b, 0x44, 0x24, 0x08], // mov eax, [rsp + 8]
  [0x0d, 0x40, 0x80, 0x00, 0x00], // or eax, 0x8040
  [0x89, 0x44, 0x24, 0x0c], // mov [rsp + 12], eax
  [0x0f, 0xae, 0x54, 0x24, 0x0c], // ldmxcsr [rsp + 12]
  [0x48, 0xb8], // mov rax, (the next 8 bytes)
].flat();
const after = [
  [0xff, 0xd0], // call rax
  [0x0f, 0xae, 0x54, 0x24, 0x08], // ldmxcsr [rsp + 8]
  [0x48, 0x83, 0xc4, 0x18], // add rsp, 24
  [0xc3], // ret
].flat();

const PAGE = 4096;
const SLOT = 64;
const READ_WRITE = 1 | 2;
const READ_EXECUTE = 1 | 4;
const PRIVATE = 0x02;
const PRIVATE_ANONYMOUS = PRIVATE | 0x20;
/** `open`: for reading, and closed in programs that are started. */
const READ_ONLY = 0o2000000;
/** `memfd_create`: closed in programs that are started. */
const CLOSE_ON_EXEC = 1;
/** A multiple of every size that pages have. */
const MAP_START = 1 << 16;
const FAILED = 2n ** 64n - 1n;

const elsewhere: Platform = {
  flushes: false,
  flushing: (target) => target,
  trim: () => {},
  map: () => undefined,
  memoryFile: (name) => {
    throw new Error(
      `Cannot make ${name} as files in memory must be had, as Linux has them: none are`,
    );
  },
  close: () => {},
};

/** Opens the C library. */
export function openPlatform(): Platform {
  if (Deno.build.os !== "linux") return elsewhere;
  const library = Deno.dlopen("libc.so.6", {
    mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
    mprotect: { parameters: ["pointer", "usize", "i32"], result: "i32" },
    munmap: { parameters: ["pointer", "usize"], result: "i32" },
    malloc_trim: { parameters: ["usize"], result: "i32" },
    open: { parameters: ["buffer", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
    memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
    write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  });
  const { symbols } = library;
  const pages: Pointer[] = [];
  let closed = false;
  const flushes = Deno.build.arch === "x86_64";
  return {
    flushes,
    flushing(target) {
      if (!flushes) return target;
      const page = symbols.mmap(null, BigInt(PAGE), READ_WRITE, PRIVATE_ANONYMOUS, -1, 0n);
      if (page === null || Deno.UnsafePointer.value(page) === FAILED) {
        throw new Error("Cannot start onnxruntime as a page of memory must be had: mmap failed");
      }
      pages.push(page);
      const code = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(page, SLOT));
      const address = BigInt(Deno.UnsafePointer.value(target));
      code.set(before);
      new DataView(code.buffer).setBigUint64(before.length, address, true);
      code.set(after, before.length + 8);
      if (symbols.mprotect(page, BigInt(PAGE), READ_EXECUTE) !== 0) {
        throw new Error(
          "Cannot start onnxruntime as code must be made executable: mprotect failed",
        );
      }
      return page;
    },
    trim: () => void symbols.malloc_trim(0n),
    map(path, offset, bytes) {
      const file = symbols.open(new TextEncoder().encode(`${path}\0`), READ_ONLY);
      if (file < 0) {
        throw new Error(`Cannot map ${path} as it must be a file that opens: it does not`);
      }
      const start = offset - offset % MAP_START;
      const length = BigInt(offset - start + bytes);
      const mapping = symbols.mmap(null, length, READ_WRITE, PRIVATE, file, BigInt(start));
      symbols.close(file);
      if (mapping === null || Deno.UnsafePointer.value(mapping) === FAILED) {
        throw new Error(`Cannot map ${path} as the system must have room for it: mmap failed`);
      }
      return {
        pointer: Deno.UnsafePointer.offset(mapping, offset - start)!,
        unmap() {
          if (!closed) symbols.munmap(mapping, length);
        },
      };
    },
    memoryFile(name, bytes) {
      const file = symbols.memfd_create(new TextEncoder().encode(`${name}\0`), CLOSE_ON_EXEC);
      const written = file < 0 ? 0 : Number(symbols.write(file, bytes, BigInt(bytes.length)));
      if (file < 0 || written !== bytes.length) {
        if (file >= 0) symbols.close(file);
        throw new Error(`Cannot make ${name} as a file in memory must be had: memfd_create failed`);
      }
      return `/proc/self/fd/${file}`;
    },
    close() {
      closed = true;
      for (const page of pages) symbols.munmap(page, BigInt(PAGE));
      library.close();
    },
  };
}
