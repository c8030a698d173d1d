import assert from "node:assert/strict";
import {
  decompose,
  eliminateDeadCode,
  formatProgram,
  grad,
  interpret,
  type Primitive,
  ProgramBuilder,
  simplify,
  type Value,
} from "../../graph/mod.ts";
import { allCases, caseInputs, caseProgram } from "./_cases.ts";
import { tinyInputs, tinyLlama, tinyStores, tinyTrainable } from "./_tiny_llama.ts";

/** Products of constants are folded, which rounds once where the program rounds twice. */
const TOLERANCE = 1e-13;

/** What is left of f(x), x float32 [b, 2]. */
function left(build: (g: ProgramBuilder, x: Value) => Value): Primitive[] {
  const g = new ProgramBuilder("left");
  g.output("y", build(g, g.input("x", "float32", ["b", 2])));
  return simplify(g.build()).equations.map(({ primitive }) => primitive);
}

const nothing: Readonly<Record<string, (g: ProgramBuilder, x: Value) => Value>> = {
  "a product by one": (g, x) => g.mul(x, g.constant(1)),
  "a product of one": (g, x) => g.mul(g.constant([1, 1], [2]), x),
  "a quotient by one": (g, x) => g.div(x, g.constant(1)),
  "a sum with zero": (g, x) => g.add(g.constant(0), x),
  "a difference to zero": (g, x) => g.sub(x, g.constant(0)),
  "two negations": (g, x) => g.neg(g.neg(x)),
  "two transposes that undo each other": (g, x) => g.transpose(g.transpose(x, [1, 0]), [1, 0]),
  "a reshape there and back": (g, x) => g.reshape(g.reshape(x, ["2*b"]), ["b", 2]),
  "a cast to the same type": (g, x) => g.apply("cast", [x], { dtype: "float32" })[0]!,
  "a broadcast to the same shape": (g, x) => g.apply("broadcast", [x], { shape: ["b", 2] })[0]!,
  "a slice of everything": (g, x) => g.slice(x, 1, 0, 2),
  "a pad by nothing": (g, x) => g.pad(x, 1, 0, 0),
  "a concatenation of one": (g, x) => g.concat([x], 1),
  "a sum over no axis": (g, x) => g.reduceSum(x, []),
};
for (const [what, build] of Object.entries(nothing)) {
  Deno.test(`simplify() removes ${what}`, () => assert.deepEqual(left(build), []));
}

const smaller: Readonly<
  Record<string, readonly [(g: ProgramBuilder, x: Value) => Value, readonly Primitive[]]>
> = {
  "computes a common subexpression once": [(g, x) => g.add(g.exp(x), g.exp(x)), ["exp", "add"]],
  "keeps what differs by an attribute": [
    (g, x) => g.mul(g.reduceSum(x, [1], true), g.reduceSum(x, [0], true)),
    ["reduceSum", "reduceSum", "mul"],
  ],
  "drops what nobody uses": [(g, x) => (g.exp(x), g.neg(x)), ["neg"]],
  "keeps a sum with zero that stretches": [
    (g, x) => g.add(x, g.constant([0, 0, 0, 0], [2, 1, 2])),
    ["constant", "add"],
  ],
  "joins factors": [
    (g, x) => g.mul(g.constant(2), g.mul(x, g.constant(3))),
    ["constant", "mul"],
  ],
  "subtracts rather than adds the negative": [(g, x) => g.add(g.exp(x), g.neg(x)), ["exp", "sub"]],
  "takes a transpose into a product": [
    (g, x) => g.matmul(g.transpose(x, [1, 0]), x),
    ["matmul"],
  ],
  "leaves stretching to the operation that does it": [
    (g, x) => g.mul(g.broadcast(g.reduceSum(x), ["b", 2]), x),
    ["reduceSum", "mul"],
  ],
  "keeps stopGradient": [(g, x) => g.stopGradient(x), ["stopGradient"]],
  "keeps a cast that rounds": [
    (g, x) => g.cast(g.cast(x, "int32"), "float32"),
    ["cast", "cast"],
  ],
};
for (const [what, [build, expected]] of Object.entries(smaller)) {
  Deno.test(`simplify() ${what}`, () => assert.deepEqual(left(build), expected));
}

Deno.test("simplify() keeps the values of each primitive", () => {
  for (const one of allCases()) {
    const program = caseProgram(one);
    for (const other of [simplify(program), simplify(decompose(program))]) {
      for (const sizes of one.case.sizes) {
        const inputs = caseInputs(one, sizes);
        const [want, got] = [program, other].map((each) => interpret(each, { inputs }).outputs);
        for (const name of Object.keys(want!)) {
          assert.deepEqual(got![name]!.shape, want![name]!.shape);
          want![name]!.data.forEach((number, at) => {
            const error = Math.abs(got![name]!.data[at]! - number);
            assert.ok(error <= TOLERANCE * Math.max(1, Math.abs(number)), program.name);
          });
        }
      }
    }
  }
});

Deno.test("simplify() keeps a model's loss and gradients, and changes nothing the second time", () => {
  const program = grad(tinyLlama({ chunks: 3 }), "loss", tinyTrainable);
  const simple = simplify(decompose(program));
  assert.equal(formatProgram(simplify(simple)), formatProgram(simple));
  assert.ok(simple.equations.length < decompose(program).equations.length);
  const given = { inputs: tinyInputs(2, 3), stores: tinyStores(1) };
  const [want, got] = [program, simple].map((each) => interpret(each, given).outputs);
  for (const name of Object.keys(want!)) {
    want![name]!.data.forEach((number, at) => {
      assert.ok(Math.abs(got![name]!.data[at]! - number) <= 1e-12, name);
    });
  }
});

Deno.test("simplify() keeps inputs, parameters and updates", () => {
  const g = new ProgramBuilder("state");
  g.input("unused", "float32", []);
  const count = g.parameter("state", "count", []);
  g.update("state", "count", g.mul(count, g.constant(1)));
  const simple = simplify(g.build());
  assert.deepEqual(simple.inputs.map(({ name }) => name), ["unused"]);
  assert.equal(simple.updates[0]!.next, count);
});

Deno.test("eliminateDeadCode() keeps an equation of which one result is used", () => {
  const g = new ProgramBuilder("partly");
  const fresh = g.input("x", "float32", [1, 1, 1, 2]);
  const cache = g.parameter("cache", "c", [1, 1, 4, 2]);
  const one = g.constant([1], [1], "int32");
  const { keys } = g.cachedAttention({
    query: fresh,
    key: fresh,
    value: fresh,
    keys: cache,
    values: cache,
    past: one,
    count: one,
  }, { scale: 1 });
  g.output("keys", keys);
  g.exp(fresh);
  assert.deepEqual(eliminateDeadCode(g.build()).equations.map(({ primitive }) => primitive), [
    "constant",
    "cachedAttention",
  ]);
});
