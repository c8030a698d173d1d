import assert from "node:assert/strict";
import { judgeGrammarHelp } from "../../judges/short_form/help.ts";
import { closedJudges } from "../../judges/short_form/judge_terms.ts";
import { parseJudge, readJudge } from "../../judges/short_form/read_judge.ts";
import { fc } from "../_deps.ts";

Deno.test("parseJudge() reads each form", () => {
  const forms: Readonly<Record<string, string>> = {
    "length:30-60": "length:30-60@sharpness=6,cap=0.95",
    " length : 30 - 60 ": "length:30-60@sharpness=6,cap=0.95",
    "length:30-": "length:30-@sharpness=6,cap=0.95",
    "length:-60": "length:-60@sharpness=6,cap=0.95",
    "characters:2-9@cap=.8,sharpness=3": "characters:2-9@sharpness=3,cap=0.8",
    'lexicon:good|"of course"@count=2': 'lexicon:"good"|"of course"@count=2,sharpness=6,cap=0.95',
    "json@noise=.5,seed=3": "json@sharpness=6,cap=0.95,noise=0.5,seed=3",
    "regex:/a[/]\\/b/i": "regex:/a[/]\\/b/i@sharpness=6,cap=0.95",
    'regex:"^a\\\\d"': "regex:/^a\\d/@sharpness=6,cap=0.95",
    'starts:"say \\"hi\\""': 'starts:"say \\"hi\\""@sharpness=6,cap=0.95',
    "ends:yes": 'ends:"yes"@sharpness=6,cap=0.95',
    "cycle:json,starts:a,length:1-9@strengths=.9/.6/.7,none=.8":
      'cycle:json,starts:"a",length:1-9@strengths=0.9/0.6/0.7,none=0.8',
    'starts:"@"': 'starts:"@"@sharpness=6,cap=0.95',
    "not:lexicon:a@count=2": 'not:lexicon:"a"@count=2,sharpness=6,cap=0.95',
    'contains:"x@y=1"@cap=.9': 'contains:"x@y=1"@sharpness=6,cap=0.9',
    "value: -1 .. 2.5": "value:-1..2.5@sharpness=6,cap=0.95",
    "refusal + repetition":
      "0.5*refusal@sharpness=6,cap=0.95 + 0.5*repetition:4@sharpness=6,cap=0.95",
    "number": "number@field=answer,sharpness=6,cap=0.95",
    'exact@field="the answer",cap=.9': 'exact@field="the answer",sharpness=6,cap=0.9',
    "number@tolerance=.01,field=a": "number@field=a,tolerance=0.01,sharpness=6,cap=0.95",
    'schema: {"type" : ["object"], "const": "}@"}@cap=.9':
      'schema:{"type":["object"],"const":"}@"}@sharpness=6,cap=0.9',
    "checks@noise=1": "checks@field=checks,sharpness=6,cap=0.95,noise=1,seed=0",
    "json*3 + ends:a": '0.75*json@sharpness=6,cap=0.95 + 0.25*ends:"a"@sharpness=6,cap=0.95',
    "length:30-60@sharpness=3*0.75+0.25*json":
      "0.75*length:30-60@sharpness=3,cap=0.95 + 0.25*json@sharpness=6,cap=0.95",
    "swap( json )": "swap(json@sharpness=6,cap=0.95)",
    "cached(json)": "json@sharpness=6,cap=0.95",
    "noisy(json)@flip=.1": "noisy(json@sharpness=6,cap=0.95)@noise=0,flip=0.1,seed=0",
    "tempered(swap(json@cap=.9,sharpness=3))@temperature=2":
      "tempered(swap(json@sharpness=3,cap=0.9))@temperature=2",
    "majority(cycle:json,starts:a,length:1-9@strengths=.9/.6/.7,none=.8; json@cap=.9,noise=1 ; 3*json + ends:a)":
      'majority(cycle:json,starts:"a",length:1-9@strengths=0.9/0.6/0.7,none=0.8; ' +
      "json@sharpness=6,cap=0.9,noise=1,seed=0; " +
      '0.75*json@sharpness=6,cap=0.95 + 0.25*ends:"a"@sharpness=6,cap=0.95)',
    "share(json)*2 + 2*json":
      "0.5*share(json@sharpness=6,cap=0.95) + 0.5*json@sharpness=6,cap=0.95",
  };
  for (const [form, id] of Object.entries(forms)) assert.equal(parseJudge(form).id, id);
});

Deno.test("parseJudge() says what must stand where when a text is no judge", () => {
  const wrong: Readonly<Record<string, RegExp>> = {
    "":
      /one of length, characters, .*, cycle, pair-rm, reward, gpm, llm, human, module, swap, .*, share: the end at position 1$/,
    "lenght:3-4": /one of length, .*: "lenght:3-4" at position 1$/,
    "length": /":" and a range such as 30-60 after length: the end at position 7$/,
    "length:30": /a range such as 30-60, 30- or -60: "30" at position 8$/,
    "length:-": /a range such as 30-60, 30- or -60: "-" at position 8$/,
    "length:60-30": /the first at most the second: 60 and 30 at position 1$/,
    "json + + json": /one of length, .*: "\+ json" at position 8$/,
    "json json": /"\+" or the end: "json" at position 6$/,
    "2*json*3": /one weight for each judge: "2\*json\*3" at position 1$/,
    "0*json": /a positive weight: "0\*json" at position 1$/,
    "2 json": /"\*" after a weight: "json" at position 3$/,
    "json*": /a weight after "\*": the end at position 6$/,
    "json@": /an option, one of sharpness, cap, noise, seed: the end at position 6$/,
    "json@count=2": /an option, one of sharpness, cap, noise, seed: "count=2" at position 6$/,
    "json@cap=.9,cap=.8": /each option once: "cap=.8" at position 13$/,
    "json@cap=2": /its cap must be above 0.5 and at most 1: 2 at position 1$/,
    "json@cap=x": /a number for cap: "x" at position 10$/,
    "json@cap": /"=" after cap: the end at position 9$/,
    "exact@tolerance=1": /an option, one of field, sharpness, cap, noise, seed: "tolerance=1"/,
    "schema:[]": /a JSON object: "\[\]" at position 8$/,
    'schema:{"a":': /a JSON object: .* at position 8$/,
    "schema:{}@field=a": /an option, one of sharpness, cap, noise, seed: "field=a"/,
    "not:number": /one of length, .*: "number" at position 5$/,
    "cycle:json,number,json": /one of length, .*: "number,json" at position 12$/,
    "cycle:json,json": /three features or more in a cycle/,
    "cycle:json,json,ends:a@strengths=.9/.8": /it must have 3 strengths/,
    'starts:"abc': /a closing quote: "\\"abc" at position 8$/,
    'starts:"a\\d"': /a string as in JSON/,
    "starts:": /a word, or a phrase in quotes: the end at position 8$/,
    "regex:a": /a regular expression between two "\/", or in quotes: "a" at position 7$/,
    "regex:/(/": /Invalid regular expression.* at position 1$/,
    "regex:/a/g": /it must not have the flags g or y.* at position 1$/,
    "regex:/a/zz": /Invalid flags.* at position 1$/,
    "swap": /"\(" and a judge after swap: the end at position 5$/,
    "swap(json": /"\+", options or "\)": the end at position 10$/,
    "swap(json; json)": /"\+", options or "\)": "; json\)" at position 10$/,
    "swap(json)@seed=1": /"\+" or the end: "@seed=1" at position 11$/,
    "majority(json, json)": /"\+", ";" or "\)": ", json\)" at position 14$/,
    "majority()": /one of length, .*: "\)" at position 10$/,
    "noisy(json)": /noise or flip after noisy\(…\), as in @noise=0\.5: the end at position 12$/,
    "noisy(json)@seed=1": /noise or flip after noisy/,
    "noisy(json)@flip=2": /its chance to flip must be in \[0, 1\]: 2 at position 1$/,
    "json + tempered(json)@temperature=0": /its temperature must be positive: 0 at position 8$/,
    "tempered(json)": /temperature after tempered/,
    [`${"swap(".repeat(17)}json${")".repeat(17)}`]: /at most 16 wrappers in each other/,
  };
  for (const [text, message] of Object.entries(wrong)) {
    assert.throws(() => parseJudge(text), (error) => {
      assert.ok(error instanceof SyntaxError);
      assert.match(error.message, /^Cannot read the judge ".*" as /);
      assert.match(error.message, message);
      return true;
    });
  }
});

const phrase = fc.string({ unit: "binary", minLength: 1, maxLength: 8 })
  .filter((text) => text.trim() !== "").map((text) => JSON.stringify(text));
const feature = fc.oneof(
  fc.tuple(fc.nat(99), fc.nat(99)).map(([a, b]) => `length:${a}-${a + b + 1}`),
  fc.nat(99).map((a) => `characters:${a}-`),
  fc.array(phrase, { minLength: 1, maxLength: 3 }).map((list) => `lexicon:${list.join("|")}`),
  phrase.map((text) => `starts:${text}`),
  phrase.map((text) => `ends: ${text}`),
  fc.tuple(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.nat(9))
    .map(([low, more]) => `value:${low}..${Math.min(low + more, Number.MAX_VALUE)}`),
  phrase.map((text) => `not:contains:${text}`),
  fc.constantFrom("refusal", "repetition:2", 'starts:"@@a=1"'),
  fc.constantFrom("example", "json", "regex:/[a-z]+\\/x?/iu", 'regex:"a|b"'),
);
const number = fc.double({ min: 0.01, max: 50, noNaN: true }).map(String);
const answer = fc.oneof(
  fc.tuple(fc.constantFrom("number", "exact", "rouge", "chrf", "schema", "checks"), phrase)
    .map(([name, field]) => `${name}@field=${field}`),
  fc.object({ maxDepth: 2, values: [fc.boolean(), fc.integer(), fc.string()] })
    .map((value) => `schema:${JSON.stringify(value)}`),
);
const atom = fc.oneof(
  answer,
  fc.tuple(feature, number).map(([text, value]) => `${text}@sharpness=${value}`),
  feature,
  fc.array(feature, { minLength: 3, maxLength: 5 }).map((list) => `cycle:${list.join(" , ")}`),
);

const { wrapped } = fc.letrec<{ wrapped: string; one: string; several: string }>((tie) => ({
  wrapped: fc.oneof({ maxDepth: 4 }, atom, tie("one"), tie("several")),
  one: fc.tuple(
    fc.constantFrom("swap(J)", "noisy(J)@flip=.5,seed=2", "tempered( J )@temperature=3"),
    tie("wrapped"),
  ).map(([form, judge]) => form.replace("J", () => judge)),
  several: fc.tuple(
    fc.constantFrom("majority", "share"),
    fc.array(tie("wrapped"), { minLength: 1, maxLength: 3 }),
  ).map(([name, judges]) => `${name}(${judges.join(" ; ")})`),
}));

Deno.test("parseJudge() reads every judge of the grammar, and the id it gives", () => {
  fc.assert(fc.property(
    fc.array(fc.tuple(wrapped, number), { minLength: 1, maxLength: 4 }),
    (terms) => {
      const { id } = parseJudge(terms.map(([text, weight]) => `${weight} * ${text}`).join("+"));
      // Shares are divided by their sum again, which is 1 but for rounding.
      if (terms.length === 1) assert.equal(parseJudge(id).id, id);
      else assert.equal(parseJudge(id).id.length > 0, true);
    },
  ));
});

/** What must be opened, which is read and not made here. */
const closed = fc.constantFrom(
  "human:ann@page=80,votes=a.jsonl,seed=1",
  "reward:a|b@weights=1/2 + gpm:c@tau=1",
  "majority(llm:m@url=http://x/v1,price=1/2; module:./a.ts)",
  'cached(pair-rm:"a b"@temperature=2)@file=a',
);

Deno.test("readJudge() reads a mutated judge or throws a SyntaxError", () => {
  fc.assert(
    fc.property(
      fc.oneof(atom, wrapped, closed),
      fc.nat(),
      fc.nat(4),
      fc.oneof(
        fc.string({ unit: "binary", maxLength: 3 }),
        fc.constantFrom(...'@=,*+:/|"\\-.9();'),
      ),
      (text, place, removed, inserted) => {
        const at = place % (text.length + 1);
        const mutated = text.slice(0, at) + inserted + text.slice(at + removed);
        try {
          readJudge(mutated);
        } catch (error) {
          assert.ok(error instanceof SyntaxError, String(error));
        }
      },
    ),
    { numRuns: 3000 },
  );
});

Deno.test("judgeGrammarHelp's example is a judge", () => {
  const [, example] = judgeGrammarHelp.match(/--judge '(.*)'/)!;
  assert.match(parseJudge(example!).id, /^0.7\*length:30-60/);
});

Deno.test("readJudge() reads what stands in wrappers, and what must be opened", () => {
  const terms = readJudge("cached(majority(gpm:a; module:./b.ts; json))@file=c.jsonl");
  assert.deepEqual(closedJudges(terms), [
    { kind: "gpm", paths: ["a"], options: {} },
    { kind: "module", path: "./b.ts" },
  ]);
  assert.equal((terms[0]!.judge as { file?: string }).file, "c.jsonl");
  assert.throws(() => parseJudge("swap(module:./b.ts)"), /as a module must be opened first$/);
  assert.throws(() => parseJudge("cached(json)@file=c"), /as c must be opened first$/);
});
