// Language models that run here as judges: the embedded policy.

import assert from "node:assert/strict";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import type { ComparisonGroup, Judgement, PreferenceOracle } from "../../core/oracle.ts";
import { JudgeError, languageModelJudge, ownTemplate } from "../../judges/mod.ts";
import { openEmbeddedPolicy } from "../../models/embedded/mod.ts";
import { LanguageModel, localChat, type LocalPolicy } from "../../models/mod.ts";
import { testOracle } from "./conformance.ts";

const backend = await createOnnxBackend({ threads: 1 });
const model = await LanguageModel.load(await openEmbeddedPolicy(), backend);
const policy: LocalPolicy = await model.policy();

/** Sums in another batch come out in another order. */
const TOLERANCE = 1e-5;

const template = ownTemplate({
  source: "better?",
  render: ({ first, second }) => `A: ${first}\nB: ${second}\nWhich is better?`,
  form: { kind: "label", first: "A", second: "B", tie: "C" },
});
const judge = (logProbs = true) => languageModelJudge(localChat(policy), { template, logProbs });
const texts = ["Yes.", "", "No, it is not so.", "🙂 \u0000", "Once there was a dog."];
testOracle("languageModelJudge() of a local policy", {
  oracle: () => judge(),
  texts,
  tolerance: TOLERANCE,
});

const group = (...asked: readonly string[]): ComparisonGroup => ({
  prompt: { id: "p", content: "Which?" },
  responses: asked.map((text) => ({ text })),
});

async function collect(
  oracle: PreferenceOracle,
  groups: readonly ComparisonGroup[],
): Promise<Judgement[]> {
  const all: Judgement[] = [];
  for await (const judgement of oracle.compare(groups)) all.push(judgement);
  return all;
}

Deno.test("a local judge says what the policy's own log-probabilities of the labels do", async () => {
  const [one, other] = ["A dog ran.", "No"];
  const p = async (first: string, second: string) => {
    const content = `A: ${first}\nB: ${second}\nWhich is better?`;
    const prompt = { id: "q", content };
    const spellings = ["A", " A", "B", " B", "C", " C"];
    const responses = spellings.map((text) => ({
      text,
      tokenIds: model.text.tokenizer.encode(text),
    }));
    for await (const scored of policy.logProbs([{ prompt, responses }])) {
      const [a, a2, b, b2, c, c2] = scored.map((tokens) =>
        Math.exp(tokens.reduce((sum, x) => sum + x, 0))
      ) as [number, number, number, number, number, number];
      return (a + a2 + (c + c2) / 2) / (a + a2 + b + b2 + c + c2);
    }
    throw new Error("nothing was scored");
  };
  assert.equal(
    new Set(["A", " A"].map((text) => model.text.tokenizer.encode(text).join())).size,
    2,
  );
  const [there, back] = [await p(one!, other!), await p(other!, one!)];
  const [judgement] = await collect(judge(), [group(one!, other!)]);
  const near = (actual: number, expected: number) =>
    assert.ok(Math.abs(actual - expected) < TOLERANCE, `${actual}, not ${expected}`);
  near(judgement!.preferences[1]!, (there + 1 - back) / 2);
  near(judgement!.counts!.first_place!, (there + back) / 2);
  assert.deepEqual([judgement!.counts!.soft, judgement!.counts!.hard], [2, 0]);
  assert.equal(judgement!.cost!.requests, 2);
  assert.ok(judgement!.cost!.tokens! > 20);
});

Deno.test("a local judge by its text reads what the policy writes greedily", async () => {
  const prompt = { id: "q", content: "A: x\nB: y\nWhich is better?" };
  const options = { samples: 1, temperature: 0, topP: 1, maxTokens: 4, seed: 0 };
  const [written] = await Array.fromAsync(policy.sample([prompt], options));
  const { text } = written!.responses[0]!;
  await assert.rejects(collect(judge(false), [group("x", "y")]), (error) => {
    assert.ok(error instanceof JudgeError);
    assert.equal(error.raw, text);
    return true;
  });
});

Deno.test("a question too long for the positions is refused by the prompt's name, or masks its pairs", async () => {
  const asked = group("Yes.", "No.", "so ".repeat(300));
  await assert.rejects(collect(judge(), [asked]), {
    name: "JudgeError",
    message:
      /^Cannot judge prompt "p" as a question with 2 tokens after it must fit the model's 256 positions: \d{3} \+ 2$/,
  });
  const oracle = languageModelJudge(localChat(policy), { template, unparsable: "mask-pair" });
  const [short, long] = await collect(oracle, [group("Yes.", "No."), asked]);
  assert.deepEqual([...long!.mask], [1, 1, 0, 1, 1, 0, 0, 0, 1]);
  assert.ok(Math.abs(long!.preferences[1]! - short!.preferences[1]!) < TOLERANCE);
  assert.equal(long!.counts!.unparsable, 4);
});
