import assert from "node:assert/strict";
import { bindSizes, type GivenTensor, interpret, ProgramBuilder } from "../../graph/mod.ts";

const scalar = (value: number): GivenTensor => ({ shape: [], data: [value] });

Deno.test("interpret() shows a late reader the old value of an updated parameter", () => {
  const g = new ProgramBuilder("late");
  const count = g.parameter("state", "count", []);
  g.update("state", "count", g.add(count, g.constant(1)));
  g.output("late", g.mul(count, g.constant(10)));
  const given = { state: { count: scalar(4) } };
  const { outputs, updates } = interpret(g.build(), { stores: given });
  assert.deepEqual([...outputs.late!.data], [40]);
  assert.deepEqual([...updates.state!.count!.data], [5]);
  assert.deepEqual(given.state.count.data, [4]);
});

Deno.test("interpret() gives copies, so that what was given can change", () => {
  const g = new ProgramBuilder("same");
  g.output("y", g.reshape(g.parameter("state", "w", [2]), [2, 1]));
  const data = Float64Array.of(1, 2);
  const { outputs } = interpret(g.build(), { stores: { state: { w: { shape: [2], data } } } });
  data.fill(0);
  assert.deepEqual([...outputs.y!.data], [1, 2]);
});

Deno.test("interpret() binds a parameter with a named first axis to the first rows", () => {
  const g = new ProgramBuilder("rows");
  const rows = g.parameter("state", "rows", ["b", 2]);
  g.output("y", g.add(rows, g.reshape(g.input("x", "float32", ["b"]), ["b", 1])));
  const run = (count: number) =>
    interpret(g.build(), {
      inputs: { x: { shape: [count], data: new Float64Array(count) } },
      stores: { state: { rows: { shape: [2, 2], data: [1, 2, 3, 4] } } },
    }).outputs.y!;
  assert.deepEqual([...run(1).data], [1, 2]);
  assert.deepEqual([...run(2).data], [1, 2, 3, 4]);
  assert.throws(
    () => run(3),
    new TypeError("Cannot run rows as state/rows must have the shape [b = 3, 2]: [2, 2]"),
  );
});

Deno.test("interpret() throws when a parameter or its store is missing", () => {
  const g = new ProgramBuilder("missing");
  g.output("y", g.parameter("state", "w", []));
  assert.throws(
    () => interpret(g.build()),
    new TypeError("Cannot run missing as state/w must be in a store: no store for state"),
  );
  assert.throws(
    () => interpret(g.build(), { stores: { state: {} } }),
    new TypeError("Cannot run missing as state/w must be in a store: the store lacks it"),
  );
});

Deno.test("interpret() throws when an index is out of range", () => {
  const g = new ProgramBuilder("index");
  g.output("y", g.gather(g.constant([1, 2], [2]), g.input("i", "int32", [1])));
  for (const index of [2, -1]) {
    assert.throws(
      () => interpret(g.build(), { inputs: { i: { shape: [1], data: [index] } } }),
      new RangeError(`Cannot gather as an index must be from 0 to 1: ${index}`),
    );
  }
});

const g = new ProgramBuilder("sizes");
g.input("flat", "float32", ["4*batch*time"]);
g.input("x", "float32", ["batch", "time"]);
const sized = g.build();
const tensor = (...shape: number[]): GivenTensor => ({
  shape,
  data: new Float64Array(shape.reduce((a, b) => a * b, 1)),
});

Deno.test("bindSizes() solves products, whatever the order of the inputs", () => {
  const sizes = bindSizes(sized, { flat: tensor(24), x: tensor(2, 3) });
  assert.deepEqual({ ...sizes }, { batch: 2, time: 3 });
});

Deno.test("bindSizes() throws when inputs do not fit", () => {
  const throws = (inputs: Record<string, GivenTensor>, message: string) =>
    assert.throws(() => bindSizes(sized, inputs), new TypeError(`Cannot run sizes as ${message}`));
  const [flat, x] = [tensor(24), tensor(2, 3)];
  throws({ flat }, "the input x must be given: missing");
  throws({ flat, x, y: x }, "it must have an input of that name: y");
  throws({ flat, x: tensor(6) }, "the input x must have the shape [batch, time]: [6]");
  throws(
    { flat: tensor(20), x },
    "the input flat must have the shape [4*batch*time] where batch = 2, time = 3: [20]",
  );
  throws(
    { flat, x: tensor(0, 3) },
    "each axis of the input x must have a size of 1 or more: [0, 3]",
  );
  throws(
    { flat, x: { shape: [2, 3], data: [1] } },
    "the input x of shape [2, 3] must have 6 elements: 1",
  );
  throws(
    { flat, x: { shape: [1, 1], data: Int32Array.of(1) } },
    "the input x must be float32: int32",
  );
});
