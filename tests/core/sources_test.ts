import assert from "node:assert/strict";
import {
  againstDemonstrations,
  givenDemonstrations,
  givenPairs,
  goals,
  gradientDescent,
  type GroupSource,
  iterate,
  judge,
  type JudgedOptions,
  judgedSource,
  type LossSpec,
  memoryJournal,
  type Policy,
  type PreferenceOracle,
  type Sampler,
  select,
  type SelfPlayEvent,
  type TabularPolicy,
  tabularPolicy,
} from "../../core/mod.ts";

/** Fixed points of gradient descent are reached to this; float64, many steps. */
const FIXED_POINT_TOLERANCE = 1e-6;

const prompt = { id: "p", content: "a, b or c?" };
const answers = { p: ["a", "b", "c"] };
const sampling = { samples: 3, temperature: 1, topP: 1, maxTokens: 1 };

/** Rewards r(a) > r(b) > r(c) through a Bradley–Terry judge with logits. */
const rewards: Readonly<Record<string, number>> = { a: 1, b: 0.25, c: -0.5 };
const bradleyTerry: PreferenceOracle = {
  id: "Bradley-Terry",
  async *compare(groups) {
    for (const group of groups) {
      const difference = (i: number, j: number) =>
        rewards[group.responses[i]!.text]! - rewards[group.responses[j]!.text]!;
      const size = group.responses.length;
      yield {
        ...judge(group, (i, j) => 1 / (1 + Math.exp(-difference(i, j)))),
        logits: Float64Array.from(
          { length: size * size },
          (_, at) => difference(Math.floor(at / size), at % size) / 2,
        ),
      };
    }
  },
};

interface Ran {
  readonly policy: TabularPolicy;
  readonly events: readonly SelfPlayEvent<TabularPolicy>[];
}

async function run(
  source: GroupSource<TabularPolicy>,
  loss: LossSpec,
  {
    policy = tabularPolicy({ answers }),
    iterations = 1,
    steps = 400,
    learningRate = 0.5,
    eta = 1,
  } = {},
): Promise<Ran> {
  const trainer = gradientDescent({ loss, steps, learningRate });
  const running = iterate({
    ...{ policy, source, trainer, iterations, eta, promptsPerIteration: "repeat" },
    prompts: [prompt],
  });
  const events: SelfPlayEvent<TabularPolicy>[] = [];
  for (;;) {
    const next = await running.next();
    if (next.done) return { policy: next.value.policy, events };
    events.push(next.value);
  }
}

function assertNear(actual: ArrayLike<number>, expected: readonly number[], tolerance: number) {
  expected.forEach((value, index) =>
    assert.ok(Math.abs(actual[index]! - value) < tolerance, `${actual[index]}, expected ${value}`)
  );
}

const exhaustive = () => tabularPolicy({ answers, exhaustive: true });
const all: Omit<JudgedOptions, "oracle"> = { sampling, selection: "all" };

Deno.test("judgedSource() with the goal reward ends at π_0 exp(η r), the policy that RLHF is after", async () => {
  const eta = 2;
  const source = judgedSource<TabularPolicy>({
    ...{ ...all, oracle: bradleyTerry, goal: "reward", reward: "score" },
  });
  const { policy, events } = await run(
    source,
    { name: "policy-gradient", beta: 1 / eta, clip: 0.2 },
    { policy: exhaustive(), iterations: 400, steps: 1, learningRate: 1, eta },
  );
  const unnormalised = answers.p.map((answer) => Math.exp(eta * rewards[answer]!));
  const total = unnormalised.reduce((sum, value) => sum + value, 0);
  assertNear(
    policy.probabilities("p"),
    unnormalised.map((value) => value / total),
    FIXED_POINT_TOLERANCE,
  );
  // Reward and divergence are told apart.
  const [first, last] = [events.find(isIteration)!, events.findLast(isIteration)!];
  assert.equal(first.summary.statistics.kl, 0);
  assert.ok(last.summary.statistics.kl! !== 0 && last.summary.statistics.reward! !== undefined);
});

function isIteration<P extends Policy>(
  event: SelfPlayEvent<P>,
): event is SelfPlayEvent<P> & { readonly type: "iteration" } {
  return event.type === "iteration";
}

Deno.test("judgedSource() with the goal reward refuses scores of a judge without logits", async () => {
  const mute: PreferenceOracle = {
    id: "mute",
    async *compare(groups) {
      for (const group of groups) yield judge(group, () => 1);
    },
  };
  const source = judgedSource<TabularPolicy>({
    ...{ ...all, oracle: mute, goal: "reward", reward: "score" },
  });
  await assert.rejects(run(source, { name: "sppo", beta: 1 }, { policy: exhaustive() }), {
    name: "TypeError",
    message: /^Cannot take scores of responses as the judge must give logits/,
  });
});

Deno.test("judgedSource() compares with opponents alone where there are any", async () => {
  const opponent: Sampler = {
    id: "always b",
    async *sample(prompts, { samples }) {
      for (const prompt of prompts) {
        yield { prompt, responses: Array.from({ length: samples }, () => ({ text: "b" })) };
      }
    },
  };
  const ids: string[] = [];
  const source = judgedSource<TabularPolicy>(
    { ...all, oracle: bradleyTerry, goal: "regularized" },
    {
      id: "b",
      of: (policy, reference) => {
        ids.push(`${policy.id === reference.id}`);
        return opponent;
      },
    },
  );
  const { events } = await run(source, { name: "policy-gradient", beta: 1, clip: 0.2 }, {
    steps: 1,
  });
  assert.deepEqual(ids, ["true"]);
  const judged = events.find((event) => event.type === "judged")!;
  assert.ok(judged.type === "judged");
  assert.equal(judged.judgement.size, 6);
  assert.deepEqual([...judged.winRates.slice(3)], [NaN, NaN, NaN]);
  judged.sampled.responses.slice(0, 3).forEach(({ text }, k) => {
    const expected = 1 / (1 + Math.exp(rewards.b! - rewards[text]!));
    assert.ok(Math.abs(judged.winRates[k]! - expected) < 1e-12);
    assert.ok(Math.abs(judged.group!.responses[k]!.target - (expected - 0.5)) < 1e-12);
  });
  assert.equal(judged.group!.responses.length, 3);
});

Deno.test("goals are worked out by hand", () => {
  const size = 3;
  const preferences = Float64Array.of(0.5, 0.9, 0.2, 0.1, 0.5, 0.7, 0.8, 0.3, 0.5);
  const mask = new Uint8Array(9).fill(1);
  const logits = Float64Array.of(0, 2, -1, 0, 0, 1, 1, 0, 0);
  const winRates = Float64Array.of(1.6 / 3, 1.3 / 3, 1.6 / 3 + 1e-3);
  const input = {
    judgement: { size, preferences, mask, logits },
    ...{ preferences, winRates, selected: select(winRates), eta: 10 },
    ...{ normalizer: "half", reward: "score", logRatios: [1, 2, 3] } as const,
  };
  const near = (actual: Float64Array, expected: number[]) =>
    expected.forEach((value, k) =>
      assert.ok(
        Number.isNaN(value) ? Number.isNaN(actual[k]!) : Math.abs(actual[k]! - value) < 1e-12,
      )
    );
  // The pair is 2 against 1, and P(2 ≻ 1) = 0.3: what lost on the whole won here.
  near(goals.pair(input).values, [NaN, 2, -2]);
  // s = ((2 − 0) + (−1 − 1)) / 3, ((0 − 2) + (1 − 0)) / 3, ((1 + 1) + (0 − 1)) / 3.
  near(goals.score(input).values, [0, -10 / 3, 10 / 3]);
  // R = s − ratio / 10 = −0.1, −1/3 − 0.2, 1/3 − 0.3; A = R − mean of the others.
  const [a, b, c] = [-0.1, -1 / 3 - 0.2, 1 / 3 - 0.3];
  near(goals.reward(input).values, [a - (b + c) / 2, b - (a + c) / 2, c - (a + b) / 2]);
  near(goals.regularized(input).values, [...winRates].map((p, k) => p - 0.5 - (k + 1) / 10));
});

Deno.test("againstDemonstrations() pairs each own answer with the demonstration and ends when they agree", async () => {
  const source = againstDemonstrations<TabularPolicy>([{ prompt, chosen: { text: "c" } }], {
    ...{ ...sampling, samples: 1 },
  });
  const loss: LossSpec = { name: "dpo", beta: 0.5, against: "previous", labelSmoothing: 0 };
  const { policy, events } = await run(source, loss, { iterations: 12, steps: 60 });
  assert.ok(policy.probabilities("p")[2]! > 0.95, `${policy.probabilities("p")}`);
  const last = events.findLast(isIteration)!.summary.statistics;
  assert.deepEqual([last.trainedGroups, last.tiedGroups], [0, 1]);
  assert.ok(!events.some((event) => event.type === "judged" || event.type === "evaluated"));
});

Deno.test("givenPairs() and givenDemonstrations() train without a sample or a judge", async () => {
  const pair = { prompt, chosen: { text: "a" }, rejected: { text: "b" } };
  const events: SelfPlayEvent<TabularPolicy>[] = [];
  const sppo = await run(
    givenPairs([{ ...pair, winRates: [0.75, 0.25] }], "win-rate"),
    { name: "sppo", beta: 0.5 },
    { eta: 2, steps: 1000 },
  );
  events.push(...sppo.events);
  // Targets ±½: log-ratios to the start, a third each, end there, as c can make up for it.
  const ends = [Math.exp(0.5) / 3, Math.exp(-0.5) / 3];
  assertNear(sppo.policy.probabilities("p"), ends, FIXED_POINT_TOLERANCE);
  const single = await run(
    givenPairs([{ ...pair, preference: 1 }], "pair"),
    { name: "sppo", beta: 0.5 },
    { eta: 1, steps: 1000 },
  );
  assertNear(single.policy.probabilities("p"), ends, FIXED_POINT_TOLERANCE);
  const likelihood = await run(
    givenDemonstrations([{ prompt, chosen: { text: "b" } }]),
    { name: "sft" },
  );
  assert.ok(likelihood.policy.probabilities("p")[1]! > 0.98);
  events.push(...single.events, ...likelihood.events);
  for (const { type } of events) {
    assert.ok(
      ["stage-started", "stage-finished", "step", "policy", "iteration"].includes(type),
      type,
    );
  }
});

Deno.test("givenPairs() takes the prompts of an iteration, with all their pairs, and refuses missing numbers", async () => {
  const other = { id: "q", content: "?" };
  const pairs = [
    { prompt, chosen: { text: "a" }, rejected: { text: "b" } },
    { prompt: other, chosen: { text: "a" }, rejected: { text: "b" } },
    { prompt, chosen: { text: "c" }, rejected: { text: "b" } },
  ];
  const source = givenPairs(pairs, "none");
  const request = { prompts: [prompt], eta: 1, iteration: 1, seed: 0 } as never;
  const { value } = await source.groups(request).next();
  assert.ok("groups" in value!);
  assert.deepEqual(value.groups.map(({ responses }) => responses[0]!.response.text), ["a", "c"]);
  assert.notEqual(source.id, givenPairs(pairs.slice(1), "none").id);
  for (
    const [goal, what] of [["win-rate", "the win rates of both"], [
      "pair",
      "the preference of",
    ]] as const
  ) {
    assert.throws(() => givenPairs(pairs, goal), {
      name: "RangeError",
      message: new RegExp(`^Cannot train on the pair of prompt "p" as it must have ${what}`),
    });
  }
});

Deno.test("againstDemonstrations() goes on from its journal", async () => {
  const demonstrations = [{ prompt, chosen: { text: "c" } }];
  let asked = 0;
  const policy = tabularPolicy({ answers });
  const counting: TabularPolicy = Object.assign(Object.create(policy), {
    sample(...given: Parameters<TabularPolicy["sample"]>) {
      asked++;
      return policy.sample(...given);
    },
  });
  const journal = memoryJournal();
  const source = againstDemonstrations<TabularPolicy>(demonstrations, { ...sampling, samples: 2 });
  const request = {
    ...{
      policy: counting,
      referencePolicy: counting,
      prompts: [prompt],
      iteration: 1,
      eta: 1,
      seed: 0,
    },
    journal,
  };
  const groupsOf = async () => {
    const running = source.groups(request);
    let next = await running.next();
    while (!next.done) next = await running.next();
    return next.value.groups;
  };
  const first = await groupsOf();
  assert.deepEqual(await groupsOf(), first);
  assert.equal(asked, 1);
});
