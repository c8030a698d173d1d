/** Kernels of our own for products of 8-bit activations, beside a float64 product that rounds alike. */

import assert from "node:assert/strict";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { sourceDigest } from "../../backends/onnx/native/kernels/source_digest.ts";
import { SOURCE_DIGEST } from "../../backends/onnx/native/kernels/linux_x86_64.ts";
import type { HostTensor } from "../../graph/backend.ts";
import type { Encoding } from "../../graph/encodings.ts";
import { decodeTensor } from "../../graph/tensor_source.ts";
import { ProgramBuilder } from "../../graph/builder.ts";
import { randomBlocks } from "../_blocks.ts";
import { close, noise } from "./_onnx.ts";

const DEPTH = 96;
/** Matrices of one input: one that fills no panel of 16, and two that begin within one. */
const WIDTHS = { a: 40, b: 7, c: 67 } as const;
/** Ranks of the adapters of some of them. */
const RANKS: Partial<Record<keyof typeof WIDTHS, number>> = { a: 5, c: 16 };
const SCALE = 0.75;
/** Rows: one, a tile with a rest, and several tiles. */
const ROWS = [1, 7, 13, 40];

const names = ["avx512-vnni", "avx2"] as const;

/** Which kernels this machine runs. */
async function available(): Promise<string[]> {
  const found: string[] = [];
  for (const name of names) {
    try {
      const backend = await createOnnxBackend({ threads: 1, kernels: name });
      found.push(backend.versions!.kernels!);
      await backend.dispose();
    } catch (error) {
      assert.match(`${error}`, /^RangeError: Cannot start onnxruntime as kernels must be one of /);
    }
  }
  return found;
}

/** x [rows, DEPTH] with each block of 32 rounded to 255 steps. */
function rounded(x: Float32Array): Float64Array {
  const result = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += 32) {
    const block = x.subarray(start, start + 32);
    const most = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const inverse = Math.fround(127 / most), scale = Math.fround(most / 127);
    block.forEach((value, at) => {
      result[start + at] = most === 0 ? 0 : scale * Math.round(Math.fround(value * inverse));
    });
  }
  return result;
}

function inputs(rows: number): Float32Array {
  const { data } = noise(rows, [rows, DEPTH]);
  data.fill(0, 0, 32); // a block of zeros has no scale
  return data;
}

/** A and B of an adapter. */
function factors(name: string, width: number, rank: number) {
  const seed = width + name.length;
  return { a: noise(seed, [rank, DEPTH]), b: noise(seed + 1, [width, rank]) };
}

/** The products of each number of rows, by one kind of kernels. */
async function products(kernels: string, encoding: Encoding): Promise<Float32Array[][]> {
  const backend = await createOnnxBackend({ threads: 2, kernels });
  const sources = Object.entries(WIDTHS)
    .map(([name, width]) => randomBlocks(encoding, name, [width, DEPTH]));
  const store = await backend.createStore(sources, { keepEncoded: true });
  const g = new ProgramBuilder("products");
  const x = g.input("x", "float32", ["rows", DEPTH]);
  const adapters: Record<string, HostTensor> = {};
  for (const [name, width] of Object.entries(WIDTHS)) {
    const rank = RANKS[name as keyof typeof WIDTHS];
    const lora = rank && {
      a: g.input(`${name}.a`, "float32", [rank, DEPTH]),
      b: g.input(`${name}.b`, "float32", [width, rank]),
      scale: SCALE,
    };
    const weight = g.parameter("weights", name, [width, DEPTH]);
    g.output(name, g.linear(x, weight, lora ? { lora } : {}));
    if (!rank) continue;
    const { a, b } = factors(name, width, rank);
    Object.assign(adapters, { [`${name}.a`]: a, [`${name}.b`]: b });
  }
  const executable = await backend.compile(g.build(), {
    constants: { weights: store },
    activations: "int8",
  });
  const bound = executable.bind({ weights: store });
  const results: Float32Array[][] = [];
  for (const rows of ROWS) {
    const outputs = await bound.run({
      ...adapters,
      x: { shape: [rows, DEPTH], data: inputs(rows) },
    });
    results.push(Object.keys(WIDTHS).map((name) => (outputs[name]!.data as Float32Array).slice()));
  }
  await bound.dispose();
  await executable.dispose();
  await store.dispose();
  await backend.dispose();
  return results;
}

/** What they must be. */
async function expected(encoding: Encoding): Promise<Float64Array[][]> {
  const matrices = await Promise.all(
    Object.entries(WIDTHS).map(async ([name, width]) => {
      const values = new Float32Array(width * DEPTH);
      await decodeTensor(randomBlocks(encoding, name, [width, DEPTH]), values, {});
      const rank = RANKS[name as keyof typeof WIDTHS];
      return { width, values, adapter: rank ? factors(name, width, rank) : undefined };
    }),
  );
  return ROWS.map((rows) => {
    const x = rounded(inputs(rows));
    const exact = inputs(rows);
    return matrices.map(({ width, values, adapter }) =>
      Float64Array.from({ length: rows * width }, (_, index) => {
        const [row, column] = [Math.floor(index / width), index % width];
        let sum = 0;
        for (let k = 0; k < DEPTH; k++) sum += x[row * DEPTH + k]! * values[column * DEPTH + k]!;
        const rank = adapter ? adapter.a.shape[0]! : 0;
        for (let r = 0; r < rank; r++) {
          let narrow = 0;
          for (let k = 0; k < DEPTH; k++) {
            narrow += exact[row * DEPTH + k]! * adapter!.a.data[r * DEPTH + k]!;
          }
          sum += SCALE * narrow * adapter!.b.data[column * rank + r]!;
        }
        return sum;
      })
    );
  });
}

const here = Deno.build.os === "linux" && Deno.build.arch === "x86_64";
const options = { ignore: !here, sanitizeOps: false, sanitizeResources: false };

for (const encoding of ["q4_0", "q4_1", "q8_0"] as const) {
  Deno.test({
    name:
      `own kernels multiply ${encoding} weights with rounded activations, and adapters in float32, all alike`,
    ...options,
    async fn() {
      const kinds = await available();
      assert.ok(kinds.length > 0, "every machine that runs this has AVX2");
      const wanted = await expected(encoding);
      const all = await Promise.all(kinds.map((kind) => products(kind, encoding)));
      for (const results of all) {
        results.forEach((outputs, run) =>
          outputs.forEach((output, at) => close(output, wanted[run]![at]!))
        );
        assert.deepEqual(results, all[0]);
      }
    },
  });
}

/** One product on a backend of its own. */
async function withProduct(
  kernels: string,
  body: (run: (data: Float32Array) => Promise<Float32Array>) => Promise<void>,
): Promise<void> {
  const backend = await createOnnxBackend({ threads: 2, kernels });
  const store = await backend.createStore([randomBlocks("q4_1", "a", [48, DEPTH])], {
    keepEncoded: true,
  });
  const g = new ProgramBuilder("product");
  const x = g.input("x", "float32", ["rows", DEPTH]);
  g.output("y", g.linear(x, g.parameter("weights", "a", [48, DEPTH])));
  const executable = await backend.compile(g.build(), {
    constants: { weights: store },
    activations: "int8",
  });
  const bound = executable.bind({ weights: store });
  await body(async (data) => {
    const { y } = await bound.run({ x: { shape: [data.length / DEPTH, DEPTH], data } });
    return (y!.data as Float32Array).slice();
  });
  await backend.dispose();
}

Deno.test({
  name: "own kernels give a row the same numbers whatever is computed beside it",
  ...options,
  async fn() {
    for (const kind of await available()) {
      await withProduct(kind, async (run) => {
        const data = inputs(29);
        const together = await run(data);
        for (let row = 0; row < 29; row++) {
          const alone = await run(data.slice(row * DEPTH, (row + 1) * DEPTH));
          assert.deepEqual(alone, together.slice(row * 48, (row + 1) * 48));
        }
      });
    }
  },
});

Deno.test({
  name: "own kernels leave what they do not take along, and 65 layers of one value, to other nodes",
  ...options,
  async fn() {
    const layers = Array.from({ length: 65 }, (_, at) => randomBlocks("q8_0", `w${at}`, [32, 64]));
    const factors = [randomBlocks("q8_0", "a", [32, 64]), randomBlocks("q8_0", "b", [32, 32])];
    const g = new ProgramBuilder("layers");
    const x = g.input("x", "float32", ["batch", "time", 64]);
    const bias = g.input("bias", "float32", [32]);
    const encoded = {
      a: g.parameter("adapter", "a", [32, 64]),
      b: g.parameter("adapter", "b", [32, 32]),
    };
    const given = { a: g.input("a", "float32", [3, 64]), b: g.input("b", "float32", [32, 3]) };
    layers.forEach(({ name }, at) => {
      const weight = g.parameter("weights", name, [32, 64]);
      const extras = [
        { lora: { ...encoded, scale: 2 } },
        { lora: { ...given, scale: 0.5 }, bias },
        { lora: { ...given, scale: 0.25 } },
      ];
      g.output(name, g.linear(x, weight, extras[at] ?? {}));
    });
    const inputs = {
      x: noise(1, [2, 3, 64]),
      bias: noise(2, [32]),
      a: noise(3, [3, 64]),
      b: noise(4, [32, 3]),
    };
    const results = [];
    for (const kernels of ["onnxruntime", ...await available()]) {
      const backend = await createOnnxBackend({ threads: 2, kernels });
      const weights = await backend.createStore(layers, { keepEncoded: true });
      const adapter = await backend.createStore(factors, { keepEncoded: true });
      const stores = { weights, adapter };
      const executable = await backend.compile(g.build(), {
        constants: stores,
        activations: "int8",
      });
      const outputs = await executable.bind(stores).run(inputs);
      results.push(layers.map(({ name }) => (outputs[name]!.data as Float32Array).slice()));
      await backend.dispose();
    }
    const [expected, ...own] = results;
    for (const one of own) one.forEach((output, at) => close(output, expected![at]!, 1e-4));
  },
});

Deno.test({
  name: "own kernels run on while other backends are opened and closed",
  ...options,
  async fn() {
    for (const kind of await available()) {
      await withProduct(kind, async (run) => {
        const data = inputs(40);
        const expected = await run(data);
        for (let round = 0; round < 10; round++) {
          const running = Array.from({ length: 10 }, () => run(data));
          const other = await createOnnxBackend({ threads: 1, kernels: kind });
          await other.dispose();
          for (const result of await Promise.all(running)) assert.deepEqual(result, expected);
        }
      });
    }
  },
});

Deno.test({
  name: "own kernels give no number where an activation is none",
  ...options,
  async fn() {
    for (const kind of await available()) {
      await withProduct(kind, async (run) => {
        for (const value of [NaN, Infinity, -Infinity]) {
          const data = inputs(3);
          data[DEPTH + 50] = value;
          const result = await run(data);
          result.forEach((one, at) => {
            assert.equal(Number.isFinite(one), Math.floor(at / 48) !== 1, `${value}: ${at}`);
          });
        }
      });
    }
  },
});

Deno.test({
  name: "createOnnxBackend() uses the kernels that are asked for, and names those there are",
  ...options,
  async fn() {
    const backend = await createOnnxBackend({ threads: 1, kernels: "onnxruntime" });
    assert.equal(backend.versions!.kernels, "onnxruntime");
    await backend.dispose();
    await assert.rejects(createOnnxBackend({ kernels: "sse9" }), {
      name: "RangeError",
      message: /^Cannot start onnxruntime as kernels must be one of onnxruntime, .*: sse9$/,
    });
  },
});

Deno.test("the kernels' library was compiled from the sources that are here", async () => {
  const folder = new URL("../../backends/onnx/native/kernels/", import.meta.url);
  assert.equal(
    (await sourceDigest(folder)).digest,
    SOURCE_DIGEST,
    "run `deno task kernels` after a change of the sources",
  );
});
