import assert from "node:assert/strict";
import { type RatedGroup, raterAgreement, raterFacts } from "../../judges/mod.ts";
import { fc } from "../_deps.ts";

const level = fc.constantFrom(0, 0.2, 0.5, 0.9, 1, null);
/** Two raters on groups of three. */
const tables = fc.array(
  fc.tuple(...[0, 1].map(() => fc.tuple(level, level, level)) as [
    fc.Arbitrary<[number | null, number | null, number | null]>,
    fc.Arbitrary<[number | null, number | null, number | null]>,
  ]),
  { minLength: 1, maxLength: 12 },
);

function groupOf([a, b, c]: readonly (number | null)[]): RatedGroup {
  const back = (p: number | null | undefined) => p == null ? null : 1 - p;
  return {
    preferences: [[null, a!, b!], [back(a), null, c!], [back(b), back(c), null]],
  };
}

/** Cohen's κ of lists of verdicts, from the table of both. */
function kappaOf(verdicts: readonly (readonly [number, number])[]): number {
  const table = [0, 1, 2].map((row) =>
    [0, 1, 2].map((column) => verdicts.filter(([a, b]) => a === row && b === column).length)
  );
  const total = verdicts.length;
  const rows = table.map((row) => row.reduce((a, b) => a + b));
  const columns = [0, 1, 2].map((column) => table.reduce((sum, row) => sum + row[column]!, 0));
  const same = [0, 1, 2].reduce((sum, k) => sum + table[k]![k]!, 0) / total;
  const chance = [0, 1, 2].reduce((sum, k) => sum + rows[k]! * columns[k]!, 0) / total ** 2;
  return (same - chance) / (1 - chance);
}

Deno.test("raterAgreement() is Cohen's κ of the verdicts in both directions", () => {
  fc.assert(fc.property(tables, (drawn) => {
    const one = drawn.map(([cells]) => groupOf(cells)), other = drawn.map(([, c]) => groupOf(c));
    const verdicts: [number, number][] = [];
    for (const [index, { preferences }] of one.entries()) {
      for (const [i, row] of preferences.entries()) {
        for (const [j, p] of row.entries()) {
          const q = other[index]!.preferences[i]![j] ?? null;
          if (p !== null && q !== null) {
            verdicts.push([Math.sign(p - 0.5) + 1, Math.sign(q - 0.5) + 1]);
          }
        }
      }
    }
    const { pairs, kappa } = raterAgreement(one, other);
    assert.equal(pairs, verdicts.length / 2);
    const wanted = kappaOf(verdicts);
    if (Number.isFinite(wanted)) assert.ok(Math.abs(kappa - wanted) < 1e-9, `${kappa}, ${wanted}`);
    else assert.ok(Number.isNaN(kappa));
  }));
});

Deno.test("raterAgreement() does not depend on which response is called the first", () => {
  fc.assert(fc.property(tables, (drawn) => {
    const turned = ([a, b, c]: readonly (number | null)[]) =>
      groupOf([c, b, a].map((p) => p == null ? null : 1 - p));
    const straight = raterAgreement(
      drawn.map(([cells]) => groupOf(cells)),
      drawn.map(([, cells]) => groupOf(cells)),
    );
    const reversed = raterAgreement(
      drawn.map(([cells]) => turned(cells)),
      drawn.map(([, cells]) => turned(cells)),
    );
    for (const [key, value] of Object.entries(straight)) {
      const other = reversed[key as keyof typeof reversed];
      assert.ok(Object.is(value, other) || Math.abs(value - other) < 1e-12, key);
    }
  }));
});

Deno.test("raterFacts() counts triads of complete groups, and lengths of decided pairs", () => {
  const cycle = [[null, 0.9, 0.2], [0.1, null, 0.8], [0.8, 0.2, null]];
  const facts = raterFacts([
    { preferences: cycle, lengths: [1, 2, 2] },
    { preferences: [[null, 0.5], [0.5, null]], lengths: [1, 2] },
    { preferences: [[null, 1, null], [0, null, 1], [null, 0, null]] },
  ]);
  assert.deepEqual(facts, {
    ...{ pairs: 6, ties: 1, complete: 2, triads: 1, cyclic: 1 },
    ...{ uneven: 2, longer: 0.5 },
  });
  assert.ok(Number.isNaN(raterFacts([]).longer));
});

Deno.test("raterAgreement() refuses groups that are not the same", () => {
  const two = { preferences: [[null, 1], [0, null]] }, one = { preferences: [[null]] };
  assert.throws(() => raterAgreement([two], []), /the same groups: 1 and 0/);
  assert.throws(() => raterAgreement([two], [one]), /group 0 must have one size: 2 and 1/);
});
