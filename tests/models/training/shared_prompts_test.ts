import assert from "node:assert/strict";
import { type GivenTensor, gradients, interpret, ProgramBuilder } from "../../../graph/mod.ts";
import { packSequences, type Sequence } from "../../../models/mod.ts";
import { sharedAttention, sharedPrompts } from "../../../models/programs/shared_prompts.ts";
import { randomNumbers } from "../../graph/_cases.ts";

/** float64 sums in another order. */
const TOLERANCE = 1e-12;
const HEADS = 4;
const KEY_HEADS = 2;
const SIZE = 2;
const SCALE = 0.7;

/** Two prompts, one with three responses of which one has a single token. */
const sequences: readonly Sequence[] = [
  { promptIds: [1, 2, 3], responseIds: [4, 5, 6, 7] },
  { promptIds: [8], responseIds: [9, 10] },
  { promptIds: [1, 2, 3], responseIds: [11] },
  { promptIds: [1, 2, 3], responseIds: [12, 13] },
];

/** A number for each token id, place, head and element, the same wherever the token is fed. */
function rowOf(name: string, ids: readonly number[], heads: number): number[] {
  let seed = name.charCodeAt(0);
  for (const id of ids) seed = Math.imul(seed, 31) + id;
  const random = randomNumbers(seed);
  return Array.from({ length: heads * SIZE }, () => 2 * random() - 1);
}

const heads = { query: HEADS, key: KEY_HEADS, value: KEY_HEADS, weight: HEADS } as const;
type Name = keyof typeof heads;
const names = Object.keys(heads) as Name[];

/** Values of tokens that are known by what comes before them and themselves. */
function inputs(prefixes: readonly (readonly number[])[]): Record<Name, GivenTensor> {
  const entries = names.map((name): [Name, GivenTensor] => [name, {
    shape: [1, prefixes.length, heads[name], SIZE],
    data: prefixes.flatMap((ids) => rowOf(name, ids, heads[name])),
  }]);
  return Object.fromEntries(entries) as Record<Name, GivenTensor>;
}

/** Outputs and gradients of Σ weight · output, of each token by its prefix, summed over its copies. */
function add(
  sums: Map<string, number[]>,
  prefixes: readonly (readonly number[])[],
  outputs: Readonly<Record<string, { readonly data: ArrayLike<number> }>>,
): void {
  for (const [name, { data }] of Object.entries(outputs)) {
    const width = data.length / prefixes.length;
    prefixes.forEach((ids, at) => {
      const key = `${name} ${ids}`;
      const row = Array.from(data).slice(at * width, (at + 1) * width);
      const before = name === "output" ? undefined : sums.get(key);
      sums.set(key, before ? before.map((value, index) => value + row[index]!) : row);
    });
  }
}

const settings: readonly { readonly window?: number; readonly scoreCap?: number }[] = [
  {},
  { window: 1 },
  { window: 3 },
  { window: 3, scoreCap: 0.3 },
];

for (const { window, ...scores } of settings) {
  const what = `the window is ${window}, the cap ${scores.scoreCap}`;
  Deno.test(`sharedAttention() equals attention over each sequence when ${what}`, () => {
    const program = (shared: boolean) => {
      const g = new ProgramBuilder("attention");
      const [query, key, value, weight] = names.map((name) =>
        g.input(name, "float32", [1, "time", heads[name], SIZE])
      ) as [never, never, never, never];
      const options = { scale: SCALE, ...scores, ...(window === undefined ? {} : { window }) };
      const output = shared
        ? sharedAttention(g, sharedPrompts(g), query, key, value, options)
        : g.attention(query, key, value, {
          scale: SCALE,
          ...scores,
          mask: { kind: "causal", ...(window === undefined ? {} : { window }) },
        });
      g.output("output", output);
      const wrt = [query, key, value];
      gradients(g, g.reduceSum(g.mul(weight, output)), wrt).forEach((gradient, index) =>
        g.output(`gradient of ${names[index]}`, gradient)
      );
      return g.build();
    };
    const prefixesOf = ({ promptIds, responseIds }: Sequence) => {
      const fed = [...promptIds, ...responseIds.slice(0, -1)];
      return fed.map((_, at) => fed.slice(0, at + 1));
    };

    const expected = new Map<string, number[]>();
    const seen = new Set<string>();
    for (const sequence of sequences) {
      const prefixes = prefixesOf(sequence);
      const given = inputs(prefixes);
      // A prompt's outputs count once, as it is fed once.
      const data = prefixes.flatMap((ids) =>
        rowOf("weight", ids, HEADS).map((value) => seen.has(`${ids}`) ? 0 : value)
      );
      for (const ids of prefixes) seen.add(`${ids}`);
      const weight = { shape: given.weight.shape, data };
      add(expected, prefixes, interpret(program(false), { inputs: { ...given, weight } }).outputs);
    }

    const { rows: _r, targets: _t, owner: _o, ids, positions, ...tables } = packSequences(
      sequences,
    );
    const packed = [...ids!.data].map((_, at) => {
      const row = sequences.flatMap(prefixesOf).find((prefix) =>
        prefix.at(-1) === ids!.data[at] && prefix.length === positions!.data[at]! + 1
      );
      return row!;
    });
    const actual = new Map<string, number[]>();
    const given = { ...inputs(packed), ...tables };
    add(actual, packed, interpret(program(true), { inputs: given }).outputs);

    assert.deepEqual([...actual.keys()].toSorted(), [...expected.keys()].toSorted());
    for (const [key, values] of expected) {
      values.forEach((value, index) => {
        const difference = Math.abs(actual.get(key)![index]! - value);
        assert.ok(difference <= TOLERANCE, `${key}: ${actual.get(key)} is not ${values}`);
      });
    }
  });
}
