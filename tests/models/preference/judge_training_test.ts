// A head trained on a rock–paper–scissors preference, and reward models against transformers.

import assert from "node:assert/strict";
import { createOnnxBackend } from "../../../backends/onnx/mod.ts";
import { randomStream } from "../../../core/mod.ts";
import type { Backend } from "../../../graph/mod.ts";
import { agreement, type JudgedPair } from "../../../judges/agreement.ts";
import { generalPreferenceJudge, rewardJudge } from "../../../judges/mod.ts";
import {
  judgeFiles,
  judgeParts,
  type LabelledGroup,
  labelledPairs,
  openClassifier,
  openTrainedJudge,
  PreferenceEmbedder,
  type PreferenceHead,
  ResponseReader,
  type TrainedJudge,
  trainJudge,
  type TrainJudgeOptions,
} from "../../../models/mod.ts";
import { bytesSource, openCheckpoint } from "../../../models/mod.ts";
import { SequenceReader } from "../../../models/preference/sequence_reader.ts";
import { dataFiles, storedNumbers } from "../_tiny_llama.ts";

const FILES = ["config.json", "model.safetensors", "tokenizer.json"] as const;
/** float32 against float32, of rewards of about 1. */
const TOLERANCE = 1e-4;

async function withBackend(run: (backend: Backend) => Promise<void>): Promise<void> {
  const backend = await createOnnxBackend({ threads: 2 });
  try {
    await run(backend);
  } finally {
    await backend.dispose();
  }
}

interface StoredReward {
  readonly ids: readonly number[];
  readonly reward: number;
}
interface StoredRewards {
  readonly rewards: Readonly<Record<string, readonly StoredReward[]>>;
}
const rewards = {
  ...(await storedNumbers<StoredRewards>("tiny_judges.json")).rewards,
  ...(await storedNumbers<StoredRewards>("tiny_reward_qwen2.json")).rewards,
};

for (const [folder, stored] of Object.entries(rewards)) {
  Deno.test(`openClassifier() gives the reference's rewards of ${folder}`, () =>
    withBackend(async (backend) => {
      const { trunk, head, tensors } = await openClassifier(await dataFiles(folder, FILES));
      const reader = await SequenceReader.load(trunk, head, tensors, backend);
      const place = (ids: readonly number[]) => folder.includes("deberta") ? 0 : ids.length - 1;
      const read = await reader.read(stored.map(({ ids }) => ({ ids, places: [place(ids)] })));
      stored.forEach(({ reward }, index) => {
        const [own] = read[index]!;
        assert.ok(Math.abs(own! - reward) <= TOLERANCE, `${index}: ${own}, expected ${reward}`);
      });
      await reader.dispose();
    }));
}

/** Which response beats which: 0 beats 1 beats 2 beats 0, nine times of ten. */
const TEXTS = ["the sea is blue", "read books", "good bye"];
const STRENGTH = 0.9;

/** Groups of the three responses, with labels drawn from the preference; or with the preference itself. */
function rockPaperScissors(prompts: number, seed: number, draw: boolean): LabelledGroup[] {
  const random = randomStream(seed, "labels");
  return Array.from({ length: prompts }, (_, index) => ({
    prompt: `what is ${(seed + index) % 97} and ${index} ?`,
    responses: TEXTS,
    labels: TEXTS.map((_, i) =>
      TEXTS.map((_, j) => {
        if (i === j) return null;
        const preference = (j - i + 3) % 3 === 1 ? STRENGTH : 1 - STRENGTH;
        return draw ? (random.next() < preference ? 1 : 0) : preference;
      })
    ),
  }));
}

async function trained(
  backend: Backend,
  head: PreferenceHead,
  options: Partial<TrainJudgeOptions> = {},
): Promise<{ judge: TrainedJudge; losses: number[] }> {
  const { trunk, layout, tensors } = await openClassifier(
    await dataFiles("tiny_reward_llama", FILES),
  );
  const steps = trainJudge({ trunk, layout, tensors }, backend, rockPaperScissors(60, 1, true), {
    head,
    epochs: 12,
    learningRate: 0.05,
    pairsPerStep: 60,
    maxTokens: 64,
    ...options,
  });
  const losses: number[] = [];
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return { judge: value, losses };
    losses.push(value.loss);
  }
}

/** Share of held-out pairs on whose side a trained judge is. */
async function accuracyOf(backend: Backend, judge: TrainedJudge): Promise<number> {
  const parts = judgeParts(
    await openClassifier(await dataFiles("tiny_reward_llama", FILES)),
    judge,
  );
  const model = judge.head.kind === "bradley-terry"
    ? await ResponseReader.load(parts, backend)
    : await PreferenceEmbedder.load(parts, backend);
  const oracle = model instanceof ResponseReader
    ? rewardJudge(model)
    : generalPreferenceJudge(model, { tau: 1 });
  const groups = rockPaperScissors(20, 1000, false);
  const judged: JudgedPair[] = [];
  let index = 0;
  const asked = groups.map(({ prompt, responses }, at) => ({
    prompt: { id: `${at}`, content: prompt },
    responses: responses.map((text) => ({ text })),
  }));
  for await (const { preferences } of oracle.compare(asked)) {
    for (const { left, right, label } of labelledPairs([groups[index++]!])) {
      judged.push({ preference: preferences[left * 3 + right]!, label });
    }
  }
  await model.dispose();
  return agreement(judged).accuracy;
}

const GPM = { kind: "general-preference", dimension: 4, tau: 1 } as const;

Deno.test("trainJudge() of a general preference learns a cycle that Bradley–Terry cannot", () =>
  withBackend(async (backend) => {
    const general = await trained(backend, GPM);
    const rewards = await trained(backend, { kind: "bradley-terry" });
    const [gpm, bt] = [
      await accuracyOf(backend, general.judge),
      await accuracyOf(backend, rewards.judge),
    ];
    assert.ok(gpm > 0.95, `general preference: ${gpm}`);
    // A transitive judge is on the wrong side of one pair of the three at least.
    assert.ok(bt <= 2 / 3 + 1e-9, `Bradley–Terry: ${bt}`);
    assert.ok(general.losses.at(-1)! < rewards.losses.at(-1)!);
  }));

Deno.test("trainJudge() fits an adapter with the head, and its files give the same judge", () =>
  withBackend(async (backend) => {
    const lora = { rank: 4, alpha: 8, targets: ["q_proj", "v_proj", "down_proj"] } as const;
    const { judge, losses } = await trained(backend, GPM, { lora, epochs: 4 });
    assert.ok(losses.at(-1)! < losses[0]!, `${losses}`);
    const files = judgeFiles(judge, "tiny");
    const sources = Object.fromEntries(
      Object.entries(files).map(([name, bytes]) => [name, bytesSource(name, bytes)]),
    );
    const { head, parts } = await openTrainedJudge(
      sources,
      async () =>
        await openCheckpoint(await dataFiles("tiny_reward_llama", FILES), { head: /^score/ }),
    );
    assert.deepEqual(head, GPM);
    const base = await openClassifier(await dataFiles("tiny_reward_llama", FILES));
    const read = async (of: typeof parts) => {
      const reader = await ResponseReader.load(of, backend);
      const vectors = await reader.read("hello", TEXTS);
      await reader.dispose();
      return { id: reader.id, vectors };
    };
    assert.deepEqual(await read(parts), await read(judgeParts(base, judge)));
  }));

Deno.test("trainJudge() refuses groups without a label, and heads that cannot be", () =>
  withBackend(async (backend) => {
    const parts = await openClassifier(await dataFiles("tiny_reward_llama", FILES));
    const options = { epochs: 1, learningRate: 0.1, pairsPerStep: 1, maxTokens: 8 };
    const none = [{ prompt: "?", responses: ["a"], labels: [[null]] }];
    await assert.rejects(
      trainJudge(parts, backend, none, { ...options, head: GPM }).next(),
      new RangeError("Cannot train the judge as there must be one labelled pair at least: none"),
    );
    const odd = { ...GPM, dimension: 3 };
    await assert.rejects(
      trainJudge(parts, backend, rockPaperScissors(1, 1, true), { ...options, head: odd }).next(),
      new RangeError("Cannot make a head as its dimension must be even and positive: 3"),
    );
  }));
