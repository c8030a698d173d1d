import assert from "node:assert/strict";
import { memoryJournal } from "../../core/journal.ts";
import { tabularPolicy } from "../../core/tabular.ts";
import { gradientDescent, multiplicativeWeights } from "../../core/tabular_trainers.ts";
import type { TrainingTask } from "../../core/trainer.ts";
import type { TabularPolicy } from "../../core/tabular.ts";

const prompts = [{ id: "p", content: "?" }];
const sampling = { samples: 4000, temperature: 1, topP: 1, maxTokens: 1, seed: 3 };

async function sampleOne(policy: TabularPolicy, options = sampling) {
  for await (const sampled of policy.sample(prompts, options)) return sampled;
  throw new Error("nothing was sampled");
}

Deno.test("tabularPolicy() samples as often as its probabilities say", async () => {
  const policy = tabularPolicy({ answers: { p: ["a", "b"] }, logWeights: { p: [Math.log(3), 0] } });
  const share = async (temperature: number) => {
    const { responses } = await sampleOne(policy, { ...sampling, temperature });
    return responses.filter(({ text }) => text === "a").length / responses.length;
  };
  // Standard deviation below 0.008; four of them.
  assert.ok(Math.abs(await share(1) - 3 / 4) < 0.032);
  assert.ok(Math.abs(await share(0.5) - 9 / 10) < 0.032);
  assert.equal(await share(0), 1);
});

Deno.test("tabularPolicy() draws a sample alike however many are asked for", async () => {
  const policy = tabularPolicy({ answers: { p: ["a", "b", "c"] } });
  const many = await sampleOne(policy), few = await sampleOne(policy, { ...sampling, samples: 5 });
  assert.deepEqual(few.responses, many.responses.slice(0, 5));
});

Deno.test("tabularPolicy() yields every answer with its probability when exhaustive", async () => {
  const policy = tabularPolicy({ answers: { p: ["a", "b"] }, exhaustive: true });
  const { responses, weights } = await sampleOne(policy);
  assert.deepEqual(responses.map(({ text }) => text), ["a", "b"]);
  assert.deepEqual(weights, [0.5, 0.5]);
  await assert.rejects(sampleOne(policy, { ...sampling, temperature: 0.5 }), RangeError);
});

Deno.test("tabularPolicy() scores what it samples", async () => {
  const policy = tabularPolicy({ answers: { p: ["a", "b"] } });
  const sampled = await sampleOne(policy, { ...sampling, samples: 2 });
  for await (const [first] of policy.logProbs([sampled])) {
    assert.equal(first![0], Math.fround(Math.log(0.5)));
  }
});

Deno.test("tabularPolicy() refuses what is not in its table, and what it cannot do", async () => {
  const policy = tabularPolicy({ answers: { p: ["a", "b"] } });
  assert.throws(() => policy.answers("q"), RangeError);
  await assert.rejects(sampleOne(policy, { ...sampling, topP: 0.9 }), RangeError);
  await assert.rejects(sampleOne(policy, { ...sampling, temperature: -1 }), RangeError);
  assert.throws(() => tabularPolicy({ answers: { p: [] } }), RangeError);
  assert.throws(() => tabularPolicy({ answers: { p: ["a", "a"] } }), RangeError);
  assert.throws(
    () => tabularPolicy({ answers: { p: ["a"] }, logWeights: { p: [0, 0] } }),
    RangeError,
  );
  assert.throws(
    () => tabularPolicy({ answers: { p: ["a"] }, logWeights: { p: [NaN] } }),
    RangeError,
  );
});

Deno.test("tabularPolicy() has the same id when its table is the same", () => {
  const table = (a: number) =>
    tabularPolicy({ answers: { p: ["a", "b"] }, logWeights: { p: [a, 0] } });
  assert.equal(table(1).id, table(1).id);
  assert.notEqual(table(1).id, table(1 + 1e-15).id);
});

function task(): TrainingTask<TabularPolicy> {
  const policy = tabularPolicy({ answers: { p: ["a", "b", "c"] } });
  const responses = ["a", "b"].map((text, index) => ({
    response: { text },
    target: index === 0 ? 1 : -1,
    weight: 0.5,
  }));
  const groups = [{ prompt: prompts[0]!, responses }];
  return { previousPolicy: policy, referencePolicy: policy, groups, iteration: 1 };
}

Deno.test("gradientDescent() descends by the derivative of its loss", async () => {
  // Loss of θ by hand: ½(r_a² + r_b²), r_i = log π_θ(i) − log π_t(i) − target_i; at θ_t it is 1.
  const { previousPolicy, groups } = task();
  const loss = (logits: readonly number[]) => {
    const { logProbsOf } = previousPolicy.with(new Map([["p", logits]]));
    const now = logProbsOf("p"), before = previousPolicy.logProbsOf("p");
    return groups[0]!.responses.reduce(
      (sum, { target }, k) => sum + 0.5 * (now[k]! - before[k]! - target) ** 2,
      0,
    );
  };
  const learningRate = 0.1, h = 1e-5;
  const steps = gradientDescent({ steps: 1, learningRate }).train(task(), {
    journal: memoryJournal(),
  });
  const first = await steps.next();
  if (first.done) throw new Error("the fit has one step");
  assert.ok(Math.abs(first.value["loss"]! - 1) < 1e-12);
  const { value: fitted } = await steps.next() as IteratorReturnResult<TabularPolicy>;
  const start = [...previousPolicy.logProbsOf("p")];
  const moved = start.map((logit, k) => {
    const at = (by: number) => loss(start.with(k, logit + by));
    return logit - learningRate * (at(h) - at(-h)) / (2 * h);
  });
  const expected = previousPolicy.with(new Map([["p", moved]])).probabilities("p");
  for (const [k, p] of fitted.probabilities("p").entries()) {
    assert.ok(Math.abs(p - expected[k]!) < 1e-9);
  }
});

Deno.test("Trainers of tables restore a fit that ended, and only that", async () => {
  for (const trainer of [multiplicativeWeights(), gradientDescent({ steps: 3, learningRate: 1 })]) {
    const journal = memoryJournal();
    const { previousPolicy } = task();
    assert.equal(await trainer.restore(previousPolicy, journal), undefined);
    const steps = trainer.train(task(), { journal });
    let next = await steps.next();
    while (!next.done) next = await steps.next();
    assert.equal((await trainer.restore(previousPolicy, journal))!.id, next.value.id);
  }
});

Deno.test("multiplicativeWeights() takes the mean target when an answer stands twice", async () => {
  const { groups: [group], ...rest } = task();
  const responses = [group!.responses[0]!, { ...group!.responses[0]!, target: 3 }];
  const steps = multiplicativeWeights().train(
    { ...rest, groups: [{ ...group!, responses }] },
    { journal: memoryJournal() },
  );
  await steps.next();
  const { value } = await steps.next() as IteratorReturnResult<TabularPolicy>;
  const [a, b] = value.logProbsOf("p");
  assert.ok(Math.abs(a! - b! - 2) < 1e-12);
});
