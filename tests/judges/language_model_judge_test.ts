// Language models as judges: on models of a few lines, and on a server in this process that fails.

import assert from "node:assert/strict";
import { memoryJournal } from "../../core/journal.ts";
import type { ComparisonGroup, Judgement, PreferenceOracle } from "../../core/oracle.ts";
import {
  type ChatModel,
  JudgeError,
  languageModelJudge,
  ownTemplate,
  pairwiseTemplates,
  readJudge,
  readVerdict,
} from "../../judges/mod.ts";
import { textTemplateParser } from "../../models/text/text_template.ts";
import { chat, completion, failure, longer, shown, withServer } from "./_chat_server.ts";
import { droppingProxy } from "./_proxy.ts";
import { testOracle } from "./conformance.ts";

const TOKENS = { prompt: 10, response: 1 };

/** p(A) = 0.1 + 0.8 σ(length A − length B), shared with a tie; likes the first place. */
const lengths: ChatModel = {
  id: "lengths",
  answer(messages, { logProbs }) {
    const [a, b] = shown(messages[0]!.content);
    const p = 0.15 + 0.8 / (1 + Math.exp(b.length - a.length));
    const firstToken = [["A", p], ["B", 1 - p]] as const;
    return Promise.resolve({
      text: p > 0.5 ? "A" : "B",
      tokens: TOKENS,
      ...(logProbs
        ? { firstToken: firstToken.map(([token, p]) => ({ token, logProb: Math.log(p) })) }
        : {}),
    });
  },
};

testOracle("languageModelJudge()", { oracle: () => languageModelJudge(lengths), tolerance: 1e-12 });
testOracle("languageModelJudge() by text", {
  oracle: () => languageModelJudge(lengths, { logProbs: false, concurrency: 2 }),
});

const group = (id: string, ...texts: readonly string[]): ComparisonGroup => ({
  prompt: { id, content: `Prompt ${id}` },
  responses: texts.map((text) => ({ text })),
});

async function collect(
  oracle: PreferenceOracle,
  groups: readonly ComparisonGroup[],
): Promise<Judgement[]> {
  const judgements: Judgement[] = [];
  for await (const judgement of oracle.compare(groups)) judgements.push(judgement);
  return judgements;
}

Deno.test("readVerdict() reads labels, log-probabilities first, and marks in FastChat's order", () => {
  const { form } = pairwiseTemplates.short;
  const read = (text: string, top: Readonly<Record<string, number>> = {}) =>
    readVerdict({
      text,
      tokens: TOKENS,
      firstToken: Object.entries(top).map(([token, p]) => ({ token, logProb: Math.log(p) })),
    }, form);
  for (
    const [text, first] of [["A", 1], [" B.", 0], ["(C)", 0.5], ["**A**", 1], ['"B"', 0]] as const
  ) {
    assert.deepEqual(read(text), { first, soft: false }, text);
  }
  for (const text of ["", "  ", "D", "A or B", "Answer: A", "a"]) {
    assert.equal(read(text), undefined, text);
  }
  // (0.3 + 0.1 + 0.2/2) / (0.3 + 0.1 + 0.1 + 0.2)
  const soft = read("B", { A: 0.3, " A": 0.1, B: 0.1, C: 0.2, AB: 0.3 });
  assert.ok(soft!.soft && Math.abs(soft!.first - 0.5 / 0.7) < 1e-12);
  assert.deepEqual(read("B", { The: 0.9 }), { first: 0, soft: false });
  const marks = pairwiseTemplates["mt-bench"].form;
  const mark = (text: string) => readVerdict({ text, tokens: TOKENS }, marks)?.first;
  assert.deepEqual(
    ["so [[A]]", "[[B]]!", "[[C]]", "[[C]] [[B]] [[A]]", "[A]"].map(mark),
    [1, 0, 0.5, 1, undefined],
  );
});

Deno.test("AlpacaEval's labels come from log-probabilities, both orders averaged", () =>
  // m, shown first, has 0.6 of 0.8 whatever stands there, but "good" gets 0.3 more.
  withServer(({ messages, max_tokens, logprobs, top_logprobs, temperature }) => {
    assert.deepEqual([max_tokens, logprobs, top_logprobs, temperature], [1, true, 20, 0]);
    assert.deepEqual(messages.map(({ role }) => role), ["system", "user"]);
    const goodFirst = messages[1]!.content.includes('"m",\n        "output": """good"""');
    return completion("m", goodFirst ? { m: 0.8, M: 0.1, x: 0.1 } : { m: 0.4, M: 0.4, x: 0.2 });
  }, async (baseUrl, asked) => {
    const oracle = languageModelJudge(chat(baseUrl), {
      template: pairwiseTemplates.alpaca,
      price: { prompt: 2, response: 10 },
    });
    const [judgement] = await collect(oracle, [group("p", "good", "bad", "good")]);
    const expected = (8 / 9 + 1 - 0.5) / 2;
    assert.ok(Math.abs(judgement!.preferences[1]! - expected) < 1e-12);
    assert.equal(judgement!.preferences[2], 0.5); // the same text
    assert.ok(Math.abs(judgement!.preferences[5]! - (1 - expected)) < 1e-12);
    assert.equal(asked.length, 2);
    const { first_place, ...counts } = judgement!.counts!;
    assert.deepEqual(counts, {
      pairs: 1,
      order_conflicts: 0,
      soft: 2,
      hard: 0,
      unparsable: 0,
      cached: 0,
    });
    assert.ok(Math.abs(first_place! - (8 / 9 + 0.5) / 2) < 1e-12);
    const currency = 2 * (100 * 2 + 2 * 10) / 1e6;
    assert.deepEqual(judgement!.cost, { tokens: 204, requests: 2, currency });
    assert.deepEqual(oracle.meter(), {
      requests: 2,
      promptTokens: 200,
      responseTokens: 4,
      currency,
    });
  }));

Deno.test("MT-Bench's contradicting verdicts are a tie, and counted", () =>
  withServer(() => completion("Well. [[A]]"), async (baseUrl) => {
    const oracle = languageModelJudge(chat(baseUrl), { template: pairwiseTemplates["mt-bench"] });
    const [judgement] = await collect(oracle, [group("p", "x", "y")]);
    assert.deepEqual([...judgement!.preferences], [0.5, 0.5, 0.5, 0.5]);
    const { pairs, first_place, order_conflicts } = judgement!.counts!;
    assert.deepEqual([pairs, first_place, order_conflicts], [1, 1, 1]);
  }));

Deno.test("a server without log-probabilities is judged by its text", () =>
  withServer(longer, async (baseUrl, asked) => {
    const [judgement] = await collect(languageModelJudge(chat(baseUrl)), [group("p", "long", "s")]);
    assert.deepEqual([...judgement!.preferences], [0.5, 1, 0, 0.5]);
    assert.deepEqual([judgement!.counts!.soft, judgement!.counts!.hard], [0, 2]);
    assert.equal(asked[0]!.logprobs, true);
  }));

for (const status of [429, 500, 503]) {
  Deno.test(`status ${status} is tried again, and judges as if it had not been`, () =>
    withServer(
      (asked, times) => times < 2 ? failure(status) : longer(asked, times),
      async (baseUrl, asked) => {
        const groups = ["1", "2", "3"].map((id) => group(id, "aaa", "b", "cc"));
        for (
          const { preferences, cost } of await collect(languageModelJudge(chat(baseUrl)), groups)
        ) {
          assert.deepEqual([...preferences], [0.5, 1, 1, 0, 0.5, 0, 0, 1, 0.5]);
          assert.equal(cost!.requests, 6);
        }
        assert.equal(asked.length, 3 * 18);
      },
    ));
}

Deno.test("a dropped connection is tried again", () =>
  withServer(longer, async (baseUrl, asked) => {
    await using proxy = droppingProxy(Number(new URL(baseUrl).port), 1);
    const oracle = languageModelJudge(chat(`http://127.0.0.1:${proxy.port}/v1`), {
      concurrency: 1,
    });
    const [judgement] = await collect(oracle, [group("p", "long", "s")]);
    assert.deepEqual([...judgement!.preferences], [0.5, 1, 0, 0.5]);
    assert.deepEqual([proxy.dropped(), asked.length], [1, 2]);
  }));

Deno.test("when the tries are used up, judgements before are given, then the error", () =>
  withServer(
    (asked) => asked.messages[0]!.content.includes("Prompt 2") ? failure(500) : longer(asked, 0),
    async (baseUrl, asked) => {
      const oracle = languageModelJudge(chat(baseUrl, 1), { concurrency: 2 });
      const given: Judgement[] = [];
      await assert.rejects(async () => {
        for await (
          const judgement of oracle.compare([
            group("1", "a", "bb"),
            group("2", "a", "bb"),
            group("3", "a", "bb"),
          ])
        ) given.push(judgement);
      }, { name: "Error", message: "Cannot ask m as the server must answer: 500 try later" });
      assert.equal(given.length, 1);
      assert.ok(asked.every(({ messages }) => !messages[0]!.content.includes("Prompt 3")));
    },
  ));

Deno.test("an answer without a verdict throws with the text, or masks, as is asked", () =>
  withServer((asked) => {
    const both = shown(asked.messages[0]!.content);
    return both.includes("odd") ? completion("I like both!") : longer(asked, 0);
  }, async (baseUrl) => {
    const asked = group("p", "aaa", "b", "odd");
    const judging = (unparsable?: "throw" | "mask-pair" | "mask-prompt") =>
      collect(
        languageModelJudge(chat(baseUrl), unparsable === undefined ? {} : { unparsable }),
        [asked],
      );
    await assert.rejects(judging(), (error) => {
      assert.ok(error instanceof JudgeError);
      assert.equal(error.raw, "I like both!");
      assert.match(
        error.message,
        /^Cannot read the answer of openai:.*:m on prompt "p" as it must have one of A, B, C and no more: "I like both!"$/,
      );
      return true;
    });
    const [pair] = await judging("mask-pair");
    assert.deepEqual([...pair!.mask], [1, 1, 0, 1, 1, 0, 0, 0, 1]);
    assert.equal(pair!.preferences[1], 1);
    assert.deepEqual([pair!.counts!.unparsable, pair!.counts!.pairs], [4, 1]);
    const [prompt] = await judging("mask-prompt");
    assert.deepEqual([...prompt!.mask], [1, 0, 0, 0, 1, 0, 0, 0, 1]);
    assert.equal(prompt!.counts!.unparsable, 4);
  }));

Deno.test("answers that are kept are not asked for again, by another judge neither", () =>
  withServer(longer, async (baseUrl, asked) => {
    const answers = memoryJournal();
    const make = () => languageModelJudge(chat(baseUrl), { answers });
    const groups = [group("1", "aaa", "b"), group("2", "aaa", "b", "cc")];
    const first = await collect(make(), groups);
    assert.equal(asked.length, 8);
    const oracle = make();
    const again = await collect(oracle, groups);
    assert.equal(asked.length, 8);
    assert.deepEqual(again.map(({ preferences }) => preferences), first.map((j) => j.preferences));
    assert.deepEqual(again[1]!.cost, { tokens: 0, requests: 0, currency: 0 });
    assert.equal(again[1]!.counts!.cached, 6);
    assert.equal(oracle.meter().requests, 0);
    // Another question about the same texts is another.
    const template = pairwiseTemplates["mt-bench"];
    await collect(
      languageModelJudge(chat(baseUrl), { answers, template, unparsable: "mask-pair" }),
      [
        groups[0]!,
      ],
    ).catch(() => {});
    assert.equal(asked.length, 10);
  }));

Deno.test("a budget ends the asking, and what was answered stays", () =>
  withServer(longer, async (baseUrl, asked) => {
    const answers = memoryJournal();
    const groups = [group("1", "aaa", "b"), group("2", "cc", "d"), group("3", "e", "ff")];
    const limited = languageModelJudge(chat(baseUrl), {
      answers,
      tokenBudget: 300,
      concurrency: 1,
    });
    await assert.rejects(collect(limited, groups), {
      name: "RangeError",
      message: /^Cannot ask openai:.*:m as its budget of 300 tokens must not be spent: 306 are$/,
    });
    assert.equal(asked.length, 3);
    await collect(languageModelJudge(chat(baseUrl), { answers }), groups);
    assert.equal(asked.length, 6);
  }));

Deno.test("a budget needs a server that counts tokens", async () => {
  const model: ChatModel = {
    id: "uncounted",
    answer: () => Promise.resolve({ text: "A", tokens: { prompt: 0, response: 0 } }),
  };
  await assert.rejects(
    collect(languageModelJudge(model, { tokenBudget: 9 }), [group("p", "a", "b")]),
    {
      name: "RangeError",
      message: "Cannot keep to a budget of tokens as uncounted must count them: it does not",
    },
  );
});

Deno.test("at most `concurrency` questions are under way", async () => {
  for (const concurrency of [1, 3]) {
    let active = 0, most = 0;
    const model: ChatModel = {
      id: "counting",
      async answer() {
        most = Math.max(most, ++active);
        for (let turn = 0; turn < 20; turn++) await Promise.resolve();
        active--;
        return { text: "A", tokens: TOKENS };
      },
    };
    await collect(languageModelJudge(model, { concurrency }), [group("p", "a", "b", "c", "d")]);
    assert.deepEqual([most, active], [concurrency, 0]);
  }
});

Deno.test("whoever stops early aborts the questions under way", async () => {
  const aborted: unknown[] = [];
  const model: ChatModel = {
    id: "waiting",
    answer(messages, { signal }) {
      if (messages[0]!.content.includes("Prompt 1")) {
        return Promise.resolve({ text: "A", tokens: TOKENS });
      }
      return new Promise((_, reject) =>
        signal!.addEventListener("abort", () => {
          aborted.push(signal!.reason);
          reject(signal!.reason);
        })
      );
    },
  };
  const groups = [group("1", "a", "b"), group("2", "a", "b")];
  for await (const _ of languageModelJudge(model).compare(groups)) break;
  assert.equal(aborted.length, 2);
});

Deno.test("a question of the user's own in Jinja", async () => {
  const source = "{{ messages[0].role }} {{ prompt }}: <{{ first }}> or <{{ second }}>?";
  const render = (await textTemplateParser())(source);
  const template = ownTemplate({
    source,
    render,
    form: { kind: "label", first: "1", second: "2" },
  });
  assert.equal(
    template.question("Why", "{{ x }}", "b")[0]!.content,
    "user Why: <{{ x }}> or <b>?",
  );
  assert.notEqual(ownTemplate({ source: "other", render }).id, template.id);
  assert.throws(
    () => ownTemplate({ source, render, form: { kind: "label", first: "A", second: "A" } }),
    {
      name: "RangeError",
      message: "Cannot ask for a verdict as its labels must be different words: A, A",
    },
  );
  const parse = await textTemplateParser();
  assert.throws(() => parse("{% if %}"), SyntaxError);
  assert.throws(() => parse("{{ raise_exception('no') }}")({}), RangeError);
});

Deno.test("languageModelJudge() refuses options out of range", () => {
  for (
    const options of [
      { concurrency: 0 },
      { concurrency: 1.5 },
      { tokenBudget: 0 },
      { price: { prompt: -1, response: 0 } },
      { template: { ...pairwiseTemplates.short, maxTokens: 0 } },
    ]
  ) assert.throws(() => languageModelJudge(lengths, options), RangeError);
  const ids = [
    languageModelJudge(lengths),
    languageModelJudge(lengths, { template: pairwiseTemplates.alpaca }),
    languageModelJudge(lengths, { logProbs: false }),
    languageModelJudge(lengths, { unparsable: "mask-pair" }),
  ].map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
});

Deno.test("readJudge() reads a model on a server", () => {
  const [term] = readJudge(
    "llm:org/model:8b@url=http://localhost:8080/v1,template=own.jinja,labels=A/B,price=2.5/10,budget=1000",
  );
  assert.deepEqual(term!.judge, {
    kind: "llm",
    model: "org/model:8b",
    options: { price: [2.5, 10], budget: [1000] },
    texts: { url: "http://localhost:8080/v1", template: "own.jinja", labels: "A/B" },
  });
  assert.deepEqual(readJudge("llm:folder@logprobs=0,unparsable=pair")[0]!.judge, {
    kind: "llm",
    model: "folder",
    options: { logprobs: [0] },
    texts: { unparsable: "pair" },
  });
  assert.throws(() => readJudge("llm:m@tokens=1,budget=9"), {
    message: /the server of the model beside budget, as in url=URL: .* at position 1$/,
  });
  assert.throws(() => readJudge("llm:m@url=a,url=b"), /each option once/);
  assert.throws(() => readJudge("llm:m@cap=1"), /an option, one of url, key, cache, template/);
});
