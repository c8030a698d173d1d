/** Elementwise programs over large tensors; see backends/onnx/row_windows.ts. */

import assert from "node:assert/strict";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { randomStream } from "../../core/mod.ts";
import { inRowWindows } from "../../backends/onnx/row_windows.ts";
import type { Backend, Store } from "../../graph/backend.ts";
import { ProgramBuilder } from "../../graph/builder.ts";
import type { Program, Value } from "../../graph/program.ts";
import { fromFloat32 } from "../../graph/tensor_source.ts";

/** float32 sums of a few terms of size 1. */
const TOLERANCE = 1e-6;

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  assert.equal(actual.length, expected.length);
  for (let at = 0; at < expected.length; at++) {
    const difference = Math.abs(actual[at]! - expected[at]!);
    if (!(difference <= TOLERANCE)) {
      assert.fail(`element ${at}: ${actual[at]} is not ${expected[at]}`);
    }
  }
}

/** Values in [−1, 1). */
function noise(seed: number, shape: readonly number[]) {
  const random = randomStream(seed, "windows");
  const count = shape.reduce((product, size) => product * size, 1);
  return { shape, data: new Float32Array(count).map(() => 2 * random.next() - 1) };
}

/** A momentum step over tensors of 600,000 and of 10 elements, and an exchange of two others. */
function momentumProgram(): Program {
  const g = new ProgramBuilder("momentum");
  const rate = g.input("rate", "float32", [1]);
  for (const [name, shape] of [["large", [1200, 500]], ["small", [10]]] as const) {
    const p = g.parameter("weights", name, shape);
    const m = g.add(
      g.mul(g.parameter("moments", name, shape), g.constant(0.5)),
      g.parameter("gradients", name, shape),
    );
    g.update("moments", name, m);
    g.update("weights", name, g.sub(p, g.mul(m, rate)));
  }
  const [a, b] = ["a", "b"].map((name) => g.parameter("weights", name, [700, 400])) as [
    Value,
    Value,
  ];
  g.update("weights", "a", g.add(b, rate));
  g.update("weights", "b", g.add(a, rate));
  return g.build();
}

Deno.test("inRowWindows() divides large tensors by rows where a program is elementwise", () => {
  const { program, windows } = inRowWindows(momentumProgram());
  const names = program.updates.map(({ scope, name }) => `${scope}/${name}`);
  assert.deepEqual(names.slice(0, 4), [
    "moments/large[0:524]",
    "moments/large[524:1048]",
    "moments/large[1048:1200]",
    "weights/large[0:524]",
  ]);
  assert.ok(names.includes("weights/small"));
  assert.deepEqual(windows.get("weights/large[524:1048]"), {
    name: "large",
    shape: [1200, 500],
    start: 524 * 500,
  });
  const g = new ProgramBuilder("reads its rows");
  const x = g.parameter("weights", "x", [1200, 500]);
  g.update("weights", "x", g.sub(x, g.reduceMax(x, [1], true)));
  const whole = g.build();
  assert.equal(inRowWindows(whole).program, whole);
});

Deno.test({
  name: "windows of large tensors are updated where they are, and exchanged",
  // The package keeps handles of its own once it is loaded.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const backend = await createOnnxBackend({ threads: 2 });
    try {
      await trainInWindows(backend);
    } finally {
      await backend.dispose();
    }
  },
});

async function trainInWindows(backend: Backend): Promise<void> {
  const large = [1200, 500], swapped = [700, 400];
  const weights = { large, small: [10], a: swapped, b: swapped };
  const values = (shapes: Readonly<Record<string, readonly number[]>>, seed: number) =>
    Object.entries(shapes).map(([name, shape], at) => ({ name, ...noise(seed + at, shape) }));
  const given = {
    weights: values(weights, 1),
    moments: values({ large, small: [10] }, 11),
    gradients: values({ large, small: [10] }, 21),
  };
  const stores = Object.fromEntries(
    await Promise.all(
      Object.entries(given).map(async ([scope, tensors]) => [
        scope,
        await backend.createStore(
          tensors.map(({ name, shape, data }) => fromFloat32(name, shape, data)),
        ),
      ]),
    ),
  ) as Record<keyof typeof given, Store>;
  const momentBytes = stores.moments.bytes;
  const bound = (await backend.compile(momentumProgram())).bind(stores);
  const now = (scope: keyof typeof given, name: string) =>
    given[scope].find((one) => one.name === name)!;
  for (const rate of [0.25, 0.125]) {
    await bound.run({ rate: { shape: [1], data: Float32Array.of(rate) } });
    for (const name of ["large", "small"]) {
      const [p, m, gradient] = [now("weights", name), now("moments", name), now("gradients", name)];
      m.data.forEach((value, at) => {
        m.data[at] = 0.5 * value + gradient.data[at]!;
        p.data[at] = p.data[at]! - rate * m.data[at]!;
      });
      assertClose(await stores.moments.read(name), m.data);
      assertClose(await stores.weights.read(name), p.data);
    }
    const [a, b] = [now("weights", "a").data, now("weights", "b").data];
    const old = a.slice();
    b.forEach((value, at) => a[at] = value + rate);
    old.forEach((value, at) => b[at] = value + rate);
    assertClose(await stores.weights.read("a"), a);
    assertClose(await stores.weights.read("b"), b);
  }
  assert.equal(stores.moments.bytes, momentBytes); // nothing was written beside the old values
}
