import assert from "node:assert/strict";
import { geometricMixture, type LocalPolicy, type Sampler } from "../../../models/mod.ts";
import {
  LORA,
  promptOf,
  somePrompts,
  tinyAdapter,
  tinyModel,
  VOCAB_SIZE,
  withBackend,
} from "../_tiny_model.ts";

/** Nats; two programs in float32, mixed in float64. */
const TOLERANCE = 1e-4;

const sampling = { samples: 4, temperature: 1, topP: 1, maxTokens: 5, seed: 3 };

async function samplesOf(policy: Sampler, options = sampling) {
  const all = [];
  for await (const { prompt, responses } of policy.sample(somePrompts(5), options)) {
    for (const { tokenIds, logProb } of responses) {
      all.push({ prompt, ids: [...tokenIds!], logProb: logProb! });
    }
  }
  return all;
}

/** log π(· | prompt, tokens before) over the vocabulary, by scoring each token. */
async function distribution(policy: LocalPolicy, ids: readonly number[]): Promise<number[]> {
  const responses = Array.from({ length: VOCAB_SIZE }, (_, id) => ({ text: "", tokenIds: [id] }));
  for await (const tokens of policy.logProbs([{ prompt: promptOf("x", ids), responses }])) {
    return tokens.map((logProbs) => logProbs[0]!);
  }
  throw new Error("no scores");
}

Deno.test("geometricMixture() samples from the product of both policies' powers, token by token", () =>
  withBackend(async (backend) => {
    const model = await tinyModel(backend, { trainable: LORA });
    const start = await model.policy();
    const adapted = await model.policyFromTensors((await tinyAdapter()).tensors);
    const texts = (all: Awaited<ReturnType<typeof samplesOf>>) => all.map(({ ids }) => ids);

    // At the ends it is one of the two.
    assert.deepEqual(
      texts(await samplesOf(geometricMixture(adapted, start, 0))),
      texts(await samplesOf(adapted)),
    );
    assert.deepEqual(
      texts(await samplesOf(geometricMixture(adapted, start, 1))),
      texts(await samplesOf(start)),
    );
    assert.notDeepEqual(texts(await samplesOf(adapted)), texts(await samplesOf(start)));

    for (const temperature of [1, 0.5]) {
      const mixture = geometricMixture(adapted, start, 0.3);
      const sampled = await samplesOf(mixture, { ...sampling, temperature, maxTokens: 2 });
      for (const { prompt, ids, logProb } of sampled.slice(0, 4)) {
        let expected = 0;
        let before = String(prompt.content).split(" ").map(Number);
        for (const id of ids) {
          const [a, b] = [await distribution(adapted, before), await distribution(start, before)];
          const mixed = a.map((value, token) => 0.7 * value + 0.3 * b[token]!);
          const total = mixed.reduce((sum, value) => sum + Math.exp(value), 0);
          expected += mixed[id]! - Math.log(total);
          before = [...before, id];
        }
        assert.ok(Math.abs(logProb - expected) < TOLERANCE, `${logProb}, expected ${expected}`);
      }
    }
  }));

Deno.test("geometricMixture() refuses policies of two models and weights outside [0, 1]", () =>
  withBackend(async (backend) => {
    const [one, other] = [await tinyModel(backend), await tinyModel(backend)];
    const [a, b] = [await one.policy(), await other.policy()];
    assert.throws(() => geometricMixture(a, b, 0.5), {
      name: "TypeError",
      message: "Cannot mix policies as they must be states of one model: they are of two",
    });
    assert.throws(() => geometricMixture(a, a, 1.5), {
      name: "RangeError",
      message: "Cannot mix policies as the weight must be in [0, 1]: 1.5",
    });
  }));
