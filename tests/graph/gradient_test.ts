import assert from "node:assert/strict";
import {
  decompose,
  type Equation,
  type Float64Tensor,
  type GivenTensor,
  grad,
  gradients,
  interpret,
  interpreter,
  type Primitive,
  type Program,
  ProgramBuilder,
  simplify,
  type Value,
} from "../../graph/mod.ts";
import {
  allCases,
  type AnyCase,
  buildCase,
  caseInputs,
  operandName,
  randomNumbers,
} from "./_cases.ts";

/** Step of the central differences: h² and 1e-16/h balance near 1e-10. */
const STEP = 1e-5;
/** Error of central differences at this step, with a margin for curvature. */
const TOLERANCE = 1e-7;
/** Two ways to the same float64 numbers. */
const SAME = 1e-11;

/** How a primitive's gradient is tested. */
const kinds: { readonly [P in Primitive]?: "zero" | "none" } = {
  stopGradient: "zero",
  cachedAttention: "none",
};

/** A case with its results weighed and summed to `loss`. */
function lossProgram(one: AnyCase): { readonly program: Program; readonly floats: number[] } {
  const g = new ProgramBuilder(`loss of ${one.primitive}`);
  const { operands, results } = buildCase(g, one);
  const loss = results.filter(({ dtype }) => dtype === "float32").map((result) =>
    g.reduceSum(g.mul(result, g.input(`weight${result.id}`, "float32", result.shape)))
  );
  g.output("loss", loss.reduce((a, b) => g.add(a, b), g.constant(0)));
  const floats = operands.flatMap(({ dtype }, at) => dtype === "float32" ? [at] : []);
  return { program: g.build(), floats };
}

/** The program with outputs `gradient<operand>`. */
function withGradients(program: Program, floats: readonly number[]): Program {
  const names = floats.map(operandName);
  const g = new ProgramBuilder(program.name);
  const values = new Map<number, Value>();
  for (const { name, value } of program.inputs) {
    values.set(value.id, g.input(name, value.dtype, value.shape));
  }
  for (const { primitive, operands, attributes, results } of program.equations) {
    const made = g.apply(primitive, operands.map(({ id }) => values.get(id)!), attributes as never);
    results.forEach(({ id }, at) => values.set(id, made[at]!));
  }
  const inputOf = (name: string) => program.inputs.find((one) => one.name === name)!.value;
  const found = gradients(
    g,
    values.get(program.outputs[0]!.value.id)!,
    names.map((name) => values.get(inputOf(name).id)!),
  );
  found.forEach((value, at) => g.output(`gradient of ${names[at]}`, value));
  return g.build();
}

function weights(program: Program, sizes: Record<string, number>): Record<string, GivenTensor> {
  const random = randomNumbers(7);
  return Object.fromEntries(
    program.inputs.filter(({ name }) => name.startsWith("weight")).map(({ name, value }) => {
      const shape = value.shape.map((dim) =>
        String(dim).split("*").reduce((size, part) => size * (sizes[part] ?? Number(part)), 1)
      );
      const count = shape.reduce((a, b) => a * b, 1);
      return [name, { shape, data: Float64Array.from({ length: count }, () => random() - 0.5) }];
    }),
  );
}

function assertClose(a: ArrayLike<number>, b: ArrayLike<number>, tolerance: number, what: string) {
  assert.equal(a.length, b.length, what);
  for (let i = 0; i < a.length; i++) {
    const error = Math.abs(a[i]! - b[i]!) / Math.max(1, Math.abs(b[i]!));
    assert.ok(error <= tolerance, `${what}[${i}]: ${a[i]} and ${b[i]}`);
  }
}

/** Central differences of `loss` by one input. */
function differences(
  program: Program,
  inputs: Readonly<Record<string, GivenTensor>>,
  name: string,
): Float64Array {
  const run = interpreter(program);
  const { shape, data } = inputs[name]!;
  const moved = Float64Array.from(data);
  const lossAt = (at: number, x: number): number => {
    moved[at] = x;
    const { outputs } = run({ inputs: { ...inputs, [name]: { shape, data: moved } } });
    moved[at] = data[at]!;
    return outputs.loss!.data[0]!;
  };
  return Float64Array.from(
    { length: data.length },
    (_, at) => (lossAt(at, data[at]! + STEP) - lossAt(at, data[at]! - STEP)) / (2 * STEP),
  );
}

for (const one of allCases()) {
  const { primitive } = one;
  const kind = kinds[primitive] ?? "differences";
  Deno.test(`gradients() of ${primitive} is as expected (${kind}), ${one.case.name}`, () => {
    const { program, floats } = lossProgram(one);
    if (kind === "none") {
      assert.throws(
        () => withGradients(program, floats),
        new TypeError(
          "Cannot take the gradient of cachedAttention as it has none (use attention where a " +
            "gradient is needed): asked for",
        ),
      );
      return;
    }
    const differentiated = withGradients(program, floats);
    for (const sizes of one.case.sizes) {
      const inputs = { ...caseInputs(one, sizes), ...weights(program, sizes) };
      const { outputs } = interpret(differentiated, { inputs });
      const simplified = interpret(simplify(differentiated), { inputs }).outputs;
      for (const name of floats.map(operandName)) {
        const gradient = outputs[`gradient of ${name}`]!;
        assert.deepEqual(gradient.shape, inputs[name]!.shape);
        const expected = kind === "zero"
          ? new Float64Array(gradient.data.length)
          : differences(program, inputs, name);
        // The angles of rotary steer.
        if (primitive === "rotary" && name !== "x0") expected.fill(0);
        assertClose(gradient.data, expected, TOLERANCE, `${primitive} by ${name}`);
        assertClose(simplified[`gradient of ${name}`]!.data, gradient.data, SAME, "simplified");
      }
    }
  });

  const composite = decompose(lossProgram(one).program).equations.length !==
    lossProgram(one).program.equations.length;
  if (!composite || kind === "none") continue;
  Deno.test(`gradients() of ${primitive} equals its decomposition's, ${one.case.name}`, () => {
    const { program, floats } = lossProgram(one);
    const [own, simple] = [
      withGradients(program, floats),
      withGradients(decompose(program), floats),
    ];
    for (const sizes of one.case.sizes) {
      const inputs = { ...caseInputs(one, sizes), ...weights(program, sizes) };
      const [a, b] = [own, simple].map((each) => interpret(each, { inputs }).outputs);
      for (const name of floats.map((at) => `gradient of ${operandName(at)}`)) {
        if (primitive === "rotary" && !name.endsWith("x0")) continue;
        assertClose(a![name]!.data, b![name]!.data, SAME, name);
      }
    }
  });
}

function scalar(build: (g: ProgramBuilder, x: Value) => Value, x: number): number {
  const g = new ProgramBuilder("scalar");
  g.output("gradient", build(g, g.input("x", "float32", [])));
  return interpret(g.build(), { inputs: { x: { shape: [], data: [x] } } }).outputs.gradient!
    .data[0]!;
}

Deno.test("gradients() can be taken of a gradient", () => {
  // d²/dx² x³ = 6 x
  const second = scalar((g, x) => {
    const [first] = gradients(g, g.mul(x, g.mul(x, x)), [x]);
    return gradients(g, first!, [x])[0]!;
  }, 2);
  assert.equal(second, 12);
});

Deno.test("gradients() adds up where a value is used several times", () => {
  assert.equal(scalar((g, x) => gradients(g, g.add(g.mul(x, x), x), [x])[0]!, 3), 7);
});

Deno.test("gradients() divides the gradient evenly at ties", () => {
  assert.equal(scalar((g, x) => gradients(g, g.maximum(x, g.neg(x)), [x])[0]!, 0), 0);
  assert.equal(scalar((g, x) => gradients(g, g.maximum(x, g.constant(0)), [x])[0]!, 0), 0.5);
  assert.equal(scalar((g, x) => gradients(g, g.abs(x), [x])[0]!, 0), 0);
  // The largest of (x, 2, 0).
  const largest = (g: ProgramBuilder, x: Value): Value => {
    const parts = [g.reshape(x, [1]), g.constant([2], [1]), g.constant([0], [1])];
    return g.reduceMax(g.concat(parts, 0));
  };
  assert.equal(scalar((g, x) => gradients(g, largest(g, x), [x])[0]!, 2), 0.5);
  assert.equal(scalar((g, x) => gradients(g, largest(g, x), [x])[0]!, 3), 1);
});

Deno.test("gradients() gives zeros of the value's shape when nothing depends on it", () => {
  const g = new ProgramBuilder("unused");
  const x = g.input("x", "float32", ["b", 2]);
  g.output("gradient", gradients(g, g.constant(1), [x])[0]!);
  const { outputs } = interpret(g.build(), { inputs: { x: { shape: [1, 2], data: [1, 2] } } });
  assert.deepEqual(outputs.gradient, { shape: [1, 2], data: Float64Array.of(0, 0) });
});

Deno.test("gradients() of an intermediate value stops there", () => {
  // d(2h)/dh = 2, whatever made h.
  const g = new ProgramBuilder("intermediate");
  const h = g.exp(g.input("x", "float32", []));
  g.output("gradient", gradients(g, g.mul(h, g.constant(2)), [h])[0]!);
  const { outputs } = interpret(g.build(), { inputs: { x: { shape: [], data: [5] } } });
  assert.equal(outputs.gradient!.data[0], 2);
});

Deno.test("gradients() throws when the value is no scalar", () => {
  const g = new ProgramBuilder("vector");
  const x = g.input("x", "float32", ["b"]);
  assert.throws(
    () => gradients(g, x, [x]),
    new TypeError("Cannot take the gradient as the value must be a float32 scalar: float32[b]"),
  );
});

Deno.test("gradients() throws when it would flow through a cast from integers", () => {
  const g = new ProgramBuilder("steps");
  const x = g.input("x", "float32", []);
  const steps = g.cast(g.cast(x, "int32"), "float32");
  assert.throws(
    () => gradients(g, steps, [x]),
    new TypeError(
      "Cannot take the gradient of cast as its operand must be float32 (apply stopGradient where " +
        "the value steers only): int32",
    ),
  );
  assert.equal(gradients(g, g.mul(g.stopGradient(steps), x), [x]).length, 1);
});

Deno.test("gradients() throws when it is asked by integers", () => {
  const g = new ProgramBuilder("integers");
  assert.throws(
    () => gradients(g, g.constant(1), [g.input("n", "int32", [])]),
    new TypeError("Cannot take the gradient as it must be by float32 values: int32"),
  );
});

Deno.test("grad() names an output after each parameter", () => {
  const g = new ProgramBuilder("square");
  const w = g.parameter("weights", "w", [2]);
  g.output("loss", g.reduceSum(g.mul(w, w)));
  const program = grad(g.build(), "loss", [{ scope: "weights", name: "w" }]);
  const stores = { weights: { w: { shape: [2], data: [3, 4] } } };
  const { outputs } = interpret(program, { stores });
  assert.deepEqual([...outputs.loss!.data], [25]);
  assert.deepEqual([...outputs["grad/weights/w"]!.data], [6, 8]);
});

Deno.test("grad() throws when an output or a parameter does not exist", () => {
  const g = new ProgramBuilder("none");
  g.output("loss", g.constant(1));
  assert.throws(
    () => grad(g.build(), "los", []),
    new RangeError("Cannot take the gradient of los as it must be an output of none: loss"),
  );
  assert.throws(
    () => grad(g.build(), "loss", [{ scope: "s", name: "w" }]),
    new RangeError("Cannot take the gradient by s/w as it must be a parameter of none: it is none"),
  );
});

function count(program: Program, primitive: Primitive, which?: (one: Equation) => boolean): number {
  return program.equations.filter((one) => one.primitive === primitive && (which?.(one) ?? true))
    .length;
}

Deno.test("grad() computes nothing for a frozen weight", () => {
  const g = new ProgramBuilder("frozen");
  const x = g.input("x", "float32", ["b", "t", 4]);
  const lora = {
    a: g.parameter("adapter", "a", [2, 4]),
    b: g.parameter("adapter", "b", [4, 2]),
    scale: 1,
  };
  const y = g.linear(x, g.parameter("base", "w", [4, 4]), { lora });
  g.output("loss", g.reduceSum(g.mul(y, y)));
  const program = grad(g.build(), "loss", [
    { scope: "adapter", name: "a" },
    { scope: "adapter", name: "b" },
  ]);
  // xAᵀ and its product with B forward; dB, dy·B and dA backward; x and W get nothing.
  assert.equal(count(program, "matmul"), 5);
  assert.equal(count(program, "linear"), 1);
  assert.equal(count(program, "transpose"), 0);
});

Deno.test("grad() shares probabilities, logits and masks with the forward pass", () => {
  const g = new ProgramBuilder("shared");
  const w = g.parameter("weights", "w", ["b", "t", 2, 4]);
  const lengths = g.input("lengths", "int32", ["b"]);
  g.input("sizes", "int32", ["b", "t"]);
  const mask = { kind: "causal" } as const;
  let x = w;
  for (let layer = 0; layer < 2; layer++) x = g.attention(x, x, x, { scale: 1, mask, lengths });
  const hidden = g.reshape(x, ["b*t", 8]);
  const targets = g.input("targets", "int32", ["b*t"]);
  const vocabulary = g.parameter("weights", "v", [5, 8]);
  g.output("loss", g.reduceSum(g.tokenLogProb(hidden, vocabulary, targets)));
  const program = grad(g.build(), "loss", [{ scope: "weights", name: "w" }]);
  assert.equal(count(program, "softmax"), 2); // of attention
  assert.equal(count(program, "iota"), 2); // rows and columns of the one mask
  assert.equal(count(program, "exp"), 1); // of the logits
  const overVocabulary = count(
    program,
    "matmul",
    ({ operands }) => operands.some(({ id }) => id === program.parameters[1]!.value.id),
  );
  assert.equal(overVocabulary, 2); // logits, and the hidden states' gradient
});

for (const caps of [{}, { logitCap: 2 }]) {
  Deno.test(`tokenLogProb does not depend on its chunks, nor do its gradients, ${JSON.stringify(caps)}`, () => {
    const results = [1, 3, 7].map((chunks) => {
      const g = new ProgramBuilder("chunks");
      const hidden = g.parameter("w", "hidden", [4, 3]);
      const vocabulary = g.parameter("w", "vocabulary", [7, 3]);
      const targets = g.constant([0, 6, 2, 2], [4], "int32");
      const logProbs = g.tokenLogProb(hidden, vocabulary, targets, { chunks, ...caps });
      g.output("loss", g.reduceSum(g.mul(logProbs, g.constant([1, -2, 3, 0.5], [4]))));
      const wrt = [{ scope: "w", name: "hidden" }, { scope: "w", name: "vocabulary" }];
      const random = randomNumbers(3);
      const tensor = (...shape: number[]): Float64Tensor => ({
        shape,
        data: Float64Array.from({ length: shape[0]! * shape[1]! }, () => 4 * random() - 2),
      });
      const w = { hidden: tensor(4, 3), vocabulary: tensor(7, 3) };
      return interpret(grad(g.build(), "loss", wrt), { stores: { w } }).outputs;
    });
    for (const name of ["loss", "grad/w/hidden", "grad/w/vocabulary"]) {
      for (const other of results.slice(1)) {
        assertClose(other[name]!.data, results[0]![name]!.data, SAME, name);
      }
    }
  });
}

Deno.test("gradients() computes between checkpoints again, to the same numbers", () => {
  const program = (checkpointing: boolean) => {
    const g = new ProgramBuilder("checkpoints");
    let x = g.input("x", "float32", [1, "t", 3]);
    const checkpoints = [];
    const weights = [];
    x = g.tanh(x);
    checkpoints.push(x);
    for (let block = 0; block < 3; block++) {
      const w = g.parameter("w", `${block}`, [3, 3]);
      weights.push(w);
      x = g.add(x, g.sin(g.linear(g.exp(g.neg(g.mul(x, x))), w)));
      checkpoints.push(x);
    }
    const loss = g.reduceSum(g.mul(x, x));
    const options = checkpointing ? { checkpoints } : {};
    gradients(g, loss, weights, options).forEach((gradient, at) => g.output(`${at}`, gradient));
    return simplify(g.build());
  };
  const [kept, again] = [program(false), program(true)];
  // exp of blocks 1 to 3 in the forward pass, and again for the gradient.
  assert.equal(count(kept, "exp"), 3);
  assert.equal(count(again, "exp"), 6);
  const random = randomNumbers(5);
  const tensor = (...shape: number[]): Float64Tensor => ({
    shape,
    data: Float64Array.from({ length: shape.reduce((a, b) => a * b) }, () => 2 * random() - 1),
  });
  const given = {
    inputs: { x: tensor(1, 4, 3) },
    stores: { w: { 0: tensor(3, 3), 1: tensor(3, 3), 2: tensor(3, 3) } },
  };
  const [expected, actual] = [interpret(kept, given).outputs, interpret(again, given).outputs];
  for (const [name, { data }] of Object.entries(expected)) {
    assert.deepEqual(actual[name]!.data, data);
  }
});

Deno.test("gradients() refuses checkpoints that are out of order", () => {
  const g = new ProgramBuilder("order");
  const x = g.input("x", "float32", [2]);
  const [a, b] = [g.exp(x), g.sin(x)];
  assert.throws(
    () => gradients(g, g.reduceSum(g.add(a, b)), [x], { checkpoints: [b, a] }),
    {
      name: "TypeError",
      message: "Cannot take the gradient as checkpoints must be results of equations, in their " +
        "order: 1 is not",
    },
  );
});
