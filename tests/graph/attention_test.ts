import assert from "node:assert/strict";
import {
  decompose,
  type Float64Tensor,
  type GivenTensor,
  interpret,
  ProgramBuilder,
} from "../../graph/mod.ts";
import { randomNumbers } from "./_cases.ts";

/** The same float64 sums in another order. */
const TOLERANCE = 1e-12;

const [HEADS, KEY_HEADS, SIZE] = [4, 2, 3];

function assertClose(got: ArrayLike<number>, want: ArrayLike<number>, what: string): void {
  assert.equal(got.length, want.length, what);
  for (let i = 0; i < got.length; i++) {
    assert.ok(Math.abs(got[i]! - want[i]!) <= TOLERANCE, `${what}[${i}]: ${got[i]} ${want[i]}`);
  }
}

/** Random query, key and value [batch, time, heads, SIZE]. */
function random(batch: number, time: number, seed: number): Record<string, Float64Tensor> {
  const next = randomNumbers(seed);
  const tensor = (heads: number): Float64Tensor => ({
    shape: [batch, time, heads, SIZE],
    data: Float64Array.from({ length: batch * time * heads * SIZE }, () => 4 * next() - 2),
  });
  return { query: tensor(HEADS), key: tensor(KEY_HEADS), value: tensor(KEY_HEADS) };
}

/** Tokens of one row, in the given order. */
function pick({ shape, data }: Float64Tensor, row: number, tokens: readonly number[]): GivenTensor {
  const [, time, heads, size] = shape as [number, number, number, number];
  const width = heads * size;
  const rows = tokens.map((token) => {
    const start = (row * time + token) * width;
    return [...data.subarray(start, start + width)];
  });
  return { shape: [1, tokens.length, heads, size], data: rows.flat() };
}

function inputs(g: ProgramBuilder, time: "t" | 1 = "t") {
  return {
    query: g.input("query", "float32", ["b", time, HEADS, SIZE]),
    key: g.input("key", "float32", ["b", time, KEY_HEADS, SIZE]),
    value: g.input("value", "float32", ["b", time, KEY_HEADS, SIZE]),
  };
}

function causal(given: Readonly<Record<string, GivenTensor>>, window?: number): Float64Tensor {
  const g = new ProgramBuilder("causal");
  const { query, key, value } = inputs(g);
  const mask = { kind: "causal", ...(window === undefined ? {} : { window }) } as const;
  g.output("y", g.attention(query, key, value, { scale: 0.7, mask }));
  return interpret(g.build(), { inputs: given }).outputs.y!;
}

for (const window of [undefined, 2]) {
  const where = window === undefined ? "" : ` in a window of ${window}`;
  Deno.test(`cachedAttention equals attention after a ragged prefill and single steps${where}`, () => {
    const [batch, time, capacity] = [2, 6, 7];
    const prompts = [3, 2];
    const whole = random(batch, time, 1);
    const want = [0, 1].map((row) =>
      causal(
        Object.fromEntries(
          Object.entries(whole).map(([name, one]) => [name, pick(one, row, [0, 1, 2, 3, 4, 5])]),
        ),
        window,
      ).data
    );
    const program = (length: "t" | 1) => {
      const g = new ProgramBuilder("cached");
      const cache = (name: string) => g.parameter("cache", name, ["b", KEY_HEADS, capacity, SIZE]);
      const { output, keys, values } = g.cachedAttention({
        ...inputs(g, length),
        keys: cache("keys"),
        values: cache("values"),
        past: g.input("past", "int32", ["b"]),
        count: g.input("count", "int32", ["b"]),
      }, { scale: 0.7, ...(window === undefined ? {} : { window }) });
      g.update("cache", "keys", keys);
      g.update("cache", "values", values);
      g.output("y", output);
      return g.build();
    };
    const shape = [batch, KEY_HEADS, capacity, SIZE];
    // What stood in the cache before must not matter.
    const old = { shape, data: new Float64Array(batch * KEY_HEADS * capacity * SIZE).fill(9) };
    let cache: Record<string, GivenTensor> = { keys: old, values: old };
    const width = HEADS * SIZE;
    const step = (tokens: readonly (readonly number[])[], past: number[], count: number[]) => {
      const length = tokens[0]!.length;
      const given = Object.fromEntries(
        Object.entries(whole).map(([name, one]) => {
          const rows = tokens.map((own, row) => pick(one, row, own));
          return [name, {
            shape: [batch, length, one.shape[2]!, SIZE],
            data: rows.flatMap(({ data }) => Array.from(data)),
          }];
        }),
      );
      const { outputs, updates } = interpret(program(length === 1 ? 1 : "t"), {
        inputs: {
          ...given,
          past: { shape: [batch], data: past },
          count: { shape: [batch], data: count },
        },
        stores: { cache },
      });
      cache = updates.cache!;
      for (let row = 0; row < batch; row++) {
        for (let i = 0; i < count[row]!; i++) {
          const at = (row * length + i) * width;
          const position = past[row]! + i;
          assertClose(
            outputs.y!.data.subarray(at, at + width),
            want[row]!.subarray(position * width, (position + 1) * width),
            `row ${row}, position ${position}`,
          );
        }
      }
    };
    step([[0, 1, 2], [0, 1, 1]], [0, 0], prompts);
    step([[3], [2]], [3, 2], [1, 1]);
    step([[4], [3]], [4, 3], [1, 1]);
    step([[5], [4]], [5, 4], [1, 1]);
  });
}

Deno.test("attention under a tree mask equals a row for each continuation", () => {
  // Segments: the prompt, tokens 0 and 1; then two continuations, tokens 2 to 4 and 5 to 6.
  const whole = random(1, 7, 2);
  const g = new ProgramBuilder("tree");
  const { query, key, value } = inputs(g);
  const segments = g.input("segments", "int32", ["b", "t"]);
  const parents = g.input("parents", "int32", ["b", "t"]);
  const mask = { kind: "tree" } as const;
  g.output("y", g.attention(query, key, value, { scale: 0.7, mask, segments, parents }));
  const ids = (...data: number[]): GivenTensor => ({ shape: [1, 7], data });
  const { outputs } = interpret(g.build(), {
    inputs: {
      ...whole,
      segments: ids(0, 0, 1, 1, 1, 2, 2),
      parents: ids(-1, -1, 0, 0, 0, 0, 0),
    },
  });
  const width = HEADS * SIZE;
  for (const tokens of [[0, 1, 2, 3, 4], [0, 1, 5, 6]]) {
    const alone = causal(
      Object.fromEntries(
        Object.entries(whole).map(([name, one]) => [name, pick(one, 0, tokens)]),
      ),
    );
    tokens.forEach((token, at) => {
      assertClose(
        outputs.y!.data.subarray(token * width, (token + 1) * width),
        alone.data.subarray(at * width, (at + 1) * width),
        `token ${token}`,
      );
    });
  }
});

Deno.test("attention with lengths does not depend on what stands beyond them", () => {
  const g = new ProgramBuilder("lengths");
  const { query, key, value } = inputs(g);
  const lengths = g.input("lengths", "int32", ["b"]);
  const mask = { kind: "bidirectional" } as const;
  g.output("y", g.attention(query, key, value, { scale: 0.7, mask, lengths }));
  const whole = random(1, 5, 3);
  const short = Object.fromEntries(
    Object.entries(whole).map(([name, one]) => [name, pick(one, 0, [0, 1, 2])]),
  );
  const [long, alone] = [whole, short].map((given) =>
    interpret(g.build(), { inputs: { ...given, lengths: { shape: [1], data: [3] } } }).outputs.y!
  );
  assertClose(long!.data.subarray(0, alone!.data.length), alone!.data, "first tokens");
});

Deno.test("decompose() keeps the composites it is told to keep", () => {
  const g = new ProgramBuilder("kept");
  const { query, key, value } = inputs(g);
  const y = g.attention(query, key, value, { scale: 1, mask: { kind: "causal" } });
  g.output("y", g.rmsNorm(y, g.parameter("w", "norm", [SIZE]), 1e-5));
  const kept = decompose(g.build(), ({ primitive }) => primitive === "attention");
  const primitives = kept.equations.map(({ primitive }) => primitive);
  assert.ok(primitives.includes("attention"));
  assert.ok(!primitives.includes("rmsNorm"));
});
