import assert from "node:assert/strict";
import { createCheckedBackend } from "../../examples/checked_backend.ts";
import { ProgramBuilder } from "../../graph/mod.ts";
import { conformance } from "./conformance.ts";

/** Outputs are rounded to float32: half a unit in the last of 24 bits. */
const TOLERANCE = 2 ** -24;

conformance(() => Promise.resolve(createCheckedBackend()), {
  name: "example",
  tolerance: TOLERANCE,
});

Deno.test("createCheckedBackend() names the program when a number is not finite", async () => {
  const g = new ProgramBuilder("logarithm");
  g.output("y", g.log(g.input("x", "float32", ["n"])));
  const bound = (await createCheckedBackend().compile(g.build())).bind();
  const x = { shape: [2], data: Float32Array.of(1, 0) };
  await assert.rejects(bound.run({ x }), /Cannot run logarithm as .*: y\[1\] is -Infinity/);
});
