/**
 * Single computations: products, attention, norms, the optimizer's elementwise step. Sizes are those of
 * SmolLM2-135M, or of the embedded policy where it says so.
 *
 * @module
 */

import { fromFloat32, type Program, ProgramBuilder, type Value } from "../../graph/mod.ts";
import {
  MOMENTS,
  momentTensors,
  optimizerProgram,
  OPTIMIZERS,
  stepInputs,
} from "../../models/programs/optimizer.ts";
import { GRADIENTS } from "../../models/programs/likelihood.ts";
import { type BenchCase, openParts } from "./case.ts";
import { randomValues } from "./random_models.ts";

type Shapes = Readonly<Record<string, readonly number[]>>;

/** A computation over tensors that are on the device. */
interface Kernel {
  readonly name: string;
  readonly flops: number;
  readonly bytes: number;
  /** Tensors that may change, as hidden states do. */
  readonly data: Shapes;
  /** Tensors that never change, as weights do. */
  readonly weights?: Shapes;
  build(g: ProgramBuilder, values: Readonly<Record<string, Value>>): Value;
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
const bytesOf = (...shapes: readonly (readonly number[])[]) =>
  4 * shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);

/** Only one row comes back, so that its copy does not count. */
function kernelProgram({ name, data, weights = {}, build }: Kernel): Program {
  const g = new ProgramBuilder(name);
  const parameters = (scope: string, shapes: Shapes) =>
    Object.entries(shapes).map(([key, shape]) => [key, g.parameter(scope, key, shape)] as const);
  const y = build(
    g,
    Object.fromEntries([...parameters("data", data), ...parameters("weights", weights)]),
  );
  const shape = y.shape as readonly number[];
  const width = shape.at(-1)!;
  g.output("y", g.slice(g.reshape(y, [sizeOf(shape) / width, width]), 0, 0, 1));
  return g.build();
}

function kernelCase(kernel: Kernel): BenchCase {
  const { name, flops, bytes, data, weights = {} } = kernel;
  const entries = (shapes: Shapes) =>
    Object.entries(shapes).map(([key, shape]) =>
      fromFloat32(key, shape, randomValues(key, sizeOf(shape), 0.5))
    );
  return {
    name,
    flops,
    bytes,
    open: (backend) =>
      openParts(async (parts) => {
        const stored = await parts.add("loadMs", () => backend.createStore(entries(data)));
        const constants = Object.keys(weights).length > 0
          ? { weights: await parts.add("loadMs", () => backend.createStore(entries(weights))) }
          : {};
        const program = kernelProgram(kernel);
        const executable = await parts.add(
          "compileMs",
          () => backend.compile(program, { constants }),
        );
        const bound = executable.bind({ data: stored });
        return async () => void await bound.run({});
      }),
  };
}

/** x [rows, inputs] · W [outputs, inputs] ᵀ. */
function linear(what: string, rows: number, inputs: number, outputs: number): BenchCase {
  const [x, w] = [[rows, inputs], [outputs, inputs]] as const;
  return kernelCase({
    name: `${what} ${rows}×${inputs}→${outputs}`,
    flops: 2 * rows * inputs * outputs,
    bytes: bytesOf(x, w, [rows, outputs]),
    data: { x },
    weights: { w },
    build: (g, { x, w }) => g.linear(x!, w!),
  });
}

/** aᵀ [outputs, rows] · x [rows, inputs]: the gradient of a weight. */
function weightGradient(what: string, rows: number, inputs: number, outputs: number): BenchCase {
  const [a, x] = [[rows, outputs], [rows, inputs]] as const;
  return kernelCase({
    name: `${what} ${rows}×${inputs}→${outputs}`,
    flops: 2 * rows * inputs * outputs,
    bytes: bytesOf(a, x, [outputs, inputs]),
    data: { a, x },
    build: (g, { a, x }) => g.matmul(a!, x!, { transposeA: true }),
  });
}

const [HIDDEN, WIDE, VOCABULARY] = [576, 1536, 49152];

/** Rows of a step of 4 × 256 tokens. */
export const trainingProducts: readonly BenchCase[] = [
  linear("the embedded policy's gate", 64, 128, 352),
  linear("gate", 1024, HIDDEN, WIDE),
  linear("down", 1024, WIDE, HIDDEN),
  weightGradient("gradient of gate", 1024, HIDDEN, WIDE),
];

/** Rows of a prefill of 8 × 48 tokens. */
export const prefillProducts: readonly BenchCase[] = [
  linear("gate", 384, HIDDEN, WIDE),
  linear("down", 384, WIDE, HIDDEN),
];

/** Rows of one token of 1, 5 and 20 samples. */
export const decodeProducts: readonly BenchCase[] = [
  linear("gate", 1, HIDDEN, WIDE),
  linear("gate", 5, HIDDEN, WIDE),
  linear("gate", 20, HIDDEN, WIDE),
  linear("vocabulary", 20, HIDDEN, VOCABULARY),
];

/** Causal attention with grouped heads; operations of pairs that the mask allows. */
function attention(
  what: string,
  [batch, time, heads, kvHeads, size]: readonly [number, number, number, number, number],
): BenchCase {
  const query = [batch, time, heads, size];
  const key = [batch, time, kvHeads, size];
  return kernelCase({
    name: `${what} ${batch}×${time}, ${heads} heads of ${size}, ${kvHeads} for keys`,
    flops: 2 * batch * heads * time * (time + 1) * size,
    bytes: bytesOf(query, query, key, key),
    data: { query, key, value: key },
    build: (g, { query, key, value }) =>
      g.attention(query!, key!, value!, { scale: size ** -0.5, mask: { kind: "causal" } }),
  });
}

/** Attention of the embedded policy, and of a training step. */
export const attentions: readonly BenchCase[] = [
  attention("the embedded policy's", [2, 64, 4, 2, 32]),
  attention("causal", [4, 256, 9, 3, 64]),
];

/** What reads and writes each row once, and log-probabilities of tokens from hidden states. */
export const rowKernels: readonly BenchCase[] = [
  kernelCase({
    name: `RMSNorm 1024×${HIDDEN}`,
    flops: 0,
    bytes: bytesOf([1024, HIDDEN], [1024, HIDDEN]),
    data: { x: [1024, HIDDEN] },
    weights: { w: [HIDDEN] },
    build: (g, { x, w }) => g.rmsNorm(x!, w!, 1e-5),
  }),
  kernelCase({
    name: "softmax 9216×256",
    flops: 0,
    bytes: bytesOf([9216, 256], [9216, 256]),
    data: { x: [9216, 256] },
    build: (g, { x }) => g.softmax(x!),
  }),
  ...([[64, 128, 1536], [128, HIDDEN, 8192]] as const).map(([rows, width, tokens]) => {
    const [hidden, vocabulary] = [[rows, width], [tokens, width]];
    return kernelCase({
      name: `token log-probability ${rows}×${width}, ${tokens} tokens`,
      flops: 2 * rows * width * tokens,
      bytes: bytesOf(hidden, vocabulary, [rows]),
      data: { hidden },
      weights: { vocabulary },
      build(g, { hidden, vocabulary }) {
        const targets = g.iota([rows], 0);
        return g.reshape(g.tokenLogProb(hidden!, vocabulary!, targets), [1, rows]);
      },
    });
  }),
];

/** AdamW over one tensor: reads p, g, m and v, writes p, m and v. */
export function optimizerCase(size: number): BenchCase {
  const tensors = [{ name: "w", shape: [size, size] }];
  const optimizer = OPTIMIZERS.adamw;
  return {
    name: `AdamW of ${size * size / 2 ** 10} Ki weights`,
    flops: 0,
    bytes: 28 * size * size,
    open: (backend) =>
      openParts(async (parts) => {
        const store = (entries: Parameters<typeof backend.createStore>[0]) =>
          parts.add("loadMs", () => backend.createStore(entries));
        const stores = {
          adapter: await store(tensors),
          [GRADIENTS]: await store([
            fromFloat32("w", [size, size], randomValues("gradient", size * size, 1)),
          ]),
          [MOMENTS]: await store(momentTensors(optimizer, tensors)),
        };
        const program = optimizerProgram(optimizer, { scope: "adapter", tensors });
        const executable = await parts.add("compileMs", () => backend.compile(program));
        const bound = executable.bind(stores);
        let step = 0;
        return async () => {
          const numbers = stepInputs(optimizer, ++step, 1e-6, 1);
          await bound.run(Object.fromEntries(
            Object.entries(numbers).map(([name, value]) =>
              [name, { shape: [1], data: Float32Array.of(value) }] as const
            ),
          ));
        };
      }),
  };
}
