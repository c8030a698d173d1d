/**
 * What every preference oracle keeps to, as tests.
 *
 * @module
 */

import assert from "node:assert/strict";
import { checkJudgement } from "../../core/judgements.ts";
import type { ComparisonGroup, Judgement, PreferenceOracle } from "../../core/oracle.ts";
import type { Prompt } from "../../core/policy.ts";

/** Options of {@linkcode testOracle}. */
export interface TestOracleOptions {
  /** Makes the oracle; it is made anew for each test. */
  readonly oracle: () => PreferenceOracle | Promise<PreferenceOracle>;
  /** Texts it is asked about, at least four and different; a few of every kind by default. */
  readonly texts?: readonly string[];
  /** Fields of each prompt; an oracle that needs none is asked without. */
  readonly fields?: NonNullable<Prompt["fields"]>;
  /** How far two answers to the same question may differ: 0 by default, as for arithmetic in order. */
  readonly tolerance?: number;
  /** Tests to leave out, each with its reason. */
  readonly skip?: { readonly [test: string]: string };
}

/** Texts of many kinds: empty, white space, very long, Unicode, broken surrogates, JSON, control. */
export const anyTexts: readonly string[] = [
  "",
  " \n\t ",
  "A short answer.",
  "For example, this one is a little longer, such as answers with examples are.",
  "word ".repeat(4000),
  "x".repeat(20000),
  "🙂 Ünïcödé — 日本語 العربية e\u0301 \u200d",
  "\ud800 lone \udfff surrogates",
  '{"json": [1, 2, 3]}',
  "\u0000\u0007 control",
];

/** Registers the tests of an oracle. */
export function testOracle(name: string, options: TestOracleOptions): void {
  const { texts = anyTexts, tolerance = 0, skip = {} } = options;
  const used = new Set<string>();
  const test = (what: string, body: (oracle: PreferenceOracle) => Promise<void>): void => {
    used.add(what);
    const reason = skip[what];
    Deno.test({
      name: `${name} ${what}${reason === undefined ? "" : ` (skipped: ${reason})`}`,
      ignore: reason !== undefined,
      fn: async () => await body(await options.oracle()),
    });
  };
  const group = (id: string, ...asked: readonly string[]): ComparisonGroup => ({
    prompt: {
      id,
      content: `Prompt ${id}: which is best?`,
      ...(options.fields === undefined ? {} : { fields: options.fields }),
    },
    responses: asked.map((text) => ({ text })),
  });
  const [a, b, c, d] = texts as [string, string, string, string];

  test("keeps the laws of judgements on any texts", async (oracle) => {
    const asked = group("all", ...texts);
    const [judgement] = await collect(oracle, [asked]);
    checkJudgement(judgement!, asked, oracle.id);
    assert.ok(judgement!.mask.every((cell) => cell === 1));
  });

  test("answers each group once, in order", async (oracle) => {
    const groups = [group("1", a, b), group("2", b, c, d), group("3", a), group("4", c, a)];
    const judgements = await collect(oracle, groups);
    assert.deepEqual(judgements.map(({ size }) => size), [2, 3, 1, 2]);
  });

  test("answers nothing when asked nothing", async (oracle) => {
    assert.deepEqual(await collect(oracle, []), []);
  });

  test("answers a group alike whatever the others are, and twice alike", async (oracle) => {
    const groups = [group("1", ...texts.slice(0, 4)), group("2", b, c), group("1", d, a)];
    const together = await collect(oracle, groups);
    for (const [index, asked] of groups.entries()) {
      const [alone] = await collect(oracle, [asked]);
      same(alone!, together[index]!, tolerance);
    }
    for (const [index, judgement] of (await collect(oracle, groups)).entries()) {
      same(judgement, together[index]!, tolerance);
    }
  });

  test("is ½ between identical responses", async (oracle) => {
    for (const text of texts) {
      const [judgement] = await collect(oracle, [group("same", text, text, text)]);
      assert.deepEqual([...judgement!.preferences], new Array(9).fill(0.5));
    }
  });

  test("is 1 − P when responses change places", async (oracle) => {
    for (const [left, right] of [[a, b], [c, d], [b, d]] as const) {
      const [there, back] = await collect(oracle, [
        group("1", left, right),
        group("1", right, left),
      ]);
      near(there!.preferences[1]!, 1 - back!.preferences[1]!, Math.max(tolerance, 1e-12));
    }
  });

  test("compares the pairs it is asked for, and masks the others", async (oracle) => {
    const whole = group("pairs", a, b, c, d);
    const [full] = await collect(oracle, [whole]);
    const asked = { ...whole, pairs: [[0, 1], [3, 1]] as const };
    const [some] = await collect(oracle, [asked]);
    checkJudgement(some!, asked, oracle.id);
    for (let i = 0; i < 4; i++) {
      for (let j = 0; j < 4; j++) {
        const at = i * 4 + j;
        const wanted = i === j ||
          [[0, 1], [1, 3]].some(([x, y]) => x === Math.min(i, j) && y === Math.max(i, j));
        assert.equal(some!.mask[at], wanted ? 1 : 0, `mask at (${i}, ${j})`);
        if (wanted) {
          near(some!.preferences[at]!, full!.preferences[at]!, Math.max(tolerance, 1e-12));
        }
      }
    }
    const [none] = await collect(oracle, [{ ...whole, pairs: [] }]);
    assert.equal(none!.mask.reduce((sum, cell) => sum + cell), 4);
  });

  test("throws the reason when its signal is aborted", async (oracle) => {
    const reason = new Error("enough");
    const before = new AbortController();
    before.abort(reason);
    const groups = [group("1", a, b), group("2", c, d), group("3", a, c)];
    await assert.rejects(collect(oracle, groups, before.signal), (error) => error === reason);
    const midst = new AbortController();
    await assert.rejects(
      async () => {
        for await (const _ of oracle.compare(groups, { signal: midst.signal })) midst.abort(reason);
      },
      (error) => error === reason,
    );
  });

  test("lets its receiver stop", async (oracle) => {
    let seen = 0;
    for await (const _ of oracle.compare([group("1", a, b), group("2", c, d)])) {
      seen++;
      break;
    }
    assert.equal(seen, 1);
  });

  test("takes prompts that have what it needs, and refuses others", async (oracle) => {
    const asked = group("with", a, b);
    await oracle.needs?.check(asked.prompt);
    for (const field of oracle.needs?.fields ?? []) {
      const { [field]: _, ...fields } = options.fields ?? {};
      const without = { ...asked, prompt: { ...asked.prompt, id: "without", fields } };
      const refusal = { message: /^Cannot judge prompt "without" as / };
      await assert.rejects(async () => await oracle.needs!.check(without.prompt), refusal);
      await assert.rejects(collect(oracle, [without]), refusal);
    }
  });

  test("has an id that stays", async (oracle) => {
    assert.notEqual(oracle.id, "");
    assert.equal((await options.oracle()).id, oracle.id);
  });

  for (const what of Object.keys(skip)) {
    if (!used.has(what)) throw new RangeError(`Cannot skip a test as it must exist: "${what}"`);
  }
}

async function collect(
  oracle: PreferenceOracle,
  groups: readonly ComparisonGroup[],
  signal?: AbortSignal,
): Promise<Judgement[]> {
  const judgements: Judgement[] = [];
  const options = signal === undefined ? undefined : { signal };
  for await (const judgement of oracle.compare(groups, options)) judgements.push(judgement);
  return judgements;
}

function same(actual: Judgement, expected: Judgement, tolerance: number): void {
  assert.equal(actual.size, expected.size);
  assert.deepEqual(actual.mask, expected.mask);
  for (const [at, value] of expected.preferences.entries()) {
    near(actual.preferences[at]!, value, tolerance);
  }
}

function near(actual: number, expected: number, tolerance: number): void {
  if (Number.isNaN(expected) && Number.isNaN(actual)) return;
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual}, not ${expected}`);
}
