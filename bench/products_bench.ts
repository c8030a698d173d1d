/**
 * How fast are float32 products on the onnx backend, in the shapes of SmolLM2-135M, and what do packed
 * weights give? How many operations a product takes is in its group's name.
 *
 * @module
 */

import { createOnnxBackend } from "../backends/onnx/mod.ts";
import {
  type Backend,
  type BoundExecutable,
  createReferenceBackend,
  fromFloat32,
  type HostTensor,
  type Program,
  ProgramBuilder,
} from "../graph/mod.ts";
import { onnxBackend, randomValues } from "./_models.ts";

/** x [rows, inputs] · W [outputs, inputs] ᵀ. Only one row comes back, so that copies do not count. */
function linearProgram(outputs: number, inputs: number): Program {
  const g = new ProgramBuilder("linear");
  const x = g.input("x", "float32", ["rows", inputs]);
  const y = g.linear(x, g.parameter("weights", "w", [outputs, inputs]));
  g.output("y", g.gather(y, g.constant([0], [1], "int32")));
  return g.build();
}

/** aᵀ [rows, outputs] · x [rows, inputs]: the gradient of a weight. */
function gradientProgram(rows: number, outputs: number, inputs: number): Program {
  const g = new ProgramBuilder("weight_gradient");
  const a = g.parameter("weights", "a", [rows, outputs]);
  const x = g.parameter("weights", "x", [rows, inputs]);
  const y = g.matmul(a, x, { transposeA: true });
  g.output("y", g.slice(y, 0, 0, 1));
  return g.build();
}

function size(rows: number, outputs: number, inputs: number): string {
  const operations = 2 * rows * outputs * inputs;
  const amount = operations >= 1e8
    ? `${(operations / 1e9).toFixed(2)} GFLOP`
    : `${(operations / 1e6).toFixed(2)} MFLOP`;
  return `${rows}×${inputs}→${outputs} (${amount})`;
}

async function linear(
  backend: Backend,
  rows: number,
  [outputs, inputs]: readonly [number, number],
  constant: boolean,
): Promise<() => Promise<void>> {
  const weights = await backend.createStore([
    fromFloat32("w", [outputs, inputs], randomValues("w", outputs * inputs, 0.05)),
  ]);
  const program = linearProgram(outputs, inputs);
  const executable = constant
    ? (await backend.compile(program, { constants: { weights } })).bind()
    : (await backend.compile(program)).bind({ weights });
  return runOf(executable, {
    x: { shape: [rows, inputs], data: randomValues("x", rows * inputs, 1) },
  });
}

function runOf(
  executable: BoundExecutable,
  inputs: Readonly<Record<string, HostTensor>>,
): () => Promise<void> {
  return async () => {
    await executable.run(inputs);
  };
}

const HIDDEN = 576;
const SHAPES = {
  "gate": [1536, HIDDEN],
  "down": [HIDDEN, 1536],
  "vocabulary": [49152, HIDDEN],
} as const;
/** Rows of a product: 4 × 256 tokens of a step, a prefill of 8 × 48, one token of 1, 5 and 20 rows. */
const CASES = [
  ["training", 1024, "gate"],
  ["training", 1024, "down"],
  ["prefill", 384, "gate"],
  ["prefill", 384, "down"],
  ["decode 1", 1, "gate"],
  ["decode 5", 5, "gate"],
  ["decode 20", 20, "gate"],
  ["decode 20", 20, "vocabulary"],
] as const;

const bound = await onnxBackend();
const packing = await createOnnxBackend({ threads: bound.limits.threads, packing: "always" });

for (const [use, rows, layer] of CASES) {
  const shape: readonly [number, number] = SHAPES[layer];
  const group = `${use}: ${layer} ${size(rows, ...shape)}`;
  const plain = await linear(bound, rows, shape, false);
  const packed = await linear(packing, rows, shape, true);
  Deno.bench({ name: "bound weights", group, baseline: true, fn: plain });
  Deno.bench({ name: "packed weights", group, fn: packed });
}

{
  const [rows, outputs, inputs] = [1024, 1536, HIDDEN];
  const weights = await bound.createStore([
    fromFloat32("a", [rows, outputs], randomValues("a", rows * outputs, 1)),
    fromFloat32("x", [rows, inputs], randomValues("x", rows * inputs, 1)),
  ]);
  const program = gradientProgram(rows, outputs, inputs);
  const executable = (await bound.compile(program)).bind({ weights });
  const group = `training: gradient of gate ${size(rows, outputs, inputs)}`;
  Deno.bench({ name: "two bound factors", group, fn: runOf(executable, {}) });
}

const TINY = [8, [32, 32]] as const;
const group = `tiny ${size(TINY[0], ...TINY[1])}`;
const reference = await linear(createReferenceBackend(), ...TINY, false);
const tiny = await linear(bound, ...TINY, false);
Deno.bench({ name: "reference backend", group, baseline: true, fn: reference });
Deno.bench({ name: "onnx backend", group, fn: tiny });
