/**
 * A Llama on a backend, against numbers of PyTorch, transformers and peft
 * (`tests/parity/tiny_llama_lora.py`).
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Backend } from "../../../graph/mod.ts";
import { type LanguageModel, type LocalPolicy, OPTIMIZERS } from "../../../models/mod.ts";
import type { PreparedGroup } from "../../../models/training/prepare.ts";
import { takeStep } from "../../../models/training/step.ts";
import { type StoredNumbers, storedNumbers, type StoredVariant } from "../../models/_tiny_llama.ts";
import {
  groupLogProbs,
  promptOf,
  tinyAdapter,
  tinyModel,
  trainingGroups,
} from "../../models/_tiny_model.ts";
import { type Case, gradientTolerance, near } from "./_support.ts";

/** float32 on both sides: two roundings of sums of some hundred terms, more for a faster exp. */
const LOG_PROBS = 5e-5;
/** Steps amplify roundings; the reference itself varies by up to 8e-5 in ten. */
const TRAINED = 1e-3;
/** Steps of the stored runs that are taken. */
const STEPS = 3;

interface Loaded {
  readonly stored: StoredNumbers;
  readonly variant: StoredVariant;
  readonly model: LanguageModel;
  readonly policy: LocalPolicy;
}

/** The tiny Llama, with the stored adapter or without. */
async function withModel(
  backend: Backend,
  lora: boolean,
  run: (loaded: Loaded) => Promise<void>,
): Promise<void> {
  const stored = await storedNumbers<StoredNumbers>("tiny_llama_lora.json");
  const adapter = await tinyAdapter();
  const model = await tinyModel(backend, {
    trainable: lora ? { kind: "lora", lora: adapter.lora } : { kind: "none" },
  });
  try {
    const policy = lora ? await model.policyFromTensors(adapter.tensors) : await model.policy();
    await run({ stored, variant: stored.variants.tiny_llama, model, policy });
    await policy.dispose();
  } finally {
    await model.dispose();
  }
}

function prepared({ groups, eta }: StoredNumbers, variant: StoredVariant): PreparedGroup[] {
  return groups.map(({ prompt_ids, responses }, group) => ({
    responses: responses.map(({ ids, win_rate }, index) => ({
      promptIds: prompt_ids,
      responseIds: ids,
      target: eta * (win_rate - 0.5),
      weight: 0.5,
      winRate: win_rate,
      anchorLogProbs: Float32Array.from(variant.base_token_log_probs[group]![index]!),
    })),
  }));
}

async function assertLogProbs(
  policy: LocalPolicy,
  stored: StoredNumbers,
  expected: StoredVariant["base_token_log_probs"],
  tolerance: number,
): Promise<void> {
  const actual = await groupLogProbs(policy, trainingGroups(stored));
  assert.equal(actual.length, expected.flat().length);
  expected.flat().forEach((wanted, response) =>
    wanted.forEach((number, token) => {
      const difference = Math.abs(actual[response]![token]! - number);
      assert.ok(difference <= tolerance, `response ${response}, token ${token}: ${difference}`);
    })
  );
}

/** Scores, writes and learns as the references do. */
export const llamaCases: readonly Case[] = [
  ...[false, true].map((lora): Case => ({
    name: `a Llama${lora ? " with an adapter" : ""} gives transformers' log-probabilities`,
    run: (backend) =>
      withModel(backend, lora, ({ policy, stored, variant }) => {
        const { base_token_log_probs: base, adapter_token_log_probs: adapter } = variant;
        return assertLogProbs(policy, stored, lora ? adapter : base, LOG_PROBS);
      }),
  })),
  ...[false, true].map((lora): Case => ({
    name: `a Llama${lora ? " with an adapter" : ""} writes transformers' greedy text`,
    run: (backend) =>
      withModel(backend, lora, async ({ policy, variant }) => {
        const prompts = variant.greedy.map(({ prompt_ids }, index) =>
          promptOf(`${index}`, prompt_ids)
        );
        const options = { samples: 2, temperature: 0, topP: 1, maxTokens: 16, seed: 0 };
        let index = 0;
        for await (const { responses } of policy.sample(prompts, options)) {
          const { base, adapter } = variant.greedy[index++]!;
          for (const { tokenIds } of responses) {
            assert.deepEqual(tokenIds, (lora ? adapter : base).ids);
          }
        }
        assert.equal(index, prompts.length);
      }),
  })),
  {
    name: "the SPPO loss of a Llama has PyTorch's LoRA gradients",
    run: (backend) =>
      withModel(backend, true, async ({ model, policy, stored, variant }) => {
        const optimizer = OPTIMIZERS.adamw;
        const fit = await model.fit(policy, { name: "sppo", beta: 1 }, optimizer);
        const options = {
          optimizer,
          learningRate: 0,
          maxGradNorm: 0,
          tokensPerBatch: 2048,
        };
        const metrics = await takeStep(fit, options, prepared(stored, variant), 1);
        const tolerance = gradientTolerance(backend);
        near([metrics.loss!], [variant.sppo.loss], tolerance, "loss");
        near([metrics.grad_norm!], [variant.sppo.grad_norm], tolerance, "grad_norm");
        for (const [key, { values }] of Object.entries(variant.sppo.gradients)) {
          const tensor = key.replace("base_model.model.", "");
          near(await fit.gradients.read(tensor), values, tolerance, tensor);
        }
      }),
  },
  ...(["adamw", "rmsprop_clipped"] as const).map((run): Case => ({
    name: `${STEPS} steps of ${run} on a Llama have PyTorch's losses and gradient norms`,
    run: (backend) =>
      withModel(backend, true, async ({ model, policy, stored, variant }) => {
        const { lr, weight_decay: weightDecay = 0, max_grad_norm, steps } = variant.runs[run];
        const kind = run === "adamw" ? "adamw" : "rmsprop";
        const optimizer = { ...OPTIMIZERS[kind], weightDecay };
        const fit = await model.fit(policy, { name: "sppo", beta: 1 }, optimizer);
        const options = {
          optimizer,
          learningRate: lr,
          maxGradNorm: max_grad_norm ?? 0,
          tokensPerBatch: 2048,
        };
        for (const [index, { loss, grad_norm }] of steps.slice(0, STEPS).entries()) {
          const metrics = await takeStep(fit, options, prepared(stored, variant), index + 1);
          near([metrics.loss!], [loss], TRAINED, `loss of step ${index}`);
          near([metrics.grad_norm!], [grad_norm], 1e-2, `grad_norm of step ${index}`);
        }
        // The policy that the fit started from is untouched.
        await assertLogProbs(policy, stored, variant.adapter_token_log_probs, LOG_PROBS);
      }),
  })),
];
