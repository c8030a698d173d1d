/** Memory that onnxruntime reads and writes, owned here. */

import type { FilePlace } from "../../../graph/tensor_source.ts";
import type { Pointer } from "./api.ts";
import type { Platform } from "./platform.ts";

/** Alignment that onnxruntime's kernels prefer. */
const ALIGNMENT = 64;

/** A block of memory, zero at first. It lives as long as this object is held, or until it is freed. */
export interface Block {
  readonly bytes: number;
  readonly buffer: ArrayBuffer;
  /** Where the aligned part starts. */
  readonly offset: number;
  readonly pointer: Pointer;
}

/** A new block of zeros. */
export function allocate(bytes: number): Block {
  const buffer = new ArrayBuffer(bytes + ALIGNMENT);
  const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
  const offset = (ALIGNMENT - Number(BigInt(address) % BigInt(ALIGNMENT))) % ALIGNMENT;
  const pointer = Deno.UnsafePointer.of(new Uint8Array(buffer, offset))!;
  return { bytes, buffer, offset, pointer };
}

/** Gives the memory of a block of {@linkcode allocate} back, without waiting for the collector. */
export function free({ buffer }: Block): void {
  buffer.transfer(0);
}

/** Gives the memory of mapped files back once nobody holds it. */
const mappings = new FinalizationRegistry<() => void>((unmap) => unmap());

/**
 * A block over bytes of a file, which are read when they are first touched and may be forgotten again
 * by the system, as they can be read again. What is written to the block stays in memory.
 *
 * @returns Nothing where the platform maps no files or the values would not be aligned.
 * @throws {Error} When the file cannot be mapped.
 */
export function mapped(
  platform: Pick<Platform, "map">,
  { path, offset }: FilePlace,
  bytes: number,
): Block | undefined {
  if (offset % Float32Array.BYTES_PER_ELEMENT !== 0) return undefined;
  const mapping = platform.map(path, offset, bytes);
  if (!mapping) return undefined;
  const { pointer, unmap } = mapping;
  const buffer = Deno.UnsafePointerView.getArrayBuffer(pointer, bytes) as ArrayBuffer;
  mappings.register(buffer, unmap);
  return { bytes, buffer, offset: 0, pointer };
}

/** Part of a block, which keeps all of it. */
export function partOf(block: Block, start: number, bytes: number): Block {
  const pointer = Deno.UnsafePointer.offset(block.pointer, start)!;
  return { bytes, buffer: block.buffer, offset: block.offset + start, pointer };
}

/** Elements of a block as floats. */
export function floats(block: Block, start: number, count: number): Float32Array<ArrayBuffer> {
  return new Float32Array(block.buffer, block.offset + start * 4, count);
}

/** Elements of a block as 32-bit integers. */
export function integers(block: Block, start: number, count: number): Int32Array<ArrayBuffer> {
  return new Int32Array(block.buffer, block.offset + start * 4, count);
}

/** Bytes of a block. */
export function bytes(block: Block, start: number, count: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(block.buffer, block.offset + start, count);
}
