// People as judges, with scripted ones in their place.

import assert from "node:assert/strict";
import type { ComparisonGroup, Judgement } from "../../core/oracle.ts";
import {
  type HumanAnswer,
  humanJudge,
  type HumanQuestion,
  type HumanVote,
  readJudge,
  takingTurns,
  type Voter,
} from "../../judges/mod.ts";
import { testOracle } from "./conformance.ts";

/** Someone who answers at once; what was asked is kept. */
function scripted(
  answer: (question: HumanQuestion) => HumanAnswer | Promise<HumanAnswer>,
): Voter & { readonly asked: HumanQuestion[]; sessions: number; open: number } {
  const voter = {
    asked: [] as HumanQuestion[],
    sessions: 0,
    open: 0,
    begin() {
      voter.sessions++;
      voter.open++;
      return Promise.resolve({
        async ask(question: HumanQuestion) {
          voter.asked.push(question);
          return await answer(question);
        },
        [Symbol.dispose]: () => void voter.open--,
      });
    },
  };
  return voter;
}

/** Likes longer texts, and cannot tell apart texts of one length. */
const longer = ({ first, second }: HumanQuestion): HumanAnswer =>
  first.length === second.length ? "tie" : first.length > second.length ? "first" : "second";

testOracle("humanJudge()", { oracle: () => humanJudge(scripted(longer)) });

const group = (...texts: readonly string[]): ComparisonGroup => ({
  prompt: { id: "p", content: "?" },
  responses: texts.map((text) => ({ text })),
});

async function judged(
  ...[judge, groups, later]: [
    ReturnType<typeof humanJudge>,
    readonly ComparisonGroup[],
    number?,
  ]
): Promise<Judgement[]> {
  return await Array.fromAsync(judge.compare(groups, later === undefined ? {} : { later }));
}

Deno.test("humanJudge() asks K(K − 1)/2 questions once, and says how many are left", async () => {
  const voter = scripted(longer);
  const votes = new Map<string, HumanVote>();
  const oracle = humanJudge(voter, { votes, name: "Ann" });
  const [four, again] = await judged(oracle, [
    group("a", "bb", "cc", "dddd"),
    group("dddd", "a", "a"),
  ], 7);
  assert.deepEqual(
    [...four!.preferences],
    [[0.5, 0, 0, 0], [1, 0.5, 0.5, 0], [1, 0.5, 0.5, 0], [1, 1, 1, 0.5]].flat(),
  );
  assert.deepEqual([...again!.preferences], [0.5, 1, 1, 0, 0.5, 0.5, 0, 0.5, 0.5]);
  assert.deepEqual(voter.asked.map(({ number }) => number), [1, 2, 3, 4, 5, 6]);
  assert.ok(
    voter.asked.every(({ total, later, name }) => total === 6 && later === 7 && name === "Ann"),
  );
  assert.deepEqual([four!.counts!.pairs, four!.counts!.ties, four!.counts!.cached], [6, 1, 0]);
  assert.deepEqual([again!.counts!.pairs, again!.counts!.ties, again!.counts!.cached], [1, 0, 1]);
  await judged(oracle, [group("dddd", "cc")]);
  await judged(humanJudge(voter, { votes, seed: 3 }), [group("a", "bb")]);
  assert.deepEqual([voter.asked.length, voter.sessions, voter.open], [6, 1, 0]);
  // The same texts are another question after another prompt, whatever its id.
  const other = { ...group("a", "bb"), prompt: { id: "p", content: "!" } };
  await judged(oracle, [other, { ...other, prompt: { id: "q", content: "!" } }]);
  assert.equal(voter.asked.length, 7);
});

Deno.test("humanJudge() draws by its seed what is shown first, whatever the order of a group", async () => {
  const shown = async (seed: number, reversed: boolean) => {
    const voter = scripted(() => "first");
    const votes = new Map<string, HumanVote>();
    const groups = Array.from({ length: 200 }, (_, index) => {
      const texts = [`one ${index}`, `two ${index}`];
      return group(...(reversed ? texts.toReversed() : texts));
    });
    const judgements = await judged(humanJudge(voter, { seed, votes }), groups);
    for (const { counts } of judgements) assert.equal(counts!.first_place, 1);
    for (const [index, { responses, first, better }] of [...votes.values()].entries()) {
      assert.deepEqual(responses, groups[index]!.responses.map(({ text }) => text));
      assert.equal(responses[first], voter.asked[index]!.first);
      assert.equal(better, first);
    }
    return voter.asked.map(({ first }) => first.startsWith("one"));
  };
  const there = await shown(1, false);
  assert.deepEqual(await shown(1, true), there);
  const ones = there.filter(Boolean).length;
  assert.ok(ones > 60 && ones < 140, `${ones} of 200`);
  assert.notDeepEqual(await shown(2, false), there);
});

Deno.test("humanJudge() goes back, and the last answer counts", async () => {
  const answers: HumanAnswer[] = ["back", "first", "back", "second", "tie"];
  const voter = scripted(() => answers.shift()!);
  const votes = new Map<string, HumanVote>();
  const [one, other] = await judged(humanJudge(voter, { votes }), [
    group("a", "b"),
    group("c", "d"),
  ]);
  assert.deepEqual(voter.asked.map(({ number }) => number), [1, 1, 2, 1, 2]);
  assert.deepEqual(answers, []);
  assert.equal(one!.counts!.first_place, 0);
  assert.equal(other!.preferences[1], 0.5);
});

Deno.test("humanJudge() keeps votes when its signal is aborted while someone thinks", async () => {
  const reason = new Error("enough"), controller = new AbortController();
  const votes = new Map<string, HumanVote>();
  const voter = scripted(() => {
    if (voter.asked.length < 3) return "first";
    controller.abort(reason);
    return "second"; // Too late to count.
  });
  const oracle = humanJudge(voter, { votes });
  const groups = [group("a", "b", "c"), group("d", "e")];
  await assert.rejects(
    Array.fromAsync(oracle.compare(groups, { signal: controller.signal })),
    (error) => error === reason,
  );
  assert.deepEqual([votes.size, voter.open], [2, 0]);
  const next = scripted(() => "tie");
  await judged(humanJudge(next, { votes }), groups);
  assert.deepEqual(next.asked.map(({ number, total }) => [number, total]), [[1, 2], [2, 2]]);
});

Deno.test("humanJudge() refuses a pair that is none, and asks nothing then", async () => {
  const voter = scripted(longer);
  await assert.rejects(
    judged(humanJudge(voter), [{ ...group("a", "b"), pairs: [[0, 2]] }]),
    /Cannot compare responses to prompt "p" as a pair must name two of its 2: \(0, 2\)/,
  );
  assert.equal(voter.sessions, 0);
});

Deno.test("takingTurns() lets one after the other in, and whoever gives up out", async () => {
  const turn = takingTurns(), order: string[] = [];
  const end = await turn();
  const controller = new AbortController();
  const second = assert.rejects(turn(controller.signal), /gone/);
  const third = turn().then((end) => (order.push("third"), end()));
  controller.abort(new Error("gone"));
  await second;
  order.push("first");
  end();
  await third;
  assert.deepEqual(order, ["first", "third"]);
});

Deno.test("readJudge() reads people", () => {
  const read = (text: string) => readJudge(text)[0]!.judge;
  assert.deepEqual(read("human"), { kind: "human" });
  assert.deepEqual(read("human:Ann_B@page=0,votes=a.jsonl,seed=2"), {
    ...{ kind: "human", name: "Ann_B", seed: 2, page: 0, votes: "a.jsonl" },
  });
  assert.equal(readJudge("majority(human:ann; human:bob) + 0.5*human@page=8080").length, 2);
  assert.throws(() => readJudge("human@page=70000"), /a port as page/);
  assert.throws(
    () => readJudge("human:"),
    /a name, of letters, digits, ' and _: the end at position 7$/,
  );
  assert.throws(() => readJudge("human@cap=1"), /an option, one of votes, page, seed/);
});
