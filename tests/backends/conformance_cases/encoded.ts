/**
 * Weights that stay in the encoding of their checkpoint.
 *
 * @module
 */

import assert from "node:assert/strict";
import { randomStream } from "../../../core/mod.ts";
import {
  createReferenceBackend,
  type Encoding,
  type HostTensor,
  type Program,
  type TensorSource,
} from "../../../graph/mod.ts";
import { randomBlocks } from "../../_blocks.ts";
import { assertClose, type Case, int, program } from "./_support.ts";

const ENCODINGS = ["q8_0", "q4_0", "q4_1"] as const;
const ROWS = 48;
const COLUMNS = 96;

const blocks = (encoding: Encoding, name: string, rows = ROWS) =>
  randomBlocks(encoding, name, [rows, COLUMNS]);

/**
 * Whole numbers up to 127 that reach it in each block of 32: rounding to 8 bits with a scale for each
 * block leaves them as they are.
 */
function wholeNumbers(rows: number): HostTensor {
  const random = randomStream(8, "x", rows);
  const data = Float32Array.from(
    { length: rows * COLUMNS },
    (_, index) => index % 32 === 5 ? 127 : Math.floor(random.next() * 255) - 127,
  );
  return { shape: [rows, COLUMNS], data };
}

/** Every way a program reads a matrix. */
const readers: Program = program("readers", (g) => {
  const x = g.input("x", "float32", ["n", COLUMNS]);
  const ids = g.input("ids", "int32", ["n", 2]);
  const targets = g.input("targets", "int32", ["n"]);
  const w = g.parameter("weights", "w", [ROWS, COLUMNS]);
  const v = g.parameter("weights", "v", [COLUMNS, COLUMNS]);
  const wide = g.linear(x, w, {
    bias: g.constant(Array.from({ length: ROWS }, (_, i) => i), [ROWS]),
  });
  g.output("linear", wide);
  g.output("twice", g.linear(x, v));
  g.output("back", g.matmul(wide, w));
  g.output("rows", g.gather(w, ids));
  g.output("tokens", g.tokenLogProb(g.mul(x, g.constant(0.01)), w, targets, { chunks: 3 }));
  g.output("values", g.neg(w));
  g.output("itself", v);
});

const given = (rows: number): Readonly<Record<string, HostTensor>> => ({
  x: wholeNumbers(rows),
  ids: int([rows, 2], ...Array.from({ length: 2 * rows }, (_, i) => (i * 7) % ROWS)),
  targets: int([rows], ...Array.from({ length: rows }, (_, i) => (i * 5) % ROWS)),
});

/** y = x Wᵀ */
const product: Program = program("product", (g) => {
  const x = g.input("x", "float32", ["n", COLUMNS]);
  g.output("y", g.linear(x, g.parameter("weights", "w", [ROWS, COLUMNS])));
});

async function expected(
  program: Program,
  sources: readonly TensorSource[],
  inputs: Readonly<Record<string, HostTensor>>,
) {
  const reference = createReferenceBackend();
  const weights = await reference.createStore(sources);
  const executable = await reference.compile(program, { constants: { weights } });
  const outputs = await executable.bind().run(inputs);
  return Object.entries(outputs).map(([name, { shape, data }]) =>
    [name, { shape, data: Float64Array.from(data) }] as const
  );
}

/** What encoded weights promise. */
export const encodedCases: readonly Case[] = ENCODINGS.flatMap((encoding): Case[] => [
  {
    name: `${encoding} weights that stay encoded are the same numbers`,
    async run(backend, tolerance) {
      const sources = [blocks(encoding, "w"), blocks(encoding, "v", COLUMNS)];
      const weights = await backend.createStore(sources, { keepEncoded: true });
      assert.ok(weights.encoding("w") === encoding || weights.encoding("w") === "f32");
      const reference = await createReferenceBackend().createStore(sources);
      assertClose(
        { shape: [ROWS, COLUMNS], data: await weights.read("w") },
        { shape: [ROWS, COLUMNS], data: Float64Array.from(await reference.read("w")) },
        tolerance,
        "read",
      );
      const executable = await backend.compile(readers, { constants: { weights } });
      const bound = executable.bind();
      for (const rows of [1, 9]) {
        const got = await bound.run(given(rows));
        for (const [name, tensor] of await expected(readers, sources, given(rows))) {
          assertClose(got[name]!, tensor, tolerance, name);
        }
      }
      await executable.dispose();
      await weights.dispose();
    },
  },
  {
    name: `products of ${encoding} weights with 8-bit activations are exact in the weights`,
    async run(backend, tolerance) {
      const sources = [blocks(encoding, "w")];
      const weights = await backend.createStore(sources, { keepEncoded: true });
      const executable = await backend.compile(product, {
        constants: { weights },
        activations: "int8",
      });
      const bound = executable.bind();
      for (const rows of [1, 4, 9]) {
        const x = wholeNumbers(rows);
        const got = await bound.run({ x });
        for (const [name, tensor] of await expected(product, sources, { x })) {
          assertClose(got[name]!, tensor, tolerance, name);
        }
      }
      await executable.dispose();
      await weights.dispose();
    },
  },
  {
    name: `${encoding} weights that stay encoded are not written`,
    async run(backend) {
      const weights = await backend.createStore([blocks(encoding, "w")], { keepEncoded: true });
      if (weights.encoding("w") !== "f32") {
        const values = new Float32Array(ROWS * COLUMNS);
        await assert.rejects(async () => await weights.write("w", values), TypeError);
        const rows = [{ from: 0, to: 1 }];
        await assert.rejects(async () => await weights.copyRows(weights, rows), TypeError);
      }
      const copy = await weights.snapshot();
      const values = await weights.read("w");
      await weights.dispose();
      assert.deepEqual(await copy.read("w"), values);
      await copy.dispose();
    },
  },
]);
