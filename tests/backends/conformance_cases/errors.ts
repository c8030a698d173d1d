/**
 * What does not fit is refused by name.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Backend, HostTensor } from "../../../graph/mod.ts";
import { type Case, float, int, numbersOf, program, scaled, storeOf } from "./_support.ts";

async function rejectsInput(
  backend: Backend,
  inputs: Readonly<Record<string, HostTensor>>,
  message: RegExp,
): Promise<void> {
  const executable = await backend.compile(program("checked", (g) => {
    const x = g.input("x", "float32", ["b", "t", 2]);
    const n = g.input("n", "int32", ["b"]);
    g.output("y", g.add(x, g.cast(g.reshape(n, ["b", 1, 1]), "float32")));
  }));
  const bound = executable.bind();
  await assert.rejects(async () => await bound.run(inputs), (error: Error) => {
    assert.ok(error instanceof TypeError, `${error} is no TypeError`);
    assert.match(error.message, message);
    return true;
  });
  // The executable lives on.
  const { y } = await bound.run({ x: float([1, 1, 2], 1, 2), n: int([1], 3) });
  assert.deepEqual(numbersOf(y), [4, 5]);
  await executable.dispose();
}

const goodX = float([1, 2, 2], 1, 2, 3, 4);
const goodN = int([1], 1);

/** What is refused. */
export const errorCases: readonly Case[] = [
  {
    name: "a missing input is refused by name",
    run: (backend) => rejectsInput(backend, { x: goodX }, /\bn\b/),
  },
  {
    name: "an unknown input is refused by name",
    run: (backend) => rejectsInput(backend, { x: goodX, n: goodN, extra: goodN }, /\bextra\b/),
  },
  {
    name: "an input of another rank is refused",
    run: (backend) => rejectsInput(backend, { x: float([1, 2], 1, 2), n: goodN }, /\bx\b/),
  },
  {
    name: "an input of another size is refused",
    run: (backend) => rejectsInput(backend, { x: float([1, 1, 1], 1), n: goodN }, /\bx\b/),
  },
  {
    name: "inputs that differ in a named dimension are refused",
    run: (backend) => rejectsInput(backend, { x: goodX, n: int([2], 1, 1) }, /\bn\b/),
  },
  {
    name: "an input of another element type is refused",
    run: (backend) => rejectsInput(backend, { x: goodX, n: float([1], 1) }, /\bn\b/),
  },
  {
    name: "an input with fewer elements than its shape is refused",
    run: (backend) => rejectsInput(backend, { x: float([1, 2, 2], 1, 2), n: goodN }, /\bx\b/),
  },
  {
    name: "an axis of size 0 is refused",
    run: (backend) => rejectsInput(backend, { x: float([1, 0, 2]), n: goodN }, /\bx\b/),
  },
  {
    name: "a scope without a store is refused by name",
    async run(backend) {
      const base = await storeOf(backend, { shift: float([], 1) });
      const executable = await backend.compile(scaled());
      assert.throws(() => executable.bind({ base }), (error: Error) => {
        assert.ok(error instanceof TypeError);
        assert.match(error.message, /\badapter\b/);
        return true;
      });
      await executable.dispose();
    },
  },
  {
    name: "a store without a parameter, or with one of another shape, is refused by name",
    async run(backend) {
      const base = await storeOf(backend, { shift: float([], 1) });
      const executable = await backend.compile(scaled());
      for (const tensors of [{ other: float([], 1) }, { scale: float([2], 1, 2) }]) {
        const adapter = await storeOf(backend, tensors as unknown as Record<string, HostTensor>);
        assert.throws(() => executable.bind({ base, adapter }), (error: Error) => {
          assert.ok(error instanceof TypeError);
          assert.match(error.message, /\bscale\b/);
          return true;
        });
      }
      await executable.dispose();
    },
  },
  {
    name: "a batch larger than the stored rows is refused",
    async run(backend) {
      const state = await storeOf(backend, { rows: float([2], 1, 2) });
      const executable = await backend.compile(program("rows", (g) => {
        const rows = g.parameter("state", "rows", ["b"]);
        g.output("y", g.add(rows, g.input("x", "float32", ["b"])));
      }));
      const bound = executable.bind({ state });
      await assert.rejects(async () => await bound.run({ x: float([3], 1, 2, 3) }), TypeError);
      assert.deepEqual(numbersOf((await bound.run({ x: float([1], 1) })).y), [2]);
      await executable.dispose();
    },
  },
];
