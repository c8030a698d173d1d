// Mixtures of adapters of one model: what mixturePolicy() makes of language models.

import assert from "node:assert/strict";
import { mixturePolicy } from "../../../core/mod.ts";
import { assertNear, fit, groups, loraModel } from "../_fit.ts";
import { groupLogProbs, sum, withBackend } from "../_tiny_model.ts";

/** float32 log-probabilities of tens of tokens, added up in another order. */
const SUMS = 1e-4;

Deno.test("mixturePolicy() samples and scores adapters of one model", () =>
  withBackend(async (backend) => {
    const { policy: start } = await loraModel(backend);
    const { policy: trained } = await fit(start, { epochs: 10, learningRate: 2e-2 });
    const members = [start, trained];
    const mixture = mixturePolicy(members, { weights: [1, 3] });
    const asked = groups.map(({ prompt, responses }) => ({
      prompt,
      responses: responses.map(({ response }) => response),
    }));

    const scored = (await Array.fromAsync(mixture.logProbs(asked))).flat();
    const [ours, theirs] = await Promise.all(members.map((one) => groupLogProbs(one, groups)));
    const expected = ours!.map((tokens, k) =>
      Math.log(0.25 * Math.exp(sum(tokens)) + 0.75 * Math.exp(sum(theirs![k]!)))
    );
    assert.ok(Math.abs(sum(ours![0]!) - sum(theirs![0]!)) > 0.1, "the fit changed nothing");
    assertNear(scored.map((tokens) => sum([...tokens])), expected, SUMS);

    const prompts = asked.map(({ prompt }) => prompt);
    const sampling = { samples: 6, temperature: 1, topP: 1, maxTokens: 4, seed: 1 };
    const sampled = await Array.fromAsync(mixture.sample(prompts, sampling));
    assert.deepEqual(sampled.map(({ prompt }) => prompt.id), prompts.map(({ id }) => id));
    for (const { responses } of sampled) {
      assert.equal(responses.length, 6);
      for (const { tokenIds } of responses) assert.ok(tokenIds!.length >= 1);
    }
    // What was sampled can be scored as it is.
    const again = await Array.fromAsync(mixture.logProbs(sampled));
    assert.ok(again.flat().every((tokens) => tokens.every((one) => one <= 1e-6)));
  }));
