// Judges that compare responses with what is known of their prompt, and the checks they are made of.

import assert from "node:assert/strict";
import { memoryJournal } from "../../core/journal.ts";
import { compare } from "../../core/ask.ts";
import { needsOf, type PreferenceOracle } from "../../core/oracle.ts";
import {
  type AnswerFeature,
  answerNumber,
  cachedJudge,
  chrF,
  exactFeature,
  normalizeAnswer,
  numberFeature,
  orderSwapJudge,
  panelJudge,
  parseFeature,
  parseJudge,
  refusalFeature,
  rougeL,
  schemaFeature,
  temperedJudge,
} from "../../judges/mod.ts";
import similarity from "../parity/data/similarity.json" with { type: "json" };
import { fc } from "../_deps.ts";
import { testOracle } from "./conformance.ts";

const fields = {
  answer: "#### 3",
  reference: "A short answer, such as examples.",
  schema: { type: "object", required: ["json"] },
  checks: ["length:-50", "not:json", 'contains:"answer"', "value:1..5"],
};
for (const name of ["number", "exact", "rouge", "chrf", "schema", "checks"]) {
  testOracle(`parseJudge("${name}")`, { oracle: () => parseJudge(name), fields });
}
testOracle("parseJudge() of a mixture with answers", {
  oracle: () => parseJudge("number@noise=1 + 0.5*rouge + 0.2*length:-9 + schema:{}"),
  fields,
});
testOracle("wrappers of an answer's judge", {
  oracle: () =>
    temperedJudge(
      orderSwapJudge(cachedJudge(panelJudge([parseJudge("chrf")], { vote: "share" }))),
      2,
    ),
  fields,
});

Deno.test("rougeL(), chrF() and normalizeAnswer() agree with rouge-score, sacrebleu and SQuAD", () => {
  const TOLERANCE = 1e-12; // float64 sums in another order
  let rouges = 0;
  for (const { answer, reference, rouge_l, chrf, normalized } of similarity) {
    const where = JSON.stringify([answer, reference]);
    if (rouge_l !== undefined) {
      rouges++;
      assert.ok(Math.abs(rougeL(reference)(answer) - rouge_l) < TOLERANCE, where);
    }
    assert.ok(Math.abs(chrF(reference)(answer) - chrf) < TOLERANCE, where);
    assert.equal(normalizeAnswer(answer), normalized, where);
  }
  assert.ok(rouges > 40);
});

Deno.test("similarity of a text to itself is 1 or it has nothing to compare, and never leaves [0, 1]", () => {
  const text = fc.string({ unit: "binary", maxLength: 40 });
  fc.assert(fc.property(text, text, (one, other) => {
    for (const similarity of [rougeL, chrF]) {
      assert.ok([0, 1].includes(similarity(one)(one)));
      const value = similarity(one)(other);
      assert.ok(value >= 0 && value <= 1, `${value}`);
    }
  }));
});

Deno.test("answerNumber() finds the number an answer comes to", () => {
  const value = (text: string) => {
    const found = answerNumber(text);
    return found && Number(found.numerator) / Number(found.denominator);
  };
  const cases: readonly (readonly [string, number | undefined])[] = [
    ["#### 72", 72],
    ["5 + 5 = <<5+5=10>>10\n#### 10", 10], // as GSM8K writes its answers
    ["#### -1,234.50", -1234.5],
    ["#### $20 an hour, 8 hours", 20],
    ["####18 apples\nthen 4", 18],
    ["#### 3\nno, wait\n#### 4\n", 4],
    ["#### Step 1\nthe answer is 18", 18], // a heading
    ["so \\boxed{\\frac{3}{4}}, or 75 of 100", 0.75],
    ["\\boxed{x^{2}} = 9", 2],
    ["It is 3/4.", 0.75],
    ["1 1/2 cups", 1.5],
    ["16 2/3%", 50 / 3],
    ["50%", 50],
    ["$1,234,567", 1234567],
    ["10{,}000 and \\$5", 5],
    ["10{,}000", 10000],
    ["1\u202f000 kg", 1000],
    ["12,34", 34], // no comma between thousands
    ["from 3-4", 4],
    ["10-5", 5],
    ["x=-5", -5],
    ["it is −5.", -5],
    ["-$5", -5],
    ["$-5", -5],
    ["(-3)", -3],
    ["2 - 3", 3],
    ["- 5 apples", 5],
    [".5", 0.5],
    ["1.5e-3", 0.0015],
    ["18.", 18],
    ["1/0 of 7/0", undefined],
    ["12/25/2020", 2020],
    ["eighteen", undefined],
    ["", undefined],
  ];
  for (const [text, wanted] of cases) assert.equal(value(text), wanted, text);
});

Deno.test("answerNumber() reads any number as it is written, commas or not", () => {
  const whole = fc.bigInt({ min: 0n, max: 10n ** 40n }), decimals = fc.nat(999);
  fc.assert(fc.property(whole, decimals, fc.boolean(), (whole, decimals, negative) => {
    const written = `.${decimals}`.padEnd(4, "0"); // .7 is .700
    const thousandths = BigInt(written.slice(1)), sign = negative ? "-" : "";
    const value = (negative ? -1n : 1n) * (whole * 1000n + thousandths);
    const grouped = whole.toString().replace(/\B(?=(\d{3})+$)/g, ",");
    for (const digits of [`${whole}`, grouped]) {
      const { numerator, denominator } = answerNumber(`It is ${sign}${digits}${written} kg.`)!;
      assert.equal(numerator * 1000n, value * denominator);
    }
  }));
});

Deno.test("answerNumber() takes no longer than its text on numbers of any length", () => {
  for (
    const text of ["1".repeat(20000), "1,".repeat(10000), "#### ".repeat(5000), "-".repeat(20000)]
  ) {
    const started = performance.now();
    answerNumber(text);
    assert.ok(performance.now() - started < 2000, text.slice(0, 9)); // quadratic reading takes minutes
  }
});

const scored = async (feature: AnswerFeature, value: Parameters<AnswerFeature["scorer"]>[0]) =>
  await feature.scorer(value);

Deno.test("numberFeature() compares values exactly, or within a tolerance", async () => {
  const exact = await scored(numberFeature(), ["1/3", 0.5]);
  assert.deepEqual(["1/3", "2/6", "0.333", "0.50", "none"].map(exact), [1, 1, 0, 1, 0]);
  const near = await scored(numberFeature({ tolerance: 0.001 }), "1/3");
  assert.deepEqual(["0.333", "0.34"].map(near), [1, 0]);
  const large = await scored(numberFeature(), "9007199254740993"); // no double
  assert.deepEqual(["9007199254740993", "9007199254740992"].map(large), [1, 0]);
  assert.throws(() => numberFeature({ tolerance: -1 }), RangeError);
});

Deno.test("exactFeature() takes any reference, and what follows a mark", async () => {
  const score = await scored(exactFeature(), ["The U.S.", "#### 7"]);
  assert.deepEqual(["us", "so: 7\n#### 7", "7", "usa"].map(score), [1, 1, 1, 0]);
});

Deno.test("schemaFeature() reads a schema from JSON or its text, and refuses what is none", async () => {
  const schema = { type: "array", items: { $ref: "#/$defs/n" }, $defs: { n: { type: "integer" } } };
  for (const value of [schema, JSON.stringify(schema)]) {
    const score = await scored(schemaFeature(), value);
    assert.deepEqual([" [1, 2] ", "[1.5]", "[", "{}"].map(score), [1, 0, 0, 0]);
  }
  for (const wrong of [7, { type: "text" }, { properties: { a: 1 } }, { pattern: "(" }, "{"]) {
    await assert.rejects(scored(schemaFeature(), wrong), TypeError, JSON.stringify(wrong));
  }
});

Deno.test("refusalFeature() and repetitions in the short form", () => {
  const { score } = refusalFeature();
  const refusals = [
    "I'm sorry, but I can't help with that.",
    "I cannot provide instructions for this.",
    "As an AI language model, I do not have feelings.",
    "Unfortunately, I am unable to do this.",
    "I won’t do it.",
  ];
  const answers = [
    "Sure! Here is how:",
    "The candidate cannot win.",
    "Sorry for the delay. The answer is 4.",
    "x".repeat(300) + " I can't",
    "",
  ];
  assert.deepEqual(refusals.map(score), refusals.map(() => 1));
  assert.deepEqual(answers.map(score), answers.map(() => 0));
  assert.equal(parseFeature("not:repetition:1").score("no no No yes"), 0.5);
});

Deno.test("parseFeature() reads one feature, and says what is wrong", () => {
  const ids = {
    'contains:"a@b"': 'contains:"a@b"',
    "value:-1.5..": "value:-1.5..",
    "value: .. 1e3 ": "value:..1000",
    "not : json": "not:json",
    "repetition": "repetition:4",
    "lexicon:a@count=2": 'lexicon:"a"@count=2',
  };
  for (const [text, id] of Object.entries(ids)) assert.equal(parseFeature(text).id, id);
  const wrong = {
    "value:1": /a range such as 1\.\.5, 1\.\. or \.\.5: "1" at position 7$/,
    "value:..": /its bounds must be numbers, .*: none at position 1$/,
    "value:5..1": /the first at most the second: 5 and 1/,
    "repetition:0": /a whole number of at least 1: 0/,
    'contains:""': /it must be given/,
    "not:not:json": /a feature other than not: "not:json" at position 5$/,
    "not:": /one of length, .*: the end at position 5$/,
    "json json": /there must be the end: "json"/,
    "number": /one of length/, // needs a prompt
  };
  for (const [text, message] of Object.entries(wrong)) {
    assert.throws(() => parseFeature(text), { name: "SyntaxError", message }, text);
    assert.throws(() => parseFeature(text), { message: /^Cannot read the feature / });
  }
});

Deno.test("a field that is not what it must be is refused by the prompt's name", async () => {
  const prompt = (answer: NonNullable<typeof values[string]>) => ({
    id: "7",
    content: "?",
    fields: { answer },
  });
  const values: Record<string, string | readonly string[] | { readonly a: number }> = {
    "number": "none",
    "exact@field=answer": { a: 1 },
    "rouge@field=answer": [],
    "schema@field=answer": "{",
    "checks@field=answer": ["json", "lenght:1-"],
  };
  for (const [form, value] of Object.entries(values)) {
    await assert.rejects(async () => await parseJudge(form).needs!.check(prompt(value)), {
      name: "TypeError",
      message: /^Cannot judge prompt "7" as (?!Cannot)/,
    }, form);
  }
  await assert.rejects(
    async () => await parseJudge("number").needs!.check({ id: "7", content: "?" }),
    {
      name: "RangeError",
      message: 'Cannot judge prompt "7" as it must have the field "answer" for the judge ' +
        "number@field=answer: it has not; field=NAME names another column",
    },
  );
});

Deno.test("wrappers need what their judges need, and answers are kept by fields", async () => {
  const inner = parseJudge("number + rouge + length:-9");
  assert.deepEqual(inner.needs?.fields, ["answer", "reference"]);
  for (
    const outer of [
      panelJudge([inner, parseJudge("chrf")]),
      orderSwapJudge(inner),
      cachedJudge(inner),
    ]
  ) assert.deepEqual(outer.needs?.fields, ["answer", "reference"]);
  assert.deepEqual(needsOf([parseJudge("json")]), {});
  assert.equal(parseJudge("schema:{}").needs, undefined);

  // Another reference is another question, to the cache and to a journal.
  const cached = cachedJudge(parseJudge("number"));
  const journal = memoryJournal();
  const said: number[] = [];
  const ask = async (oracle: PreferenceOracle, answer: number) => {
    const responses = [{ text: "1" }, { text: "2" }];
    const group = { prompt: { id: "p", content: "?", fields: { answer } }, responses };
    for await (const { preferences } of oracle.compare([group])) said.push(preferences[1]!);
    for await (const { judgement } of compare({ oracle, journal }, "list", [group])) {
      said.push(judgement.preferences[1]!);
    }
  };
  for (const answer of [1, 2]) await ask(cached, answer);
  assert.deepEqual(said.map((p) => p > 0.5), [true, true, false, false]);
});
