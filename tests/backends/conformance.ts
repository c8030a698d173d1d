/**
 * The laws of `graph/backend.ts` as tests, for any backend.
 *
 * @module
 */

import type { Backend } from "../../graph/mod.ts";
import type { Case } from "./conformance_cases/_support.ts";
import { encodedCases } from "./conformance_cases/encoded.ts";
import { errorCases } from "./conformance_cases/errors.ts";
import { modelCases } from "./conformance_cases/models.ts";
import { primitiveCases } from "./conformance_cases/primitives.ts";
import { runCases } from "./conformance_cases/runs.ts";
import { stateCases } from "./conformance_cases/state.ts";
import { storeCases } from "./conformance_cases/stores.ts";

/** Options of {@linkcode conformance}. */
export interface ConformanceOptions {
  /** Name of the backend in the tests' names. */
  readonly name: string;
  /**
   * Largest difference from the float64 interpreter, relative to the largest number of the tensor
   * (at least 1).
   */
  readonly tolerance: number;
  /** Cases left out, each with its reason. */
  readonly skips?: Readonly<Record<string, string>>;
}

/** Every case of the suite, in order. */
export function conformanceCases(): readonly string[] {
  return suite().map(({ name }) => name);
}

function suite(): Case[] {
  return [
    ...primitiveCases(),
    ...stateCases,
    ...storeCases,
    ...encodedCases,
    ...runCases,
    ...errorCases,
    ...modelCases,
  ];
}

/**
 * Registers the suite as one test with a step per case.
 *
 * @throws {RangeError} When a skip names no case.
 */
export function conformance(
  makeBackend: () => Promise<Backend>,
  { name, tolerance, skips = {} }: ConformanceOptions,
): void {
  const list = suite();
  for (const skip of Object.keys(skips)) {
    if (!list.some((one) => one.name === skip)) {
      throw new RangeError(`Cannot skip a case as it must be in the suite: ${skip}`);
    }
  }
  Deno.test(`the ${name} backend keeps the laws of backends`, async (t) => {
    const backend = await makeBackend();
    try {
      for (const one of list) {
        const reason = skips[one.name];
        await t.step({
          name: reason === undefined ? one.name : `${one.name} (skipped: ${reason})`,
          ignore: reason !== undefined,
          fn: () => one.run(backend, tolerance),
        });
      }
    } finally {
      await backend.dispose();
    }
  });
}
