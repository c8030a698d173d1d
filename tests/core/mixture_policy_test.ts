import assert from "node:assert/strict";
import { mixturePolicy } from "../../core/mixture_policy.ts";
import type { Policy, Sampled, TokenLogProbs } from "../../core/policy.ts";
import { averagedIterate, tabularPolicy } from "../../core/tabular.ts";

const prompts = ["p", "q"].map((id) => ({ id, content: "?" }));
const answers = { p: ["a", "b", "c"], q: ["a", "b", "c"] };
const sampling = { samples: 4000, temperature: 1, topP: 1, maxTokens: 1, seed: 3 };

function table(a: number, b: number, c: number) {
  const weights = [a, b, c].map(Math.log);
  return tabularPolicy({ answers, logWeights: { p: weights, q: weights } });
}

async function sampleAll(policy: Policy, options = sampling): Promise<Sampled[]> {
  return await Array.fromAsync(policy.sample(prompts, options));
}

const members = [table(0.8, 0.1, 0.1), table(0.1, 0.6, 0.3)];
const mixture = mixturePolicy(members, { weights: [1, 3] });

Deno.test("mixturePolicy() answers as often as its members' probabilities say", async () => {
  for (const { prompt, responses } of await sampleAll(mixture)) {
    const share = (text: string) =>
      responses.filter((response) => response.text === text).length / responses.length;
    // .25 · .8 + .75 · .1 and so on; standard deviation below 0.008, four of them.
    for (const [text, p] of [["a", 0.275], ["b", 0.475], ["c", 0.25]] as const) {
      assert.ok(Math.abs(share(text) - p) < 0.032, `${share(text)} of ${text} to ${prompt.id}`);
    }
    assert.ok(responses.every(({ logProb }) => logProb === undefined));
  }
});

Deno.test("mixturePolicy() draws anew for each response and prompt, alike however many are asked for", async () => {
  const [p, q] = await sampleAll(mixture);
  assert.notDeepEqual(p!.responses, q!.responses);
  const few = await sampleAll(mixture, { ...sampling, samples: 7 });
  assert.deepEqual(few.map(({ responses }) => responses), [
    p!.responses.slice(0, 7),
    q!.responses.slice(0, 7),
  ]);
  const [alone] = await Array.fromAsync(mixture.sample([prompts[1]!], sampling));
  assert.deepEqual(alone, q);
});

Deno.test("mixturePolicy() with equal weights scores as the averaged iterate", async () => {
  const average = averagedIterate();
  for (const member of members) average.add(member);
  const responses = answers.p.map((text) => ({ text }));
  const group = { prompt: prompts[0]!, responses };
  const [scored] = await Array.fromAsync(mixturePolicy(members).logProbs([group]));
  for (const [k, p] of average.probabilities("p").entries()) {
    assert.ok(Math.abs(Math.exp(scored![k]![0]!) - p) < 1e-6);
  }
});

/** Scores every response alike. */
function scorer(id: string, ...tokens: readonly number[]): Policy {
  return {
    id,
    sample: (prompts, options) => members[0]!.sample(prompts, options),
    async *logProbs(groups): AsyncGenerator<TokenLogProbs> {
      for (const { responses } of groups) yield responses.map(() => Float32Array.from(tokens));
    },
  };
}

Deno.test("mixturePolicy() scores tokens given what came before", async () => {
  const log = Math.log;
  const policy = mixturePolicy([scorer("one", log(0.5), log(0.5)), scorer("two", log(0.25), 0)]);
  const group = { prompt: prompts[0]!, responses: [{ text: "a" }] };
  const [[tokens] = []] = await Array.fromAsync(policy.logProbs([group]));
  // First (.5 + .25)/2 = .375; both (.25 + .25)/2 = .25, so the second is .25/.375.
  assert.ok(Math.abs(Math.exp(tokens![0]!) - 0.375) < 1e-6);
  assert.ok(Math.abs(Math.exp(tokens![1]!) - 2 / 3) < 1e-6);
  const impossible = mixturePolicy([scorer("never", -Infinity, 0)]);
  const [[none] = []] = await Array.fromAsync(impossible.logProbs([group]));
  assert.equal(none!.reduce((sum, token) => sum + token), -Infinity);
});

Deno.test("mixturePolicy() never asks a member of weight 0", async () => {
  const silent: Policy = {
    id: "silent",
    sample: () => assert.fail("asked to sample"),
    logProbs: () => assert.fail("asked to score"),
  };
  const policy = mixturePolicy([silent, members[0]!], { weights: [0, 1] });
  await sampleAll(policy, { ...sampling, samples: 50 });
  const group = { prompt: prompts[0]!, responses: [{ text: "a" }] };
  const [[tokens] = []] = await Array.fromAsync(policy.logProbs([group]));
  assert.ok(Math.abs(Math.exp(tokens![0]!) - 0.8) < 1e-6);
});

Deno.test("mixturePolicy() refuses what it cannot mix", async () => {
  assert.throws(() => mixturePolicy([]), RangeError);
  assert.throws(() => mixturePolicy(members, { weights: [1] }), RangeError);
  assert.throws(() => mixturePolicy(members, { weights: [0, 0] }), RangeError);
  assert.throws(() => mixturePolicy(members, { weights: [1, -1] }), RangeError);
  const exhaustive = tabularPolicy({ answers, exhaustive: true });
  await assert.rejects(sampleAll(mixturePolicy([exhaustive]), { ...sampling, samples: 3 }), {
    name: "RangeError",
    message: /as it must draw samples.*averagedIterate/,
  });
  const group = { prompt: prompts[0]!, responses: [{ text: "a" }] };
  const uneven = mixturePolicy([scorer("one", -1), scorer("two", -1, -1)]);
  await assert.rejects(Array.fromAsync(uneven.logProbs([group])), {
    name: "TypeError",
    message: /must agree on its tokens: 1 of "one", 2 of "two"/,
  });
});

Deno.test("mixturePolicy() has the id of its members and shares", () => {
  assert.equal(mixturePolicy(members).id, mixturePolicy(members, { weights: [2, 2] }).id);
  assert.notEqual(mixturePolicy(members).id, mixture.id);
  assert.notEqual(mixturePolicy(members).id, mixturePolicy(members.toReversed()).id);
});
