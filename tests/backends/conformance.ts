/**
 * The laws of `graph/backend.ts` as tests, for any backend.
 *
 * @module
 */

import type { Backend } from "../../graph/mod.ts";
import type { Case } from "./conformance_cases/_support.ts";
import { encodedCases } from "./conformance_cases/encoded.ts";
import { errorCases } from "./conformance_cases/errors.ts";
import { debertaCases } from "./conformance_cases/deberta.ts";
import { gpt2Cases } from "./conformance_cases/gpt2.ts";
import { llamaCases } from "./conformance_cases/llama.ts";
import { modelCases } from "./conformance_cases/models.ts";
import { primitiveCases } from "./conformance_cases/primitives.ts";
import { runCases } from "./conformance_cases/runs.ts";
import { stateCases } from "./conformance_cases/state.ts";
import { storeCases } from "./conformance_cases/stores.ts";

/** Options of {@linkcode conformance} and {@linkcode runConformance}. */
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

/** What became of a case. */
export interface CaseResult {
  /** The case. */
  readonly name: string;
  /** What happened. */
  readonly outcome: "passed" | "failed" | "skipped";
  /** The error's text, or why it was skipped. */
  readonly reason?: string;
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
    ...llamaCases,
    ...gpt2Cases,
    ...debertaCases,
  ];
}

/** The suite, each case beside the reason why it is skipped. */
function chosen(
  { skips = {} }: ConformanceOptions,
): { readonly one: Case; readonly reason: string | undefined }[] {
  const list = suite();
  for (const skip of Object.keys(skips)) {
    if (!list.some((one) => one.name === skip)) {
      throw new RangeError(`Cannot skip a case as it must be in the suite: ${skip}`);
    }
  }
  return list.map((one) => ({
    one,
    reason: Object.hasOwn(skips, one.name) ? skips[one.name] : undefined,
  }));
}

/**
 * Registers the suite as one test with a step per case.
 *
 * @throws {RangeError} When a skip names no case.
 */
export function conformance(
  makeBackend: () => Promise<Backend>,
  options: ConformanceOptions,
): void {
  const list = chosen(options);
  Deno.test(`the ${options.name} backend keeps the laws of backends`, async (t) => {
    const backend = await makeBackend();
    try {
      for (const { one, reason } of list) {
        await t.step({
          name: reason === undefined ? one.name : `${one.name} (skipped: ${reason})`,
          ignore: reason !== undefined,
          fn: () => one.run(backend, options.tolerance),
        });
      }
    } finally {
      await backend.dispose();
    }
  });
}

/**
 * Runs the suite where there is no test runner, such as in a browser.
 *
 * @throws {RangeError} When a skip names no case.
 */
export async function* runConformance(
  backend: Backend,
  options: ConformanceOptions,
): AsyncGenerator<CaseResult, void> {
  for (const { one, reason } of chosen(options)) {
    const { name } = one;
    if (reason !== undefined) {
      yield { name, outcome: "skipped", reason };
      continue;
    }
    try {
      await one.run(backend, options.tolerance);
      yield { name, outcome: "passed" };
    } catch (error) {
      yield {
        name,
        outcome: "failed",
        reason: error instanceof Error ? error.message : `${error}`,
      };
    }
  }
}
