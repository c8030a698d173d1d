import assert from "node:assert/strict";
import { interpret, ProgramBuilder, type Value } from "../../graph/mod.ts";

function graph(): { g: ProgramBuilder; x: Value; n: Value; flag: Value } {
  const g = new ProgramBuilder("test");
  return {
    g,
    x: g.input("x", "float32", ["b", "t", 4]),
    n: g.input("n", "int32", ["b", "t"]),
    flag: g.input("flag", "bool", ["b", 1]),
  };
}

const { g, x, n, flag } = graph();
const weight = g.parameter("w", "weight", [5, 4]);

/** What does not fit, and what the error says of it. */
const misfits: Readonly<Record<string, readonly [() => unknown, string]>> = {
  "one operand too many": [
    () => g.apply("neg", [x, x], {}),
    "Cannot apply neg as it takes 1 operand: 2 given",
  ],
  "an element type": [
    () => g.exp(n),
    "Cannot apply exp as operand 0 must be float32: int32",
  ],
  "mixed element types": [
    () => g.add(x, n),
    "Cannot apply add as both operands must be float32 or both int32: float32[b, t, 4], int32[b, t]",
  ],
  "shapes that do not broadcast": [
    () => g.add(x, g.constant([1, 2, 3], [3])),
    "Cannot apply add as shapes must broadcast: [b, t, 4] and [3]",
  ],
  "a condition that is no bool": [
    () => g.select(x, x, x),
    "Cannot apply select as operand 0 must be bool: float32",
  ],
  "branches of two types": [
    () => g.select(flag, n, g.constant(0)),
    "Cannot apply select as both branches must have one element type: " +
    "bool[b, 1], int32[b, t], float32[]",
  ],
  "a constant of another length": [
    () => g.constant([1, 2], [3]),
    "Cannot apply constant as data must have 3 elements: 2",
  ],
  "a reshape that loses elements": [
    () => g.reshape(x, ["b", 4]),
    "Cannot apply reshape as the number of elements must stay: [b, t, 4] to [b, 4]",
  ],
  "a permutation that repeats": [
    () => g.transpose(x, [0, 0, 1]),
    "Cannot apply transpose as the permutation must order 3 axes: [0,0,1]",
  ],
  "a slice of a named axis": [
    () => g.slice(x, 1, 0, 1),
    "Cannot apply slice as the axis must have a known size: t",
  ],
  "a slice that is empty": [
    () => g.slice(x, 2, 2, 2),
    "Cannot apply slice as 0 ≤ start < end ≤ 4 must hold: 2 and 2",
  ],
  "negative padding": [
    () => g.pad(x, 2, -1, 0),
    "Cannot apply pad as padding must be integers from 0: -1 and 0",
  ],
  "parts that differ": [
    () => g.concat([x, g.reshape(x, ["t", "b", 4])], 2),
    "Cannot apply concat as operands must agree but for the axis: " +
    "float32[b, t, 4], float32[t, b, 4]",
  ],
  "an axis that does not exist": [
    () => g.reduceSum(x, [3]),
    "Cannot apply reduceSum as the axis must exist: 3 of [b, t, 4]",
  ],
  "an axis given twice": [
    () => g.reduceMax(x, [1, 1]),
    "Cannot apply reduceMax as an axis must occur once: [1,1]",
  ],
  "inner sizes that differ": [
    () => g.matmul(x, weight),
    "Cannot apply matmul as the inner sizes must agree: float32[b, t, 4], float32[5, 4]",
  ],
  "a softmax of a scalar": [
    () => g.softmax(g.constant(1)),
    "Cannot apply softmax as the axis must exist: -1 of []",
  ],
  "five axes from gather": [
    () => g.gather(g.parameter("w", "table", [2, 3, 3, 3]), n),
    "Cannot apply gather as a tensor must have at most 4 axes: [b, t, 3, 3, 3]",
  ],
  "five axes": [
    () => g.input("five", "float32", [1, 1, 1, 1, 1]),
    "Cannot add the input five as a tensor must have at most 4 axes: [1, 1, 1, 1, 1]",
  ],
  "an axis of size 0": [
    () => g.parameter("w", "empty", [2, 0]),
    "Cannot add the parameter w/empty as each axis must have a positive size: [2, 0]",
  ],
  "a name out of order": [
    () => g.input("flat", "float32", ["t*b"]),
    "Cannot add the input flat as a named axis must be a sorted product such as " +
    "4*batch*time: t*b",
  ],
  "an odd head": [
    () => g.rotary(g.broadcast(g.constant(0), [1, 1, 1, 3]), x, x),
    "Cannot apply rotary as the head size must be even: 3",
  ],
  "a weight of other columns": [
    () => g.linear(x, g.parameter("w", "short", [5, 3])),
    "Cannot apply linear as the weight must have the shape [O, I] for x [..., I]: " +
    "float32[b, t, 4], float32[5, 3]",
  ],
  "chunks beyond the vocabulary": [
    () => g.tokenLogProb(g.reshape(x, ["b*t", 4]), weight, g.reshape(n, ["b*t"]), { chunks: 6 }),
    "Cannot apply tokenLogProb as chunks must be an integer from 1 to 5: 6",
  ],
  "a cap of 0": [
    () => {
      const heads = g.broadcast(g.constant(0), ["b", "t", 1, 2]);
      g.attention(heads, heads, heads, { scale: 1, scoreCap: 0, mask: { kind: "causal" } });
    },
    "Cannot apply attention as the cap must be a positive number: 0",
  ],
  "heads that do not group": [
    () => {
      const heads = (count: number) => g.broadcast(g.constant(0), ["b", "t", count, 2]);
      g.attention(heads(3), heads(2), heads(2), { scale: 1, mask: { kind: "causal" } });
    },
    "Cannot apply attention as query heads must be a multiple of key heads: 3 and 2",
  ],
  "a window of 0": [
    () => {
      const head = g.broadcast(g.constant(0), ["b", "t", 1, 2]);
      g.attention(head, head, head, { scale: 1, mask: { kind: "causal", window: 0 } });
    },
    "Cannot apply attention as the window must be a positive integer: 0",
  ],
  "a tree mask without segments": [
    () => {
      const head = g.broadcast(g.constant(0), ["b", "t", 1, 2]);
      g.attention(head, head, head, { scale: 1, mask: { kind: "tree" } });
    },
    "Cannot apply attention as a tree mask must come with segments and parents: missing",
  ],
  "an input's name again": [
    () => g.input("x", "float32", []),
    "Cannot add the input as its name must be new: x",
  ],
  "a parameter of another shape": [
    () => g.parameter("w", "weight", [4, 5]),
    "Cannot use the parameter w/weight as it must keep its shape [5, 4]: [4, 5]",
  ],
  "an update of another type": [
    () => g.update("w", "steps", n),
    "Cannot update w/steps as it must stay float32: int32",
  ],
};

for (const [what, [apply, message]] of Object.entries(misfits)) {
  Deno.test(`ProgramBuilder refuses ${what}`, () => {
    assert.throws(apply, new TypeError(message));
  });
}

Deno.test("ProgramBuilder refuses a second update and a second output of one name", () => {
  const { g } = graph();
  g.update("s", "count", g.constant(1));
  assert.throws(
    () => g.update("s", "count", g.constant(2)),
    new TypeError("Cannot update s/count as it must be updated once: it is already"),
  );
  g.output("y", g.constant(1));
  assert.throws(
    () => g.output("y", g.constant(2)),
    new TypeError("Cannot add the output as its name must be new: y"),
  );
});

Deno.test("parameter() gives the same value when asked again", () => {
  const { g } = graph();
  assert.equal(g.parameter("w", "a", [2]), g.parameter("w", "a", [2]));
});

Deno.test("expand() keeps the identity of what it replaces", () => {
  const { g, x } = graph();
  const y = g.gatedSilu(x, x);
  const z = g.neg(y);
  g.expand((one) => one.primitive === "gatedSilu" ? [g.add(g.exp(x), x)] : undefined);
  g.output("z", z);
  const { equations } = g.build();
  assert.deepEqual(equations.map(({ primitive }) => primitive), ["exp", "add", "neg"]);
  assert.equal(equations[1]!.results[0], y);
  assert.equal(equations[2]!.operands[0], y);
});

Deno.test("expand() may put a value of the program in an equation's place", () => {
  const g = new ProgramBuilder("place");
  const x = g.input("x", "float32", [2]);
  g.output("y", g.exp(x));
  g.expand(() => [x]);
  const { outputs } = interpret(g.build(), { inputs: { x: { shape: [2], data: [1, 2] } } });
  assert.deepEqual([...outputs.y!.data], [1, 2]);
});

Deno.test("expand() throws when the type differs", () => {
  const { g, x, n } = graph();
  g.exp(x);
  assert.throws(
    () => g.expand(() => [n]),
    new TypeError("Cannot expand exp as result 0 must be float32[b, t, 4]: int32[b, t]"),
  );
});
