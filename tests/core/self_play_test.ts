import assert from "node:assert/strict";
import { judge } from "../../core/judgements.ts";
import type { PreferenceOracle } from "../../core/oracle.ts";
import { tabularPolicy } from "../../core/tabular.ts";
import { multiplicativeWeights } from "../../core/tabular_trainers.ts";
import { finish, laterLetter, openJournal, playground } from "./_playground.ts";

const exhaustive = (...answers: string[]) =>
  tabularPolicy({ answers: { p: answers }, exhaustive: true });
const one = {
  prompts: [{ id: "p", content: "?" }],
  promptsPerIteration: "repeat",
  iterations: 1,
  sampling: { samples: 2, temperature: 1, topP: 1, maxTokens: 1 },
  trainer: multiplicativeWeights(),
  selection: "all",
} as const;

Deno.test("selfPlay() takes the step worked out by hand when the table is exact", async () => {
  // P(b ≻ a) = 0.6, so P̂(a) = (0.5 + 0.4)/2 = 0.45 and P̂(b) = 0.55; targets with η = 2: ∓0.1.
  // π_1(b)/π_1(a) = e^0.2. Then P̂(a) = 0.5 π(a) + 0.4 π(b), P̂(b) − P̂(a) = 0.1 (π(a) + π(b)) = 0.1 again.
  const { result, events } = await finish({
    ...one,
    iterations: 2,
    policy: exhaustive("a", "b"),
    oracle: laterLetter,
    eta: 2,
  });
  const [a, b] = result.policy.probabilities("p");
  assert.ok(Math.abs(Math.log(b! / a!) - 0.4) < 1e-12);
  const judged = events.find((event) => event.type === "judged");
  assert.deepEqual([...judged!.winRates], [0.45, 0.55]);
  assert.deepEqual(judged!.group!.responses.map(({ weight }) => weight), [0.5, 0.5]);
});

Deno.test("selfPlay() trains on the best response alone, with weight 1, when selection is best", async () => {
  const { events } = await finish({
    ...one,
    selection: "best",
    policy: exhaustive("a", "c", "b"),
    oracle: laterLetter,
    eta: 2,
  });
  // P̂(c) = (0.7 + 0.5 + 0.6)/3 = 0.6, its target 2 (0.6 − ½) = 0.2.
  const judged = events.find((event) => event.type === "judged")!;
  assert.deepEqual(judged.selected, [1]);
  const [response, ...others] = judged.group!.responses;
  assert.deepEqual([response!.response.text, response!.weight, others], ["c", 1, []]);
  assert.ok(Math.abs(response!.target - 0.2) < 1e-12);
});

Deno.test("selfPlay() evaluates by hand-worked win rates when held-out prompts are exact", async () => {
  // One step as above: π_1(b) = 1/(1 + e^−0.2). Against π_0 = (½, ½):
  // ½ + 0.1·(π_1(b)·½ − π_1(a)·½) = ½ + 0.05·(2 π_1(b) − 1).
  const { result } = await finish({
    ...one,
    policy: tabularPolicy({ answers: { p: ["a", "b"], q: ["a", "b"] }, exhaustive: true }),
    heldOut: [{ id: "q", content: "?" }],
    trainer: {
      ...multiplicativeWeights(),
      // What p taught is used on q.
      async *train(task, options) {
        yield* [];
        const inner = multiplicativeWeights().train(task, options);
        let next = await inner.next();
        while (!next.done) next = await inner.next();
        return next.value.with(new Map([["q", next.value.logProbsOf("p")]]));
      },
    },
    oracle: laterLetter,
    eta: 2,
  });
  const b = 1 / (1 + Math.exp(-0.2));
  const { against, length } = result.iterations[0]!.evaluation!;
  assert.ok(Math.abs(against.reference!.winRate! - (0.5 + 0.05 * (2 * b - 1))) < 1e-12);
  assert.deepEqual(against.previous, against.reference);
  assert.equal(against.reference!.standardError, undefined);
  assert.equal(against.reference!.comparisons, 4);
  assert.ok(Math.abs(length!.words - 1) < 1e-12);
  assert.equal(result.initialEvaluation!.prompts, 1);
});

Deno.test("selfPlay() improves on the start when it samples", async () => {
  const { result } = await finish({
    ...playground(),
    heldOut: [],
    trainer: multiplicativeWeights(),
    selection: "all",
    eta: 4,
    iterations: 30,
  });
  for (const id of ["x", "y", "z"]) assert.ok(result.policy.probabilities(id)[3]! > 0.8);
});

Deno.test("selfPlay() trains nothing and counts when all win rates are equal", async () => {
  const policy = exhaustive("a");
  const journal = openJournal();
  for (let run = 0; run < 2; run++) {
    const { result } = await finish({
      ...one,
      policy: tabularPolicy({ answers: { p: ["a", "b"] }, logWeights: { p: [0, -Infinity] } }),
      selection: "best-worst",
      oracle: laterLetter,
      eta: 2,
      journal,
    });
    const { statistics } = result.iterations[0]!;
    assert.equal(statistics.tiedGroups, 1);
    assert.equal(statistics.tiedShare, 1);
    assert.equal(statistics.trainedGroups, 0);
    assert.equal(result.policy.probabilities("p")[0], 1);
  }
  const { result } = await finish({ ...one, policy, oracle: laterLetter, eta: 2 });
  assert.equal(result.iterations[0]!.statistics.droppedGroups, 1);
  assert.equal(result.iterations[0]!.statistics.droppedResponses, 1);
});

Deno.test("selfPlay() gives each iteration its part when prompts are split", async () => {
  const { events } = await finish({ ...playground(), promptsPerIteration: "split", heldOut: [] });
  const asked = (iteration: number) =>
    events.flatMap((event) =>
      event.type === "sampled" && event.iteration === iteration ? [event.sampled.prompt.id] : []
    );
  assert.deepEqual(asked(1), ["x"]);
  assert.deepEqual(asked(2), ["y", "z"]);
});

Deno.test("selfPlay() takes eta from its schedule", async () => {
  const eta = (t: number, iterations: number) => iterations - t;
  const { result } = await finish({ ...playground(), eta });
  assert.deepEqual(result.iterations.map((summary) => summary.eta), [2, 1]);
});

Deno.test("selfPlay() reports stages in order with their progress", async () => {
  const { events } = await finish(playground());
  const stages = events.flatMap((event) =>
    event.type === "stage-started" ? [`${event.iteration} ${event.stage} ${event.total}`] : []
  );
  assert.deepEqual(stages, [
    "0 evaluate 2",
    "1 generate 3",
    "1 judge 3",
    "1 train 3",
    "1 evaluate 4",
    "2 generate 3",
    "2 judge 3",
    "2 train 3",
    "2 evaluate 6",
  ]);
  const last = new Map<string, string>();
  for (const event of events) {
    if (event.type !== "progress") continue;
    last.set(`${event.iteration} ${event.stage}`, `${event.done}/${event.total}`);
  }
  assert.deepEqual([...last.values()], ["2/2", "3/3", "3/3", "4/4", "3/3", "3/3", "6/6"]);
});

Deno.test("selfPlay() refuses options out of range before anything is done", async () => {
  const wrong = [
    { iterations: 0 },
    { iterations: 1.5 },
    { eta: 0 },
    { eta: NaN },
    { eta: () => -1 },
    { prompts: [] },
    { promptsPerBatch: 0 },
    { parts: 0 },
    { promptsPerIteration: "split", iterations: 4 },
    { heldOut: playground().prompts },
    { sampling: { ...playground().sampling, samples: 1 } },
  ] as const;
  for (const options of wrong) {
    await assert.rejects(finish({ ...playground(), ...options }), {
      name: "RangeError",
      message: /^Cannot /,
    });
  }
});

Deno.test("selfPlay() refuses an oracle that breaks its laws", async () => {
  const broken = (compare: PreferenceOracle["compare"]) =>
    finish({ ...playground(), heldOut: [], oracle: { id: "broken", compare } });
  await assert.rejects(
    broken(async function* (groups) {
      for (const group of groups.slice(1)) yield judge(group, () => 0.5);
    }),
    { name: "RangeError", message: /one judgement for each of the 2/ },
  );
  await assert.rejects(
    broken(async function* (groups) {
      for (const group of [...groups, ...groups]) yield judge(group, () => 0.5);
    }),
    { name: "RangeError", message: /more than 2/ },
  );
  await assert.rejects(
    broken(async function* (groups) {
      for (const group of groups) yield judge(group, () => 2);
    }),
    { name: "RangeError", message: /must be in \[0, 1\]/ },
  );
});

Deno.test("selfPlay() keeps what was finished when the oracle fails", async () => {
  const journal = openJournal();
  let judged = 0;
  const oracle: PreferenceOracle = {
    id: "fails",
    async *compare(groups) {
      for (const group of groups) {
        if (judged++ === 2) throw new Error("Cannot judge any more");
        yield judge(group, () => 0.75);
      }
    },
  };
  await assert.rejects(finish({ ...playground(), heldOut: [], oracle, journal }), {
    message: "Cannot judge any more",
  });
  assert.equal((await journal.records("iteration-1/judgements")).size, 2);
  assert.equal((await journal.records("iteration-1/responses")).size, 3);
});

Deno.test("selfPlay() stops when its signal is aborted", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(
    finish({ ...playground(), signal: controller.signal }),
    (error) => error === reason,
  );
});
