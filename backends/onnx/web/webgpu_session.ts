/**
 * Sessions on a graphics card.
 *
 * @module
 */

import { type Ort, type OrtSession, turns } from "./open.ts";

/** Errors reach us as exceptions; they are not printed too. */
const LOG_FATAL = 4;

/** Refuses a session with nodes on another provider, where they would be placed unseen. */
const NOTHING_ELSEWHERE = { session: { disable_cpu_ep_fallback: "1" } };

/**
 * Compiles a model for a device.
 *
 * @param name For the message.
 * @throws {TypeError} When a node has no kernel there, or the model is wrong.
 */
export async function webGpuSession(
  ort: Ort,
  device: GPUDevice,
  name: string,
  bytes: Uint8Array,
): Promise<OrtSession> {
  try {
    return await turns.take(() =>
      ort.InferenceSession.create(bytes, {
        executionProviders: [{ name: "webgpu", device }],
        graphOptimizationLevel: "all",
        logSeverityLevel: LOG_FATAL,
        extra: NOTHING_ELSEWHERE,
      })
    );
  } catch (cause) {
    throw new TypeError(
      `Cannot compile ${name} as onnxruntime's WebGPU provider must run all of it: ` +
        `${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}
