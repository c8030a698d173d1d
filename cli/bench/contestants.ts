/**
 * The backends that are measured, and how fast each is about, so that no case takes too long.
 *
 * @module
 */

import type { Backend } from "../../graph/backend.ts";
import { fromFloat32, ProgramBuilder } from "../../graph/mod.ts";
import { oneLine } from "../errors.ts";
import { loadBackend } from "../load_model.ts";
import { BACKENDS } from "../options/shared.ts";
import { randomValues } from "./random_models.ts";

/** Name of a backend. */
export type BackendName = typeof BACKENDS[number];

/** A backend that is measured. */
export interface Contestant {
  readonly name: string;
  readonly backend: Backend;
  /** Milliseconds until it was there, its package's modules among them. */
  readonly openMs: number;
  /** Of a small product, about: 10⁹ operations a second. */
  readonly gflops: number;
}

/** A backend or a case that is not measured. */
export interface LeftOut {
  readonly name: string;
  readonly reason: string;
}

/** Who takes part. */
export interface Contest {
  readonly contestants: readonly Contestant[];
  readonly leftOut: LeftOut[];
}

/** Options of {@linkcode openContestants}. */
export interface OpenContestantsOptions {
  /** All that the machine has when not given. */
  readonly names?: readonly BackendName[];
  /** Of one computation; all cores when not given. */
  readonly threads?: number | undefined;
  /** Disposes the backends. */
  readonly resources: AsyncDisposableStack;
  /** Called before each is opened. */
  readonly onOpening?: (name: BackendName, index: number, total: number) => void;
}

/** Side of the product that tells how fast a backend is about. */
const PROBE = 128;

/**
 * Opens the backends. Of those not asked for by name, one that the machine lacks is left out with its
 * reason, and so is WebGPU on an adapter in software.
 *
 * @throws {Error} When one that was asked for cannot be opened.
 */
export async function openContestants(
  { names, threads, resources, onOpening }: OpenContestantsOptions,
): Promise<Contest> {
  const asked = names ?? BACKENDS;
  const contestants: Contestant[] = [];
  const leftOut: LeftOut[] = [];
  for (const [index, name] of asked.entries()) {
    onOpening?.(name, index, asked.length);
    if (names === undefined && name.endsWith("webgpu")) {
      const adapter = await softwareAdapter();
      if (adapter !== undefined) {
        leftOut.push({ name, reason: `WebGPU is computed in software here, by ${adapter}` });
        continue;
      }
    }
    try {
      const open = () => loadBackend({ backend: name, threads }, resources);
      contestants.push(await measureBackend(name, open));
    } catch (error) {
      if (names !== undefined) throw error;
      leftOut.push({ name, reason: oneLine(error) });
    }
  }
  return { contestants, leftOut };
}

/** Opens a backend, and finds how fast it is about. */
export async function measureBackend(
  name: string,
  open: () => Promise<Backend>,
): Promise<Contestant> {
  const began = performance.now();
  const backend = await open();
  const openMs = performance.now() - began;
  return { name, backend, openMs, gflops: await probe(backend) };
}

/** The one with the fastest small product: what others are compared with. */
export function fastest(contestants: readonly Contestant[]): Contestant | undefined {
  return contestants.reduce<Contestant | undefined>(
    (best, one) => best === undefined || one.gflops > best.gflops ? one : best,
    undefined,
  );
}

/** The best of some runs of a small product. */
async function probe(backend: Backend): Promise<number> {
  const g = new ProgramBuilder("probe");
  const x = g.input("x", "float32", [PROBE, PROBE]);
  const y = g.linear(x, g.parameter("weights", "w", [PROBE, PROBE]));
  g.output("y", g.slice(y, 0, 0, 1));
  const weights = await backend.createStore([
    fromFloat32("w", [PROBE, PROBE], randomValues("w", PROBE * PROBE, 1)),
  ]);
  const executable = await backend.compile(g.build(), { constants: { weights } });
  const bound = executable.bind();
  const input = { x: { shape: [PROBE, PROBE], data: randomValues("x", PROBE * PROBE, 1) } };
  let best = Infinity;
  for (let run = 0; run < 5; run++) {
    const began = performance.now();
    await bound.run(input);
    best = Math.min(best, performance.now() - began);
  }
  await executable.dispose();
  await weights.dispose();
  return 2 * PROBE ** 3 / best / 1e6;
}

/** Name of WebGPU's adapter where it computes on the processor; nothing where it does not. */
async function softwareAdapter(): Promise<string | undefined> {
  const { gpu } = navigator as { readonly gpu?: GPU };
  const info = (await gpu?.requestAdapter())?.info;
  if (info === undefined) return undefined;
  const name = info.description || info.vendor || "an adapter without a name";
  return info.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader/i.test(name) ? name : undefined;
}
