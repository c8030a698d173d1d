// Fast sampling: encoded weights with 8-bit activations beside float32 scoring.

import assert from "node:assert/strict";
import type { Sampled } from "../../../core/mod.ts";
import { LanguageModel } from "../../../models/mod.ts";
import { quantised } from "../_quantised.ts";
import { tinyLlama } from "../_tiny_llama.ts";
import { LORA, promptOf, sum, withBackend } from "../_tiny_model.ts";

const SAMPLING = { samples: 4, temperature: 1, topP: 1, maxTokens: 12, seed: 3 };
/** Decoded and encoded weights are the same numbers; sums have other orders. */
const SCORE_TOLERANCE = 1e-4;
/** Nats per token: 8-bit activations move each logit by a hundredth or so. */
const FAST_TOLERANCE = 0.05;

for (const encoding of ["q4_0", "q4_1", "q8_0"] as const) {
  Deno.test(`fast sampling from ${encoding} weights is close to the policy, and scored as it is`, () =>
    withBackend(async (backend) => {
      const checkpoint = await quantised(encoding, encoding !== "q4_0");
      const fast = await LanguageModel.load(checkpoint, backend, {
        template: "none",
        precision: "fast",
      });
      const exact = await LanguageModel.load(checkpoint, backend, { template: "none" });
      assert.equal(fast.id, exact.id);
      assert.ok(fast.weightBytes < exact.weightBytes / 2, `${fast.weightBytes}`);
      const prompts = [promptOf("a", [1, 2, 3]), promptOf("b", [4, 5])];
      const groups: Sampled[] = [];
      for await (const group of (await fast.policy()).sample(prompts, SAMPLING)) groups.push(group);
      const scores = async (model: LanguageModel) => {
        const all: number[] = [];
        for await (const group of (await model.policy()).logProbs(groups)) {
          all.push(...group.map(sum));
        }
        return all;
      };
      const [own, other] = [await scores(fast), await scores(exact)];
      const sampled = groups.flatMap(({ responses }) => responses);
      let moved = 0;
      sampled.forEach(({ logProb, tokenIds }, index) => {
        const { length } = tokenIds!;
        assert.ok(Math.abs(own[index]! - other[index]!) < SCORE_TOLERANCE, `${own} ${other}`);
        const difference = Math.abs(logProb! - other[index]!);
        moved = Math.max(moved, difference);
        assert.ok(difference < FAST_TOLERANCE * length, `${logProb} ${other[index]} ${length}`);
      });
      assert.ok(moved > SCORE_TOLERANCE, `8-bit activations round, but moved nothing: ${moved}`);
      await fast.dispose();
      await exact.dispose();
    }));
}

Deno.test("fast sampling with an adapter leaves its products in float32 and the training alone", () =>
  withBackend(async (backend) => {
    const checkpoint = await quantised("q4_1");
    const options = { template: "none", trainable: LORA } as const;
    const fast = await LanguageModel.load(checkpoint, backend, { ...options, precision: "fast" });
    const exact = await LanguageModel.load(checkpoint, backend, options);
    const groups: Sampled[] = [];
    const policy = await fast.policy();
    for await (const one of policy.sample([promptOf("a", [1, 2, 3])], SAMPLING)) groups.push(one);
    const same = await exact.policy();
    assert.equal(policy.id, same.id);
    for await (const scored of policy.logProbs(groups)) {
      for await (const wanted of same.logProbs(groups)) assert.deepEqual(scored, wanted);
    }
    await fast.dispose();
    await exact.dispose();
  }));

Deno.test("LanguageModel.load() refuses fast sampling of weights that are not encoded, or trained", () =>
  withBackend(async (backend) => {
    await assert.rejects(
      LanguageModel.load(await tinyLlama(), backend, { template: "none", precision: "fast" }),
      { name: "TypeError", message: /^Cannot sample fast as .* they are f32/ },
    );
    await assert.rejects(
      LanguageModel.load(await quantised("q8_0"), backend, {
        template: "none",
        precision: "fast",
        trainable: { kind: "all" },
      }),
      { name: "TypeError", message: /^Cannot sample fast as .* all are trained/ },
    );
  }));
