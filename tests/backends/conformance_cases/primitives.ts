/**
 * A run returns what the interpreter returns, for every primitive.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type Backend,
  decompose,
  interpret,
  isComposite,
  type Program,
} from "../../../graph/mod.ts";
import { allCases, type AnyCase, caseInputs, caseProgram } from "../../graph/_cases.ts";
import { assertClose, type Case } from "./_support.ts";

/** Runs a program on the backend at several sizes, with one executable, against the interpreter. */
async function agrees(backend: Backend, tolerance: number, one: AnyCase, ran: Program) {
  const executable = await backend.compile(ran);
  const bound = executable.bind();
  for (const [index, sizes] of one.case.sizes.entries()) {
    const inputs = caseInputs(one, sizes, index + 1);
    const want = interpret(caseProgram(one), { inputs }).outputs;
    const got = await bound.run(inputs);
    assert.deepEqual(Object.keys(got).sort(), Object.keys(want).sort());
    for (const { name, value } of ran.outputs) {
      const kind = value.dtype === "float32" ? Float32Array : Int32Array;
      assert.ok(got[name]!.data instanceof kind, `${name} is not a ${kind.name}`);
      assertClose(got[name]!, want[name]!, tolerance, `${name} at ${JSON.stringify(sizes)}`);
    }
  }
  await executable.dispose();
}

/** Each case of each primitive; composites native and decomposed. */
export function primitiveCases(): Case[] {
  return allCases().flatMap((one) => {
    const ran = caseProgram(one);
    const name = `${one.primitive}: ${one.case.name}`;
    const run = (backend: Backend, tolerance: number) => agrees(backend, tolerance, one, ran);
    if (!isComposite(one.primitive)) return [{ name, run }];
    return [{ name, run }, {
      name: `${name}, decomposed`,
      run: (backend: Backend, tolerance: number) => agrees(backend, tolerance, one, decompose(ran)),
    }];
  });
}
