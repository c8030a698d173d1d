import { strict as assert } from "node:assert";
import { peakBytes, ProgramBuilder } from "../../graph/mod.ts";

Deno.test("peakBytes() frees a value after its last use, and keeps results", () => {
  const g = new ProgramBuilder("p");
  const x = g.input("x", "float32", ["n"]);
  const a = g.exp(x);
  const b = g.exp(a);
  const c = g.exp(b);
  g.output("y", g.add(c, a)); // a waits for the end: a, b, c; then a, c, y
  assert.equal(peakBytes(g.build(), { n: 100 }), 1200);
  assert.equal(peakBytes(g.build(), { n: 200 }), 2400);
});

Deno.test("peakBytes() takes a reshape for its operand's memory, which it keeps alive", () => {
  const g = new ProgramBuilder("p");
  const x = g.input("x", "float32", ["n"]);
  const a = g.reshape(g.exp(x), ["n", 1]);
  const b = g.exp(g.exp(x));
  g.output("y", g.add(g.reshape(b, ["n", 1]), a));
  assert.equal(peakBytes(g.build(), { n: 10 }), 120);
});
