/**
 * One arena for the intermediate values of all sessions of the process.
 *
 * By default each session keeps an arena of its own, as large as its largest run, while only one of them
 * runs at a time: scoring, training and sampling would add up. Here they take turns in one.
 *
 * @module
 */

import type { Api, Pointer } from "./api.ts";

/** Grow by doubling, as onnxruntime does by default; only what is touched takes memory. */
const NEXT_POWER_OF_TWO = 0;
const DEFAULT = -1;

/**
 * What may be left over of a free block that a value takes, in bytes: it is split off where it is larger.
 * The default, 128 MiB, gives a value up to that much more than it needs.
 */
const MOST_WASTE = 1 << 20;

/** Environments that are open. onnxruntime has one for the whole process, and one arena in it. */
let users = 0;

/** Makes the arena, unless it is there. @returns what gives it up again. */
export function shareArena(api: Api, env: Pointer, memoryInfo: Pointer): () => void {
  const { call, check, create } = api;
  if (users++ === 0) {
    const doing = "start onnxruntime";
    const settings = create(
      doing,
      (out) => call.CreateArenaCfg(0n, NEXT_POWER_OF_TWO, DEFAULT, MOST_WASTE, out),
    );
    try {
      check(call.CreateAndRegisterAllocator(env, memoryInfo, settings), doing);
    } catch (error) {
      users--;
      throw error;
    } finally {
      call.ReleaseArenaCfg(settings);
    }
  }
  return () => {
    // The environment itself may live on, as the package that brings the library has it too.
    if (--users === 0) check(call.UnregisterAllocator(env, memoryInfo), "close onnxruntime");
  };
}
